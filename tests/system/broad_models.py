"""Two models that admit every modality, so that damaged images reach the model and not only its door.

They say how bright an image is. Written byte by byte (onnx/onnx.proto): no package here makes ONNX files.
"""

import hashlib
from pathlib import Path

import numpy as np

ROWS = COLUMNS = 32
VERSION = "1.0.0"
MODALITIES = (
    "CT", "CR", "DX", "ECG", "ES", "MG", "MR", "NM", "OT", "PT", "PX", "RF", "RTDOSE", "SC", "SEG", "SM", "US", "XA",
)  # fmt: skip

_CARD = """\
format = "medai.card/1"
name = "{name}"
version = "{version}"
sha256 = "{sha256}"
title = "Brightness of anything"
notice = "For tests alone, not for clinical use."
intended_use = "Shows that an image reached a model."
not_for = "Anything else."
training_data = "None."
limits = "It says how bright an image is."
licence = "As the tree that it is made in."
metrics = []

[input]
modalities = [{modalities}]
rendered = true
color = "{color}"
tensor = "image"
rows = {rows}
columns = {columns}
min_rows = 1
min_columns = 1
mean = 0.5
std = 0.25

[output]
tensor = "logit"
label = "bright"
temperature = 1.0
bias = 0.0
threshold_ppm = 500000
abstain_below_ppm = 500000
abstain_above_ppm = 500000

[quality]
min_contrast_ppm = 0
max_clipped_ppm = 1000000
"""

_GOLDEN = """\
format = "medai.golden/1"

[[vectors]]
file = "ones.npy"
sha256 = "{sha256}"
kind = "tensor"
logit = 1.0
tolerance = 0.001
decision = "positive"
probability_ppm = 731059
"""


def write(folder: Path) -> Path:
    """`folder` as a further model folder, with the models `broad-grey` and `broad-rgb`."""
    for color, channels in (("grey", 1), ("rgb", 3)):
        _write_one(folder / f"broad-{color}" / VERSION, color, channels)
    return folder


def _write_one(folder: Path, color: str, channels: int) -> None:
    (folder / "golden").mkdir(parents=True)
    model = _model(channels)
    (folder / "model.onnx").write_bytes(model)
    np.save(folder / "golden" / "ones.npy", np.ones((1, channels, ROWS, COLUMNS), np.float32))
    vector = (folder / "golden" / "ones.npy").read_bytes()
    (folder / "golden" / "golden.toml").write_text(_GOLDEN.format(sha256=hashlib.sha256(vector).hexdigest()), "utf-8")
    card = _CARD.format(
        name=folder.parent.name,
        version=VERSION,
        sha256=hashlib.sha256(model).hexdigest(),
        modalities=", ".join(f'"{modality}"' for modality in MODALITIES),
        color=color,
        rows=ROWS,
        columns=COLUMNS,
    )
    (folder / "card.toml").write_text(card, "utf-8")


def _model(channels: int) -> bytes:
    """logit = ReduceMean(image) over all axes but the first."""
    axes = _message((1, b"axes"), *((8, axis) for axis in (1, 2, 3)), (20, 7))  # AttributeProto, INTS
    keepdims = _message((1, b"keepdims"), (3, 0), (20, 2))  # AttributeProto, INT
    node = _message((1, b"image"), (2, b"logit"), (4, b"ReduceMean"), (5, axes), (5, keepdims))
    image, logit = _value(b"image", (1, channels, ROWS, COLUMNS)), _value(b"logit", (1,))
    graph = _message((1, node), (2, b"brightness"), (11, image), (12, logit))
    return _message((1, 8), (7, graph), (8, _message((1, b""), (2, 13))))  # ir_version 8, opset 13


def _value(name: bytes, shape: tuple[int, ...]) -> bytes:
    """A ValueInfoProto: float32 of a fixed shape."""
    dimensions = _message(*((1, _message((1, size))) for size in shape))
    return _message((1, name), (2, _message((1, _message((1, 1), (2, dimensions))))))


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer of varints and length-delimited fields."""
    return b"".join(
        _varint(number << 3) + _varint(value)
        if isinstance(value, int)
        else _varint(number << 3 | 2) + _varint(len(value)) + value
        for number, value in fields
    )


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
