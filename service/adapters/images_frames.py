"""Which bytes of the Pixel Data are the one frame that was asked for."""

import struct
from typing import Final

from service.adapters.images_elements import UNDEFINED, Elements, Walk
from service.errors import DecodeFailed
from traceability.marks import implements

PIXEL_DATA: Final = 0x7FE00010
EXTENDED_OFFSETS: Final = 0x7FE00001
EXTENDED_LENGTHS: Final = 0x7FE00002
FLOAT_PIXELS: Final = 0x7FE00008
DOUBLE_PIXELS: Final = 0x7FE00009
WANTED: Final = frozenset({PIXEL_DATA, EXTENDED_OFFSETS, EXTENDED_LENGTHS, FLOAT_PIXELS, DOUBLE_PIXELS})

_END_OF_IMAGE: Final = b"\xff\xd9"


def encapsulated_frame(elements: Elements, walk: Walk, *, frame: int, frames: int) -> bytes:
    """The compressed bytes of `frame` (from 1), by PS3.5 A.4: extended offsets, else basic offsets, else by count.

    Without offsets and with neither one fragment a frame nor one frame, a frame ends with the fragment that ends
    with a JPEG end of image, as pydicom has it.
    """
    place = elements.places[PIXEL_DATA]
    if place.length != UNDEFINED:
        raise DecodeFailed("Compressed Pixel Data (7FE0,0010) must be encapsulated.")
    table, *fragments = walk.fragments(place) or [(0, 0)]
    if not fragments:
        raise DecodeFailed("The Pixel Data (7FE0,0010) is empty.")
    buffer = memoryview(walk.buffer)
    first_item = fragments[0][0] - 8
    if extended := elements.value(EXTENDED_OFFSETS):
        lengths = elements.value(EXTENDED_LENGTHS)
        start = first_item + _offset(extended, "<Q", frame, frames) + 8
        if start not in {begin for begin, _ in fragments}:
            raise DecodeFailed("The Extended Offset Table (7FE0,0001) does not point at a fragment.")
        return _joined(buffer, [(start, min(start + _offset(lengths, "<Q", frame, frames), fragments[-1][1]))])
    if frames == 1:
        return _joined(buffer, fragments)
    if table[1] > table[0]:
        offsets = bytes(buffer[table[0] : table[1]])
        begin = first_item + _offset(offsets, "<L", frame, frames)
        end = first_item + _offset(offsets, "<L", frame + 1, frames) if frame < frames else fragments[-1][1] + 1
        return _joined(buffer, [span for span in fragments if begin <= span[0] - 8 < end])
    if len(fragments) == frames:
        return _joined(buffer, [fragments[frame - 1]])
    return _joined(buffer, _by_end_of_image(buffer, fragments, frame))


@implements("REQ-INF-028")
def native_pixels(elements: Elements, *, frame_bits: int, frames: int) -> memoryview:
    """All of the native Pixel Data, long enough for every frame that the header promises."""
    place = elements.places[PIXEL_DATA]
    if place.length == UNDEFINED:
        raise DecodeFailed("Native Pixel Data (7FE0,0010) must have a length.")
    needed = (frame_bits * frames + 7) // 8
    if place.length < needed:
        raise DecodeFailed("The Pixel Data (7FE0,0010) is shorter than Rows, Columns and Number of Frames say.")
    return memoryview(elements.buffer)[place.start : place.start + place.length]


def _offset(table: bytes, form: str, frame: int, frames: int) -> int:
    width = struct.calcsize(form)
    if len(table) < frames * width:
        raise DecodeFailed("The Pixel Data's offset table has too few offsets.")
    offset: int = struct.unpack_from(form, table, (frame - 1) * width)[0]
    return offset


def _by_end_of_image(buffer: memoryview, fragments: list[tuple[int, int]], frame: int) -> list[tuple[int, int]]:
    seen = 1
    found: list[tuple[int, int]] = []
    for start, end in fragments:
        if seen == frame:
            found.append((start, end))
        if _END_OF_IMAGE in bytes(buffer[max(start, end - 10) : end]):
            if seen == frame:
                return found
            seen += 1
    return found


def _joined(buffer: memoryview, spans: list[tuple[int, int]]) -> bytes:
    frame = b"".join(buffer[start:end] for start, end in spans)
    if not frame:
        raise DecodeFailed("The frame has no bytes in the Pixel Data (7FE0,0010).")
    return frame
