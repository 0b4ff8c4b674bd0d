"""The path from stored values to grey levels that a DICOM header describes: rescale, Modality LUT, VOI LUT, window.

Functional groups (PS3.3 C.7.6.16) stand before the data set's own elements, a frame's own before the shared.
"""

import struct
from typing import Final, Literal, cast

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.adapters.images_attributes import decimal, text
from service.adapters.images_elements import Elements, Walk
from service.domain.messages import LookupTable, Window
from service.errors import DecodeFailed
from traceability.marks import implements

WINDOW_CENTER: Final = 0x00281050
WINDOW_WIDTH: Final = 0x00281051
INTERCEPT: Final = 0x00281052
SLOPE: Final = 0x00281053
RESCALE_TYPE: Final = 0x00281054
VOI_FUNCTION: Final = 0x00281056
MODALITY_LUT: Final = 0x00283000
LUT_DESCRIPTOR: Final = 0x00283002
LUT_TYPE: Final = 0x00283004
LUT_DATA: Final = 0x00283006
VOI_LUT: Final = 0x00283010
SHARED_GROUPS: Final = 0x52009229
FRAME_GROUPS: Final = 0x52009230
_FRAME_VOI: Final = 0x00289132
_VALUE_TRANSFORMATION: Final = 0x00289145

WANTED: Final = frozenset(
    {WINDOW_CENTER, WINDOW_WIDTH, INTERCEPT, SLOPE, RESCALE_TYPE, VOI_FUNCTION, MODALITY_LUT, VOI_LUT}
    | {SHARED_GROUPS, FRAME_GROUPS}
)
_FUNCTIONS: Final[dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]]] = {
    "LINEAR": "LINEAR",
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}


class GreyPath(Struct, frozen=True, kw_only=True):
    """What C.11.1 and C.11.2 need; the first of several windows or tables."""

    slope: float
    intercept: float
    modality_lut: LookupTable | None
    units_known: bool
    voi_window: Window | None
    voi_lut: LookupTable | None


@implements("REQ-INF-030")
def grey_path(elements: Elements, walk: Walk, *, frame: int, signed: bool, modality: str) -> GreyPath:
    """The grey path of `frame`, counted from 1. Raises DecodeFailed where the header contradicts itself."""
    groups = _groups(elements, walk, frame)
    values = _group(groups, walk, _VALUE_TRANSFORMATION, frozenset({SLOPE, INTERCEPT, RESCALE_TYPE})) or elements
    window = _group(groups, walk, _FRAME_VOI, frozenset({WINDOW_CENTER, WINDOW_WIDTH, VOI_FUNCTION})) or elements
    slope, intercept = decimal(values, SLOPE), decimal(values, INTERCEPT)
    return GreyPath(
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        modality_lut=_table(elements, walk, MODALITY_LUT, signed=signed),
        units_known=_are_units_known(elements, values, walk, modality),
        voi_window=_window(window),
        voi_lut=_table(elements, walk, VOI_LUT, signed=signed),
    )


@implements("REQ-INF-007")
def _are_units_known(elements: Elements, values: Elements, walk: Walk, modality: str) -> bool:
    """Whether the file says what its rescaled values are: of a CT, that they are Hounsfield units.

    Slope and Intercept stand together or a Modality LUT does (C.11.1). A CT's Rescale Type may be absent where it
    is HU (C.8.2.1); a Modality LUT always has its type (C.11.1). Any other, US (unspecified) among them, is no HU.
    """
    if tables := walk.items(elements, MODALITY_LUT, limit=1):
        kind = text(walk.item(tables[0], frozenset({LUT_TYPE}), within=elements).value(LUT_TYPE))
        return modality != "CT" or kind == "HU"
    if not values.value(SLOPE) or not values.value(INTERCEPT):
        return False
    return modality != "CT" or text(values.value(RESCALE_TYPE)) in ("", "HU")


@implements("REQ-INF-030")
def _groups(elements: Elements, walk: Walk, frame: int) -> list[Elements]:
    """The frame's own functional groups, then the shared ones."""
    wanted = frozenset({_FRAME_VOI, _VALUE_TRANSFORMATION})
    own = walk.items(elements, FRAME_GROUPS, limit=frame)[frame - 1 : frame]
    shared = walk.items(elements, SHARED_GROUPS, limit=1)
    return [walk.item(span, wanted, within=elements) for span in (*own, *shared)]


def _group(groups: list[Elements], walk: Walk, tag: int, wanted: frozenset[int]) -> Elements | None:
    for group in groups:
        for span in walk.items(group, tag, limit=1):
            return walk.item(span, wanted, within=group)
    return None


def _window(elements: Elements) -> Window | None:
    center, width = decimal(elements, WINDOW_CENTER), decimal(elements, WINDOW_WIDTH)
    if center is None or width is None:
        return None
    function = _FUNCTIONS.get(text(elements.value(VOI_FUNCTION)) or "LINEAR")
    if function is None:
        raise DecodeFailed("VOI LUT Function (0028,1056) must be LINEAR, LINEAR_EXACT or SIGMOID.")
    return Window(center=center, width=width, function=function)


def _table(elements: Elements, walk: Walk, tag: int, *, signed: bool) -> LookupTable | None:
    """The first table of a LUT sequence (C.11.1.1, C.11.2.1.1); None where there is none.

    The first value mapped is a signed number if its VR says SS or, where no VR is written, if the pixels are.
    """
    spans = walk.items(elements, tag, limit=1)
    if not spans:
        return None
    item = walk.item(spans[0], frozenset({LUT_DESCRIPTOR, LUT_DATA}), within=elements)
    descriptor = item.value(LUT_DESCRIPTOR)
    if len(descriptor) != 6:
        raise DecodeFailed("LUT Descriptor (0028,3002) must be three numbers.")
    order = "<" if item.little else ">"
    if vr := item.places[LUT_DESCRIPTOR].vr:
        signed = vr == b"SS"
    entries, first, bits = struct.unpack(f"{order}H{'h' if signed else 'H'}H", descriptor)
    return LookupTable(first_mapped=first, bits=bits, table=table_entries(item, LUT_DATA, entries or 65536, bits))


def table_entries(elements: Elements, tag: int, entries: int, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A LUT's entries: of 8 bits in bytes or in words, else in words (C.11.1.1.1, C.7.6.3.1.6)."""
    data = elements.value(tag)
    order = "<" if elements.little else ">"
    if not 8 <= bits <= 16:
        raise DecodeFailed("A lookup table's entries must have from 8 to 16 bits.")
    if len(data) == 2 * entries:
        words = np.frombuffer(data, f"{order}u2").astype(np.uint16)
        return words.astype(np.uint8) if bits == 8 and int(words.max()) < 256 else words
    if bits == 8 and len(data) == entries + entries % 2:
        packed = np.frombuffer(data, np.uint8)
        if not elements.little and elements.places[tag].vr == b"OW":
            packed = packed.reshape(-1, 2)[:, ::-1].reshape(-1)
        return cast("NDArray[np.uint8]", np.ascontiguousarray(packed[:entries]))
    raise DecodeFailed("A lookup table's length does not match its descriptor.")
