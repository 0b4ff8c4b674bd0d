"""What a DICOM header says of its pixels (PS3.3 C.7.6.3), checked before any pixel is touched."""

import re
import struct
from typing import Final

from msgspec import Struct

from service.adapters.images_elements import Elements
from service.domain.messages import Limits
from service.errors import DecodeFailed, FrameInvalid, ImageTooLarge
from traceability.marks import implements

MODALITY: Final = 0x00080060
PATIENT_ID: Final = 0x00100020
STUDY_UID: Final = 0x0020000D
SAMPLES: Final = 0x00280002
PHOTOMETRIC: Final = 0x00280004
PLANAR: Final = 0x00280006
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
REPRESENTATION: Final = 0x00280103

WANTED: Final = frozenset(
    {MODALITY, PATIENT_ID, STUDY_UID, SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS}
    | {BITS_ALLOCATED, BITS_STORED, HIGH_BIT, REPRESENTATION}
)

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_MAX_IDENTIFIER_BYTES: Final = 1024
# PS3.5 table 6.2-1, DS and IS. Python's float() and int() also take "nan", "1_0" and other scripts' digits.
_DECIMAL: Final = re.compile(r"[+-]?(\d{1,64}(\.\d{0,64})?|\.\d{1,64})([eE][+-]?\d{1,4})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,12}", re.ASCII)


class PixelLayout(Struct, frozen=True, kw_only=True):
    """How one frame's samples are stored. All that a decoder has to know besides the transfer syntax."""

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    signed: int

    @property
    def frame_bytes(self) -> int:
        """The length of a frame when decoded, every sample in a whole number of bytes."""
        return self.rows * self.columns * self.samples * max(1, self.bits_allocated // 8)


@implements("REQ-INF-027")
def pixel_layout(elements: Elements, limits: Limits) -> PixelLayout:
    """The layout, consistent in itself and within the limits. Raises DecodeFailed or ImageTooLarge."""
    rows, columns = required_us(elements, ROWS), required_us(elements, COLUMNS)
    if rows == 0 or columns == 0:
        raise DecodeFailed("Rows (0028,0010) and Columns (0028,0011) must not be 0.")
    if rows * columns > limits.max_pixels:
        raise ImageTooLarge(f"The image has more than {limits.max_pixels} pixels.")
    samples = required_us(elements, SAMPLES)
    layout = PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=text(elements.value(PHOTOMETRIC)),
        planar=required_us(elements, PLANAR) if samples > 1 else 0,
        bits_allocated=required_us(elements, BITS_ALLOCATED),
        bits_stored=required_us(elements, BITS_STORED),
        signed=required_us(elements, REPRESENTATION),
    )
    _check_photometric(layout)
    _check_bits(layout, optional_us(elements, HIGH_BIT))
    if layout.frame_bytes > limits.max_inflated_bytes:
        raise ImageTooLarge(f"A frame decodes to more than {limits.max_inflated_bytes} bytes.")
    return layout


@implements("REQ-INF-028")
def _check_photometric(layout: PixelLayout) -> None:
    if layout.samples == 1 and (layout.photometric in _GREY or layout.photometric == "PALETTE COLOR"):
        return
    if layout.samples == 3 and layout.photometric in _COLOUR and layout.planar in (0, 1):
        return
    raise DecodeFailed(
        "Photometric Interpretation (0028,0004) and Samples per Pixel (0028,0002) must be MONOCHROME1, "
        "MONOCHROME2 or PALETTE COLOR with 1 sample, or RGB or YBR with 3."
    )


@implements("REQ-INF-028")
def _check_bits(layout: PixelLayout, high_bit: int | None) -> None:
    if layout.bits_allocated not in (1, 8, 16, 32):
        raise DecodeFailed("Bits Allocated (0028,0100) must be 1, 8, 16 or 32.")
    if not 1 <= layout.bits_stored <= layout.bits_allocated:
        raise DecodeFailed("Bits Stored (0028,0101) must be from 1 to Bits Allocated (0028,0100).")
    if high_bit is not None and high_bit != layout.bits_stored - 1:
        # PS3.5 8.1.1. Elsewhere in the cell, a reader that goes by Bits Stored alone would see other values.
        raise DecodeFailed("High Bit (0028,0102) must be one less than Bits Stored (0028,0101).")
    if layout.signed not in (0, 1):
        raise DecodeFailed("Pixel Representation (0028,0103) must be 0 or 1.")


@implements("REQ-INF-027")
def frame_count(elements: Elements, limits: Limits) -> int:
    """Number of Frames, 1 where it is absent or empty."""
    value = text(elements.value(FRAMES))
    if not value:
        return 1
    if not _INTEGER.fullmatch(value) or int(value) < 1:
        raise DecodeFailed("Number of Frames (0028,0008) must be a number from 1.")
    if int(value) > limits.max_frames:
        raise ImageTooLarge(f"The file has more than {limits.max_frames} frames.")
    return int(value)


@implements("REQ-INF-009")
def chosen_frame(frames: int, asked: int | None) -> int:
    """The frame to decode, from 1. Several frames need a choice: taking the first would be a guess."""
    if asked is None:
        if frames != 1:
            raise FrameInvalid(f"The file has {frames} frames: say which with `frame`, from 1.")
        return 1
    if not 1 <= asked <= frames:
        raise FrameInvalid(f"There is no such frame: the file has {frames}, counted from 1.")
    return asked


@implements("REQ-INF-028")
def required_us(elements: Elements, tag: int) -> int:
    number = optional_us(elements, tag)
    if number is None:
        raise DecodeFailed(f"The element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing.")
    return number


def optional_us(elements: Elements, tag: int) -> int | None:
    """An unsigned short with one value."""
    value = elements.value(tag)
    if not value:
        return None
    if len(value) != 2:
        raise DecodeFailed(f"The element ({tag >> 16:04X},{tag & 0xFFFF:04X}) must be one 16-bit number.")
    number: int = struct.unpack("<H" if elements.little else ">H", value)[0]
    return number


def text(value: bytes) -> str:
    """The first value of a code string, without its padding; other than ASCII becomes U+FFFD, matching nothing."""
    return value[:128].split(b"\\")[0].decode("ascii", "replace").strip(" \0")


def decimal(elements: Elements, tag: int) -> float | None:
    """The first value of a DS; None where it is absent or empty.

    What is written as a number comes out as it is: one beyond double precision's range is infinite, and the flow
    abstains on it. What is not written as a number is refused.
    """
    value = text(elements.value(tag))
    if not value:
        return None
    if not _DECIMAL.fullmatch(value):
        raise DecodeFailed(f"The element ({tag >> 16:04X},{tag & 0xFFFF:04X}) must be a decimal number.")
    return float(value)


def identifier(elements: Elements, tag: int) -> str | None:
    """A raw identifier for a pseudonym; None where there is none or it is absurdly long.

    Bytes are read as UTF-8, else as Latin-1, without regard to Specific Character Set: what matters is that equal
    bytes give an equal pseudonym. A cut identifier could be another patient's, so a long one is dropped whole.
    """
    value = elements.value(tag).strip(b" \0")
    if not value or len(value) > _MAX_IDENTIFIER_BYTES:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
