"""From stored pixel values to the model's input, by DICOM PS3.3 (2024e) C.11 and the model's card.

In order: rescale or Modality LUT (C.11.1); then the card's window if it has one and the file says what its values
are, else the file's VOI LUT or window (C.11.2), else the full range of the values; then inversion of MONOCHROME1
(C.7.6.3.1.2); then resize; then (grey - mean) / std. Grey levels are float32 in [0, 1], so y_min = 0 and y_max = 1
in the formulae below. Every step is a plain numpy expression in a fixed order: equal input gives equal bytes on one
numpy build.
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.domain.card import InputContract
from service.domain.messages import Array, DecodedImage, Float32, LookupTable, Window, WindowUsed
from traceability.marks import implements

MAX_MILLI = 2**53 - 1  # the record's integers (RFC 8785 section 3.2.2.3)


class Grey(Struct, frozen=True, kw_only=True):
    """Grey levels [channels, rows, columns] in [0, 1], whose window they are, and whether all values were finite.

    Where `finite` is false the levels are 0 and mean nothing.
    """

    levels: Float32
    window: WindowUsed
    finite: bool


class _Line(Struct, frozen=True, kw_only=True):
    """value = stored * slope + offset, in double precision until it meets the pixels."""

    slope: float
    offset: float


@implements("REQ-INF-013")
def grey_levels(image: DecodedImage, contract: InputContract) -> Grey:
    """What a viewer under this window would show, upright: 0 is black, 1 is white, NaN never."""
    with np.errstate(all="ignore"):  # an overflow is no warning here: it is looked for, and it abstains
        levels, window = _windowed(image, contract)
        finite = bool(np.isfinite(levels.min()) and np.isfinite(levels.max()))
        if not finite:
            levels = np.zeros_like(levels)
        levels = np.clip(levels, np.float32(0), np.float32(1), out=levels)
    if image.photometric == "MONOCHROME1":
        levels = np.subtract(np.float32(1), levels, out=levels)
    return Grey(levels=_channels_first(levels), window=window, finite=finite)


@implements("REQ-INF-007")
def lacks_units(image: DecodedImage, contract: InputContract) -> bool:
    """Whether the card's window is in units that this image does not say its values are in.

    Then the image is shown as its own file says, and the model is not to see it: stored values taken for
    Hounsfield units are another picture.
    """
    return contract.window is not None and _has_units(image) and not image.units_known


@implements("REQ-INF-014")
def resize(levels: Float32, rows: int, columns: int) -> Float32:
    """[channels, rows, columns] by the mean of the area that each new pixel covers where the image shrinks,
    by linear interpolation between pixel centres, edges repeated, where it grows; each axis for itself.

    Weights are not negative and sum to 1, so the result stays within the least and greatest input.
    """
    shrunk = _along_rows(levels, rows)
    turned = np.ascontiguousarray(shrunk.transpose(0, 2, 1))
    result = _along_rows(turned, columns)
    return np.ascontiguousarray(result.transpose(0, 2, 1))


@implements("REQ-INF-034")
def normalise(view: Float32, contract: InputContract) -> Float32:
    """The model's input [1, channels, rows, columns]: (grey - mean) / std."""
    scaled = np.subtract(view, np.float32(contract.mean), dtype=np.float32)
    return np.multiply(scaled, np.float32(1.0 / contract.std), out=scaled)[np.newaxis]


@implements("REQ-INF-010")
def _windowed(image: DecodedImage, contract: InputContract) -> tuple[Float32, WindowUsed]:
    """Values mapped so that the window's ends are 0 and 1; not clamped yet, so that infinity still shows."""
    if not _has_units(image):
        # A rendered image has no unit: the full range of its bits is taken as the window that made it.
        return _full_range(image, image.stored, _Line(slope=1.0, offset=0.0)), WindowUsed(source="none")
    values, line = _rescaled(image)
    if contract.window is not None and image.units_known:
        card = Window(center=contract.window.center, width=contract.window.width, function=contract.window.function)
        return _through_window(values, line, card), _used("card", card)
    if image.voi_lut is not None:
        return _through_table(values, line, image.voi_lut), WindowUsed(source="file_lut")
    if image.voi_window is not None and _usable(image.voi_window):
        return _through_window(values, line, image.voi_window), _used("file_window", image.voi_window)
    return _full_range(image, values, line), WindowUsed(source="none")


