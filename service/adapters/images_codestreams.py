"""What a compressed frame claims of itself, read from its own header before any decoder allocates for it."""

import struct
from typing import Final, NamedTuple

from service.adapters.images_attributes import PixelLayout
from service.adapters.images_syntaxes import JPEG_2000, JPEG_LOSSLESS, JPEG_LS, RLE
from service.errors import DecodeFailed
from traceability.marks import implements

MAX_SCANS: Final = 64
"""Scans of one JPEG image. A progressive one has about ten; each makes a decoder go over the whole image again."""

_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_JP2_BOX: Final = b"\x00\x00\x00\x0cjP  "
_SOI: Final = b"\xff\xd8"
_EOI: Final = b"\xff\xd9"
_SOS: Final = 0xDA
# ITU-T T.81 table B.1: SOF0 to SOF15 without DHT, JPG and DAC; ITU-T T.87 C.1.1: SOF55 of JPEG-LS.
_START_OF_FRAME: Final = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7})


class Claim(NamedTuple):
    """The size that a codestream claims."""

    rows: int
    columns: int
    components: int


@implements("REQ-INF-025")
def check_claims(frame: bytes, layout: PixelLayout, syntax: str) -> None:
    """That the frame claims just what the data set says. Raises DecodeFailed."""
    if syntax == RLE:
        # PS3.5 G.5: a header of 16 longs, the number of segments first; G.2: a segment for each byte of a sample.
        segments = struct.unpack_from("<L", frame)[0] if len(frame) >= 64 else 0
        if segments != layout.samples * layout.bits_allocated // 8:
            raise DecodeFailed("The RLE frame does not have a segment for each byte of a sample.")
        _check_enough(len(frame) * 64, layout.frame_bytes)  # G.3.1: two bytes stand for at most 128
        return
    claim = jpeg_2000_claim(frame) if syntax in JPEG_2000 else jpeg_claim(frame)
    if claim != (layout.rows, layout.columns, layout.samples):
        raise DecodeFailed("The compressed frame's own size is not the one that the DICOM header says.")
    if syntax in JPEG_LOSSLESS:
        # ITU-T T.81 H.1.2.2: a sample has a code of at least one bit. (A decoder that is given less reads on beyond
        # its input: the one crash that fuzzing found.)
        _check_enough(len(frame) * 8, layout.rows * layout.columns * layout.samples)
    if syntax in JPEG_LS and not frame.rstrip(b"\0").endswith(_EOI):
        # CharLS takes what is missing for zeros and counts them, for seconds, before it refuses.
        raise DecodeFailed("The JPEG-LS frame does not end with an end of image: it is cut short.")


def _check_enough(at_most: int, promised: int) -> None:
    if at_most < promised:
        raise DecodeFailed("The compressed frame is too short for the size that it claims.")


def jpeg_claim(frame: bytes) -> Claim:
    """The first start of frame of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2). Raises DecodeFailed."""
    if not frame.startswith(_SOI):
        raise DecodeFailed("The JPEG data does not begin with a start of image.")
    if frame.count(b"\xff\xda") > MAX_SCANS:
        raise DecodeFailed(f"The JPEG data has more than {MAX_SCANS} scans.")
    pos = 2
    while pos + 4 <= len(frame):
        if frame[pos] != 0xFF:
            break
        marker = frame[pos + 1]
        if marker == 0xFF:  # a fill byte (B.1.1.2)
            pos += 1
            continue
        if marker in _START_OF_FRAME and pos + 10 <= len(frame):
            rows, columns, components = struct.unpack_from(">HHB", frame, pos + 5)
            return Claim(rows, columns, components)
        if marker == _SOS:
            break
        pos += 2 + int.from_bytes(frame[pos + 2 : pos + 4], "big")
    raise DecodeFailed("The JPEG data has no start of frame.")


def jpeg_2000_claim(frame: bytes) -> Claim:
    """The SIZ segment of a JPEG 2000 codestream (ITU-T T.800 A.5.1), bare or in a JP2 file. Raises DecodeFailed."""
    start = frame.find(_SOC_SIZ) if frame.startswith(_JP2_BOX) else 0
    if start < 0 or frame[start : start + 4] != _SOC_SIZ or len(frame) < start + 42:
        raise DecodeFailed("The JPEG 2000 data does not begin with its size.")
    width, height, left, top = struct.unpack_from(">4L", frame, start + 8)
    components = struct.unpack_from(">H", frame, start + 40)[0]
    return Claim(height - top, width - left, components)
