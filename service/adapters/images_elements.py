"""Finding the data elements that an image needs, without building the data set around them.

`read_part10` is where to begin: a DICOM file (PS3.10) becomes its transfer syntax and the places of the wanted
elements. Values are not copied and nested items are not entered until someone asks; the walk keeps its own
stack, so that depth costs no recursion, and it counts, so that a hostile file ends it early.

Why not pydicom's reader: with a file of nothing but elements or nested items it takes memory and time many
times the file's size, recurses as deep as the file says, and puts values into warnings. Its pixel handling is
used (`service.adapters.images_pixels`); the tests hold this walk against its reader over every bundled file.
"""

import struct
import zlib
from typing import Final, NamedTuple

from service.errors import DecodeFailed, ImageTooLarge, MediaUnsupported
from traceability.marks import implements

MAX_ELEMENTS: Final = 250_000
"""Headers read in one file: about 0.2 s. An enhanced multi-frame file of 2,000 frames has some 120,000."""
MAX_DEPTH: Final = 32
"""Open sequences and items: PS3.3's deepest are about ten."""

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
UNDEFINED: Final = 0xFFFFFFFF
_TRANSFER_SYNTAX: Final = 0x00020010
_META_GROUP: Final = b"\x02\x00"

DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

# PS3.5 table 7.1-1: explicit VRs with two reserved bytes and a 32-bit length.
_LONG_VR: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VR: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # PS3.5 table 7.1-2
)


class Place(NamedTuple):
    """Where a value lies in the body; `length` may be UNDEFINED. `vr` is None where the encoding is implicit."""

    start: int
    length: int
    vr: bytes | None


class Elements(NamedTuple):
    """Elements of one data set or item, by tag, in the buffer that they are read from."""

    buffer: bytes
    places: dict[int, Place]
    explicit: bool
    little: bool

    def value(self, tag: int) -> bytes:
        """The value's bytes; empty where the element is absent or empty. The caller bounds what it asks for."""
        place = self.places.get(tag)
        if place is None:
            return b""
        if place.length == UNDEFINED:
            raise DecodeFailed(f"The element ({tag >> 16:04X},{tag & 0xFFFF:04X}) has no length.")
        return self.buffer[place.start : place.start + place.length]


class Part10(NamedTuple):
    """A file's transfer syntax and the elements wanted of its data set, inflated where that is needed."""

    transfer_syntax: str
    elements: Elements
    walk: "Walk"


def read_part10(
    body: bytes, wanted: frozenset[int], *, max_inflated_bytes: int, max_elements: int = MAX_ELEMENTS
) -> Part10:
    """The wanted top-level elements up to and including Pixel Data.

    Accepted without the 128-byte preamble if File Meta Information comes first. Without a transfer syntax there
    is nothing that says how to read the pixels: that is refused, not guessed. A wanted element that is there
    twice is refused, since readers differ in which one they take.
    """
    start = _meta_start(body)
    walk = Walk(body, explicit=True, little=True, max_elements=max_elements)
    meta, start = walk.group2(start)
    syntax = _uid(meta.value(_TRANSFER_SYNTAX))
    if not syntax:
        raise DecodeFailed("The file has no Transfer Syntax UID (0002,0010), so its pixels cannot be read safely.")
    if syntax == DEFLATED:
        body = _inflate(memoryview(body)[start:], max_inflated_bytes)
        start = 0
    walk = Walk(body, explicit=syntax != _IMPLICIT, little=syntax != _BIG_ENDIAN, max_elements=max_elements)
    return Part10(syntax, walk.dataset(wanted, start=start), walk)


def _meta_start(body: bytes) -> int:
    if body[128:132] == b"DICM":
        return 132
    if body[:2] == _META_GROUP:
        return 0
    if body.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        raise MediaUnsupported("The body is a PNG or a JPEG, but its Content-Type says DICOM.")
    raise DecodeFailed("The body is not a DICOM file: it has neither the DICM prefix nor File Meta Information.")


def _uid(value: bytes) -> str:
    try:
        return value[:66].rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError as error:
        raise DecodeFailed("The Transfer Syntax UID (0002,0010) is not a UID.") from error