def _has_units(image: DecodedImage) -> bool:
    """Whether values could be in a unit at all: those of a rendered or of a coloured image never are."""
    return image.media_type == "application/dicom" and image.photometric != "RGB"


@implements("REQ-INF-012")
def _rescaled(image: DecodedImage) -> tuple[Array, _Line]:
    """C.11.1: the Modality LUT's output, or the stored values with output = m * SV + b still to be applied.

    Keeping m and b apart lets rescale and window be one multiplication and one addition a pixel.
    """
    if image.modality_lut is not None:
        return _looked_up(image.stored, image.modality_lut), _Line(slope=1.0, offset=0.0)
    slope, intercept = image.rescale_slope, image.rescale_intercept
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        return image.stored, _Line(slope=math.nan, offset=math.nan)  # a sigmoid would bring infinity back to 1
    return image.stored, _Line(slope=slope, offset=intercept)


@implements("REQ-INF-011")
def _through_window(values: Array, line: _Line, window: Window) -> Float32:
    """C.11.2.1.2.1 LINEAR, C.11.2.1.3.2 LINEAR_EXACT, C.11.2.1.3.1 SIGMOID; clamping comes afterwards.

    LINEAR        y = (x - (c - 0.5)) / (w - 1) + 0.5
    LINEAR_EXACT  y = (x - c) / w + 0.5
    SIGMOID       y = 1 / (1 + exp(-4 (x - c) / w))

    With w = 1, LINEAR is a step: x <= c - 0.5 is black, all else white.
    """
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        exponent = _affine(values, -4 * line.slope / width, -4 * (line.offset - center) / width)
        # e^88 is the last that float32 holds: beyond it the sigmoid is 0 to all its digits. NaN passes through.
        grown: Float32 = np.exp(np.minimum(exponent, np.float32(88)))
        return np.reciprocal(np.add(grown, np.float32(1), out=grown), out=grown)
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        above = _affine(values, line.slope, line.offset - center)
        step: Float32 = np.where(np.isfinite(above), np.greater(above, 0), above).astype(np.float32)
        return step
    return _affine(values, line.slope / width, (line.offset - center) / width + 0.5)


@implements("REQ-INF-011")
def _through_table(values: Array, line: _Line, table: LookupTable) -> Float32:
    """C.11.2.1.1: the VOI LUT is indexed with whole rescaled values; its entries have `bits` bits."""
    if line.slope != 1.0 or line.offset != 0.0:
        values = np.rint(np.multiply(values, line.slope, dtype=np.float64) + line.offset)
        if not (np.isfinite(values.min()) and np.isfinite(values.max())):
            return np.full(values.shape, np.nan, np.float32)
    scale = np.float32(1.0 / (2**table.bits - 1))
    return np.multiply(_looked_up(values, table), scale, dtype=np.float32)


def _full_range(image: DecodedImage, values: Array, line: _Line) -> Float32:
    """No window: the least and greatest value that the stored bits can hold become 0 and 1 (C.11.2.1.2)."""
    bits = image.modality_lut.bits if image.modality_lut is not None else image.bits_stored
    signed = image.modality_lut is None and np.issubdtype(image.stored.dtype, np.signedinteger)
    least = -(2 ** (bits - 1)) if signed else 0
    ends = (least * line.slope + line.offset, (least + 2**bits - 1) * line.slope + line.offset)
    low, span = min(ends), abs(ends[1] - ends[0])
    if not math.isfinite(span):
        return _affine(values, math.nan, 0.0)
    if span == 0:  # a slope of 0 leaves nothing to see
        return _affine(values, 0.0, 0.0)
    return _affine(values, line.slope / span, (line.offset - low) / span)


