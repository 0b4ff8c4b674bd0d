"""What the demonstration sends, and what each answer has to be: real studies and the model's own samples.

The DICOM files are those that pydicom ships for its tests; the samples lie beside the model. An answer other
than the expected one is an error of the demonstration, never a line of the table that nobody reads.
"""

import importlib.util
from pathlib import Path
from typing import Final

from msgspec import Struct

MEDIA_TYPES: Final = {".dcm": "application/dicom", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
# A sample is called after what has to be found in it.
SAMPLES: Final = {"positive": "positive", "negative": "negative", "blank": "abstain"}
MODELS: Final = Path(__file__).parent / "models"


class Study(Struct, frozen=True, kw_only=True):
    """One request: `expected` is "finding", a decision, or the code of the problem that has to come back."""

    title: str
    path: Path
    query: str = ""
    expected: str = "finding"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.path.suffix]


class _Bundled(Struct, frozen=True, kw_only=True):
    title: str
    file: str
    expected: str = "finding"


# Three CT slices in two encodings are inside what the model is for; each of the others is refused for its own reason.
_BUNDLED: Final = (
    _Bundled(title="CT, uncompressed", file="CT_small.dcm"),
    _Bundled(title="CT, JPEG 2000", file="693_J2KI.dcm"),
    _Bundled(title="CT, JPEG 2000 lossless", file="J2K_pixelrep_mismatch.dcm"),
    _Bundled(title="MR, uncompressed", file="MR_small.dcm", expected="outside_intended_use"),
    _Bundled(title="MR, RLE", file="MR_small_RLE.dcm", expected="outside_intended_use"),
    _Bundled(title="MR, JPEG-LS", file="MR_small_jpeg_ls_lossless.dcm", expected="outside_intended_use"),
    _Bundled(title="ultrasound, 30 frames", file="examples_ybr_color.dcm", expected="frame_invalid"),
    _Bundled(title="12-bit JPEG Extended", file="JPEG-lossy.dcm", expected="transfer_syntax_unsupported"),
    _Bundled(title="a report, no image", file="reportsi.dcm", expected="decode_failed"),
)


def studies() -> tuple[Study, ...]:
    """Everything that is sent, in order: pydicom's studies, then the samples of each model that is shipped."""
    spec = importlib.util.find_spec("pydicom")  # located, never imported: one adapter alone reads DICOM
    assert spec is not None, "pydicom is in every lock"
    assert spec.submodule_search_locations, "pydicom is a package"
    folder = Path(spec.submodule_search_locations[0]) / "data" / "test_files"
    bundled = (
        Study(title=f"{one.title} ({one.file})", path=folder / one.file, expected=one.expected) for one in _BUNDLED
    )
    return (*bundled, *_samples())


def _samples() -> tuple[Study, ...]:
    found = sorted(path for path in MODELS.glob("*/*/samples/*") if path.suffix in MEDIA_TYPES)
    return tuple(
        Study(
            title=f"phantom ({path.name})",
            path=path,
            query=f"model={path.parts[-4]}@{path.parts[-3]}",
            expected=SAMPLES.get(path.stem.split("-")[0], "finding"),
        )
        for path in found
    )
