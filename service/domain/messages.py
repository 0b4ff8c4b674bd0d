"""What passes between the steps of a request. Arrays are C-contiguous; everything is frozen."""

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

MediaType = Literal["application/dicom", "image/png", "image/jpeg"]
Decision = Literal["positive", "negative", "abstain"]
Array = NDArray[np.generic]
Float32 = NDArray[np.float32]


class Limits(Struct, frozen=True, kw_only=True):
    """What a decoder refuses before it decodes."""

    max_pixels: int
    max_frames: int
    max_inflated_bytes: int
    deadline_ms: int


class Window(Struct, frozen=True, kw_only=True):
    """A linear window in the unit of the rescaled values (CT: Hounsfield units), DICOM PS3.3 C.11.2.1.2."""

    center: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


class LookupTable(Struct, frozen=True, kw_only=True):
    """A Modality or VOI LUT (PS3.3 C.11.1, C.11.2): `table[value - first_mapped]`, clamped at both ends."""

    first_mapped: int
    bits: int
    table: Array


class DecodedImage(Struct, frozen=True, kw_only=True):
    """One frame as its file stores it, before any rescale, window or inversion.

    `stored` is [rows, columns] or, for colour, [rows, columns, 3], in the file's own integer type (sign
    applied, unused high bits removed). `pixels_sha256` is over `stored` as little-endian C-order bytes; README.md
    gives the rule to callers.
    `units_known` says that the file defines what its rescaled values are (CT: Hounsfield units, PS3.3 C.11.1).
    `patient` and `study` are raw identifiers: they are turned into pseudonyms and go nowhere else.
    """

    media_type: MediaType
    transfer_syntax: str | None = None
    modality: str | None = None
    photometric: Literal["MONOCHROME1", "MONOCHROME2", "RGB"]
    bits_stored: int
    frame: int | None = None
    frames: int = 1
    stored: Array
    pixels_sha256: str
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    modality_lut: LookupTable | None = None
    units_known: bool = False
    voi_window: Window | None = None
    voi_lut: LookupTable | None = None
    patient: str | None = None
    study: str | None = None


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """An image to judge: the body as received, its declared type, and what the caller asked for."""

    body: bytes
    media_type: MediaType
    model: str | None = None
    frame: int | None = None


class WindowUsed(Struct, frozen=True, kw_only=True):
    """How stored values became grey levels; centre and width in thousandths of the rescaled unit."""

    source: Literal["card", "file_window", "file_lut", "none"]
    center_milli: int | None = None
    width_milli: int | None = None


class QualityReport(Struct, frozen=True, kw_only=True):
    """What the quality gate measured; `reasons` are empty where it passed."""

    contrast_ppm: int
    clipped_ppm: int
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons


class Finding(Struct, frozen=True, kw_only=True):
    """The answer's core; label and probability are None where the model abstains without having run."""

    decision: Decision
    label: str | None
    probability_ppm: int | None
    threshold_ppm: int | None
    reasons: tuple[str, ...]


class ModelIdentity(Struct, frozen=True, kw_only=True):
    name: str
    version: str
    sha256: str


class RuntimeIdentity(Struct, frozen=True, kw_only=True):
    """What ran the model: results are bit-identical only within one of these."""

    name: str
    version: str
    provider: str
    optimization: str


class Prediction(Struct, frozen=True, kw_only=True):
    """Everything that the answer and its record are made of."""

    model: ModelIdentity
    runtime: RuntimeIdentity
    intended_use: str
    media_type: MediaType
    input_sha256: str
    pixels_sha256: str
    rows: int
    columns: int
    frame: int | None
    window: WindowUsed
    quality: QualityReport
    finding: Finding
    patient: str | None
    study: str | None