def _looked_up(values: Array, table: LookupTable) -> Array:
    """C.11.1.1, C.11.2.1.1: values below the first mapped take the first entry, those beyond the last the last."""
    index = np.subtract(values, table.first_mapped, dtype=np.float64 if values.dtype.kind == "f" else np.int64)
    last = len(table.table) - 1
    return np.take(table.table, np.clip(index, 0, last).astype(np.intp))


def _affine(values: Array, factor: float, offset: float) -> Float32:
    """values * factor + offset. float32 holds 16-bit values exactly; wider ones are worked out in float64."""
    if values.dtype.itemsize > 2:
        return (np.multiply(values, factor, dtype=np.float64) + offset).astype(np.float32)
    scaled = np.multiply(values, factor, dtype=np.float32)
    return np.add(scaled, np.float32(offset), out=scaled)


@implements("REQ-INF-010")
def _usable(window: Window) -> bool:
    """C.11.2.1.2.1: LINEAR needs a width of at least 1, the others more than 0. A file's window that is
    neither is taken as absent."""
    if not (math.isfinite(window.center) and math.isfinite(window.width)):
        return False
    return window.width >= 1 if window.function == "LINEAR" else window.width > 0


@implements("REQ-INF-010")
def _used(source: Literal["card", "file_window"], window: Window) -> WindowUsed:
    def milli(value: float) -> int:
        return round(max(-MAX_MILLI, min(MAX_MILLI, value * 1000)))

    return WindowUsed(source=source, center_milli=milli(window.center), width_milli=milli(window.width))


def _channels_first(levels: Float32) -> Float32:
    if levels.ndim == 2:
        return levels[np.newaxis]
    return np.ascontiguousarray(levels.transpose(2, 0, 1))


def _along_rows(levels: Float32, wanted: int) -> Float32:
    """One axis of `resize`: a weighted sum of whole rows, tap after tap."""
    have = levels.shape[1]
    if have == wanted:
        return levels
    indices, weights = _taps(have, wanted)
    total: Float32 = np.take(levels, indices[0], axis=1)
    total *= weights[0][:, np.newaxis]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        row = np.take(levels, index, axis=1)
        row *= weight[:, np.newaxis]
        total += row
    return total


@implements("REQ-INF-014")
@lru_cache(maxsize=256)
def _taps(have: int, wanted: int) -> tuple[NDArray[np.intp], Float32]:
    """For each of `wanted` rows, which of `have` rows it is made of, and how much of each: [taps, wanted].

    New row i covers [i * s, (i + 1) * s) of the old, s = have / wanted. Shrinking, a row's weight is its share
    of that stretch; growing, the two rows whose centres enclose (i + 0.5) * s - 0.5 share by distance.
    """
    step = have / wanted
    position = np.arange(wanted, dtype=np.float64)
    if step > 1:
        low, high = position * step, (position + 1) * step
        first = np.floor(low)
        rows = first + np.arange(math.ceil(step) + 1, dtype=np.float64)[:, np.newaxis]
        shares = np.clip(np.minimum(high, rows + 1) - np.maximum(low, rows), 0.0, None)
    else:
        center = (position + 0.5) * step - 0.5
        first = np.floor(center)
        rows = first + np.array([[0.0], [1.0]])
        shares = np.stack([1 - (center - first), center - first])
    keep = shares.max(axis=1) > 1e-9  # what rounding left of a stretch that ends on a row's edge
    indices: NDArray[np.intp] = np.clip(rows[keep], 0, have - 1).astype(np.intp)
    weights: Float32 = (shares[keep] / shares[keep].sum(axis=0)).astype(np.float32)
    return indices, weights