@implements("REQ-INF-027")
def _inflate(deflated: memoryview, limit: int) -> bytes:
    """PS3.5 A.5: everything after the meta information is one raw deflate stream (RFC 1951)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, limit + 1)
    except zlib.error as error:
        raise DecodeFailed("The deflated data set cannot be inflated.") from error
    if len(inflated) > limit:
        raise ImageTooLarge(f"The data set inflates to more than {limit} bytes.")
    if not inflater.eof:
        raise DecodeFailed("The deflated data set ends early.")
    return inflated


class Walk:
    """One pass over a buffer in one encoding. Every header read is counted against `max_elements`."""

    def __init__(self, buffer: bytes, *, explicit: bool, little: bool, max_elements: int = MAX_ELEMENTS) -> None:
        self.buffer = buffer
        self.explicit = explicit
        self.little = little
        self._limit = self._left = max_elements
        order = "<" if little else ">"
        self._implicit_header = struct.Struct(f"{order}HHL").unpack_from
        self._explicit_header = struct.Struct(f"{order}HH2sH").unpack_from
        self._long = struct.Struct(f"{order}L").unpack_from

    def group2(self, pos: int) -> tuple[Elements, int]:
        """File Meta Information, and where the data set after it begins."""
        places: dict[int, Place] = {}
        while self.buffer[pos : pos + 2] == _META_GROUP:
            tag, place, _ = self._header(pos, explicit=True)
            if place.length == UNDEFINED:
                raise DecodeFailed("The File Meta Information is malformed.")
            pos = self._end(place, len(self.buffer))
            _put(places, tag, place)
        return Elements(self.buffer, places, explicit=True, little=True), pos

    def dataset(self, wanted: frozenset[int], *, start: int) -> Elements:
        """The wanted elements from `start` on, skipping the rest, up to and including Pixel Data."""
        explicit = self._encoding_at(start, explicit=self.explicit)
        return self._elements(start, len(self.buffer), wanted, explicit=explicit)

    def item(self, span: tuple[int, int], wanted: frozenset[int], *, within: Elements) -> Elements:
        """The wanted elements of one item of a sequence that `within` holds."""
        explicit = within.explicit and self._encoding_at(span[0], explicit=True)
        return self._elements(*span, wanted, explicit=explicit)

    def _elements(self, pos: int, end: int, wanted: frozenset[int], *, explicit: bool) -> Elements:
        places: dict[int, Place] = {}
        buffer, short = self.buffer, self._explicit_header
        while end - pos >= 8:
            if explicit:  # nearly every element of nearly every file: one that is not wanted, with a short length
                group, element, vr, length = short(buffer, pos)
                after = pos + 8 + length
                if vr in _SHORT_VR and after <= end and group << 16 | element not in wanted:
                    self._spend()
                    pos = after
                    continue
            tag, place, undefined = self._header(pos, explicit=explicit)
            if tag == ITEM_END:
                break
            if tag in wanted:
                _put(places, tag, place)
            if tag == PIXEL_DATA:
                if not undefined:
                    self._end(place, end)
                break
            pos = self._after_undefined(place.start, end, explicit=explicit) if undefined else self._end(place, end)
        return Elements(self.buffer, places, explicit=explicit, little=self.little)

    def items(self, elements: Elements, tag: int, *, limit: int) -> list[tuple[int, int]]:
        """Start and end of each item's content in a sequence, the first `limit`; none where it is absent."""
        place = elements.places.get(tag)
        if place is None:
            return []
        pos = place.start
        end = len(self.buffer) if place.length == UNDEFINED else self._end(place, len(self.buffer))
        found: list[tuple[int, int]] = []
        while end - pos >= 8 and len(found) < limit:
            item, length = self._item(pos)
            if item == SEQUENCE_END:
                break
            if item != ITEM:
                raise DecodeFailed("A sequence is malformed.")
            start = pos + 8
            if length == UNDEFINED:
                pos = self._after_undefined_item(start, end, explicit=elements.explicit)
                found.append((start, pos - 8))
            else:
                pos = start + length
                if pos > end:
                    raise DecodeFailed("A sequence's item is longer than the sequence.")
                found.append((start, pos))
        return found

    def fragments(self, place: Place) -> list[tuple[int, int]]:
        """Start and end of each fragment of encapsulated Pixel Data (PS3.5 A.4), the offset table first."""
        pos = place.start
        end = len(self.buffer)
        found: list[tuple[int, int]] = []
        while end - pos >= 8:
            tag, length = self._item(pos)
            pos += 8
            if tag == SEQUENCE_END:
                return found
            if tag != ITEM or length > end - pos:
                break
            found.append((pos, pos + length))
            pos += length
        raise DecodeFailed("The encapsulated Pixel Data (7FE0,0010) is cut short or malformed.")

    @implements("REQ-SEC-016")
    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ImageTooLarge(f"The file has more than {self._limit} data elements.")

    def _item(self, pos: int) -> tuple[int, int]:
        self._spend()
        group, element, length = self._implicit_header(self.buffer, pos)
        return group << 16 | element, length

    def _header(self, pos: int, *, explicit: bool) -> tuple[int, Place, bool]:
        """The element header at `pos` (PS3.5 7.1.2, 7.1.3)."""
        self._spend()
        buffer = self.buffer
        if len(buffer) - pos < 8:
            raise DecodeFailed("The file ends within a data element.")
        if not explicit:
            group, element, length = self._implicit_header(buffer, pos)
            return group << 16 | element, Place(pos + 8, length, None), length == UNDEFINED
        group, element, vr, length = self._explicit_header(buffer, pos)
        if vr in _LONG_VR:
            if len(buffer) - pos < 12:
                raise DecodeFailed("The file ends within a data element.")
            length = self._long(buffer, pos + 8)[0]
            return group << 16 | element, Place(pos + 12, length, vr), length == UNDEFINED
        if not b"AA" <= vr <= b"ZZ":
            # Some writers change to implicit within an explicit data set, and delimiters have no VR at all.
            group, element, length = self._implicit_header(buffer, pos)
            return group << 16 | element, Place(pos + 8, length, None), length == UNDEFINED
        return group << 16 | element, Place(pos + 8, length, vr), False

    def _end(self, place: Place, end: int) -> int:
        after = place.start + place.length
        if after > end:
            raise DecodeFailed("A data element is longer than what is left of the file.")
        return after

    def _encoding_at(self, pos: int, *, explicit: bool) -> bool:
        """Whether the data set at `pos` is explicit: its first VR decides over what was declared, as in pydicom."""
        vr = self.buffer[pos + 4 : pos + 6]
        if len(vr) < 2 or self.buffer[pos : pos + 2] in (b"\xfe\xff", b"\xff\xfe"):
            return explicit
        return 0x40 < vr[0] < 0x5B and 0x40 < vr[1] < 0x5B

    def _after_undefined(self, pos: int, end: int, *, explicit: bool) -> int:
        """Where a value of undefined length, a sequence or fragments, is over."""
        return self._skip(pos, end, [(False, explicit)])

    def _after_undefined_item(self, pos: int, end: int, *, explicit: bool) -> int:
        return self._skip(pos, end, [(True, explicit and self._encoding_at(pos, explicit=explicit))])

    @implements("REQ-SEC-016")
    def _skip(self, pos: int, end: int, stack: list[tuple[bool, bool]]) -> int:
        """Leaves every open (is an item, is explicit) on the stack, innermost last; returns what follows."""
        while stack:
            if end - pos < 8:
                raise DecodeFailed("The file ends within a sequence.")
            if len(stack) > MAX_DEPTH:
                raise DecodeFailed(f"Sequences are nested more than {MAX_DEPTH} deep.")
            in_item, explicit = stack[-1]
            if in_item:
                tag, place, undefined = self._header(pos, explicit=explicit)
                if tag == ITEM_END:
                    stack.pop()
                    pos += 8
                elif undefined:
                    stack.append((False, explicit))
                    pos = place.start
                else:
                    pos = self._end(place, end)
                continue
            tag, length = self._item(pos)
            pos += 8
            if tag == SEQUENCE_END:
                stack.pop()
            elif tag != ITEM:
                raise DecodeFailed("A sequence is malformed.")
            elif length == UNDEFINED:
                stack.append((True, explicit and self._encoding_at(pos, explicit=explicit)))
            elif length > end - pos:
                raise DecodeFailed("A sequence's item is longer than what is left of the file.")
            else:
                pos += length
        return pos


def _put(places: dict[int, Place], tag: int, place: Place) -> None:
    if tag in places:
        raise DecodeFailed(f"The element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is in the file twice.")
    places[tag] = place
