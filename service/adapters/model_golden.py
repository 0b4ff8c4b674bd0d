"""Golden vectors: inputs whose answer is known, run through the model before it serves.

`golden/golden.toml` names them. A `tensor` vector is the model's input; a `stored` vector holds stored pixel
values as a file would, so that it also shows a change of preprocessing or calibration.
"""

import io
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from service.adapters.onnx_model import OnnxModel
from service.domain import interpret
from service.domain.card import Ppm, Sha256
from service.domain.flow import judge
from service.domain.messages import Array, Decision, DecodedImage, Finding, Float32
from service.errors import ModelRejected
from traceability.marks import implements

MAX_VECTOR_BYTES: Final = 64 * 1024 * 1024
PPM: Final = 1_000_000
File = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.npy$")]


class Vector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input and its answer. The logit may differ by `tolerance`: instruction sets add in other orders."""

    file: File
    sha256: Sha256
    kind: Literal["tensor", "stored"]
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    bits_stored: Annotated[int, Meta(ge=1, le=16)] = 16
    logit: float
    tolerance: Annotated[float, Meta(gt=0, le=0.1)]
    decision: Decision
    probability_ppm: Ppm


class Golden(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["medai.golden/1"]
    vectors: Annotated[tuple[Vector, ...], Meta(min_length=1, max_length=64)]


Loaded = tuple[tuple[Vector, Array], ...]


def read(folder: Path) -> Loaded:
    """The vectors of `folder`/golden.toml, their digests checked. Raises `ModelRejected`."""
    try:
        golden = msgspec.toml.decode((folder / "golden.toml").read_bytes(), type=Golden)
        return tuple((vector, _array(folder / vector.file, vector)) for vector in golden.vectors)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ModelRejected(f"{folder.name}/golden.toml: {error}; see docs/models.md for its form") from error


@implements("REQ-INF-016")
def verify(model: OnnxModel, vectors: Loaded) -> None:
    """Raises `ModelRejected` where one vector's logit, probability or decision is off; returns nothing."""
    for vector, array in vectors:
        logit, finding = _answer(model, vector, array)
        if not abs(logit - vector.logit) <= vector.tolerance:
            raise _off(model, vector, "logit", vector.logit, logit)
        # d sigmoid(z) / dz is at most 1/4, so a logit within its tolerance moves the probability by no more.
        slack = 1 + vector.tolerance / (4 * model.card.output.temperature) * PPM
        if finding.probability_ppm is None or abs(finding.probability_ppm - vector.probability_ppm) > slack:
            raise _off(model, vector, "probability_ppm", vector.probability_ppm, finding.probability_ppm)
        if finding.decision != vector.decision:
            raise _off(model, vector, "decision", vector.decision, finding.decision)


def _answer(model: OnnxModel, vector: Vector, array: Array) -> tuple[float, Finding]:
    logits: list[float] = []

    def run(batch: Float32) -> Float32:
        output = model.run(batch)
        logits.append(float(output.reshape(-1)[0]))
        return output

    if vector.kind == "tensor":
        finding = interpret.finding(run(array.astype(np.float32)), model.card.output)
    else:
        finding = judge(_image(model, vector, array), model.card, run).finding
    return (logits[0] if logits else float("nan")), finding


def _image(model: OnnxModel, vector: Vector, array: Array) -> DecodedImage:
    return DecodedImage(
        media_type="application/dicom",
        modality=model.card.input.modalities[0],
        photometric="RGB" if array.ndim == 3 else "MONOCHROME2",
        bits_stored=vector.bits_stored,
        stored=array,
        pixels_sha256=vector.sha256,
        rescale_slope=vector.rescale_slope,
        rescale_intercept=vector.rescale_intercept,
        units_known=True,  # they are the card's, by definition
    )


def _array(path: Path, vector: Vector) -> Array:
    size = path.stat().st_size
    if size > MAX_VECTOR_BYTES:
        raise ModelRejected(f"golden vector {vector.file}: {size} bytes, at most {MAX_VECTOR_BYTES}")
    body = path.read_bytes()
    digest = sha256(body).hexdigest()
    if digest != vector.sha256:
        raise ModelRejected(f"golden vector {vector.file}: SHA-256 {digest}, golden.toml says {vector.sha256}")
    array: Array = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    kinds = "f" if vector.kind == "tensor" else "iu"
    if array.dtype.kind not in kinds or array.ndim not in ((4,) if vector.kind == "tensor" else (2, 3)):
        raise ModelRejected(f"golden vector {vector.file}: {array.dtype} {array.shape} is no {vector.kind} vector")
    return array


def _off(model: OnnxModel, vector: Vector, what: str, wanted: object, got: object) -> ModelRejected:
    card = model.card
    return ModelRejected(
        f"model {card.name}@{card.version}: golden vector {vector.file}: {what} {got}, expected {wanted} "
        f"(tolerance {vector.tolerance} of the logit) under {model.runtime}; do not serve it: find what changed"
    )
