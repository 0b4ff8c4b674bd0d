"""Bytes of one frame to samples, by pydicom's pixel handling with the plugin that `images_syntaxes` chose.

`compressed_samples` runs in a child process only: its decoders are other people's C, fed with hostile bytes.
pydicom's own validation is off, since it warns with values from the file; what it would check was checked before.
"""

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID

from service.adapters.images_attributes import PixelLayout
from service.adapters.images_elements import Elements
from service.adapters.images_grey import table_entries
from service.adapters.images_syntaxes import JPEG_2000, JPEG_LOSSLESS, PLUGINS
from service.domain.messages import Array
from service.errors import DecodeFailed
from traceability.marks import implements

RED_DESCRIPTOR: Final = 0x00281101
RED_DATA: Final = 0x00281201
WANTED: Final = frozenset(
    {RED_DESCRIPTOR, RED_DESCRIPTOR + 1, RED_DESCRIPTOR + 2, RED_DATA, RED_DATA + 1, RED_DATA + 2}
)


@implements("REQ-INF-023")
def native_samples(pixels: memoryview, layout: PixelLayout, syntax: str, *, frame: int, vr: bytes | None) -> Array:
    """The samples of `frame` (from 1) of native Pixel Data, [rows, columns] or [rows, columns, 3], YBR as RGB."""
    options = _options(layout, frames=frame)
    options["pixel_vr"] = "OW" if vr is None else vr.decode("ascii")
    decoder = get_decoder(syntax)
    try:
        samples, _ = decoder.as_array(pixels, index=frame - 1, validate=False, **options)
    except Exception as error:
        raise DecodeFailed("The native pixel data cannot be read as its header describes it.") from error
    return _plain(samples, layout)


@implements("REQ-INF-024")
def compressed_samples(frame: bytes, layout: PixelLayout, syntax: str) -> Array:
    """The samples of one compressed frame. Raises anything: the child process turns it into DecodeFailed."""
    source = encapsulate([frame], has_bot=False)
    options = _options(layout, frames=1)
    samples, _ = _decoder(syntax).as_array(source, index=0, validate=False, decoding_plugin=PLUGINS[syntax], **options)
    return _plain(samples, layout)


def frame_bits(layout: PixelLayout) -> int:
    """The length of one native frame. YBR_FULL_422 stores two chroma samples for two pixels (C.7.6.3.1.2)."""
    samples = 2 if layout.photometric == "YBR_FULL_422" else layout.samples
    return layout.rows * layout.columns * samples * layout.bits_allocated


def check_colour(layout: PixelLayout, syntax: str) -> None:
    """That pydicom's conversion to RGB is right for this layout: it knows YBR in 8 bits alone."""
    if layout.photometric.startswith("YBR") and (layout.bits_allocated != 8 or layout.signed):
        raise DecodeFailed("YBR pixels must be 8-bit unsigned.")
    if layout.photometric in ("YBR_ICT", "YBR_RCT") and syntax not in JPEG_2000:
        raise DecodeFailed("YBR_ICT and YBR_RCT pixels must be JPEG 2000.")


def palette_rgb(indices: Array, elements: Elements, *, signed: bool) -> Array:
    """PALETTE COLOR as RGB (C.7.6.3.1.5): clamped to the table at both ends, in the table's own 8 or 16 bits."""
    descriptor = np.frombuffer(elements.value(RED_DESCRIPTOR), "<u2" if elements.little else ">u2")
    if descriptor.size != 3:
        raise DecodeFailed("A palette (0028,1101) must have a descriptor of three numbers.")
    entries, first, bits = int(descriptor[0]) or 65536, int(descriptor[1]), int(descriptor[2])
    if signed and first >= 32768:
        first -= 65536
    tables = [table_entries(elements, RED_DATA + channel, entries, bits) for channel in range(3)]
    index = np.clip(indices.astype(np.int64) - first, 0, entries - 1)
    return np.ascontiguousarray(np.stack(tables, axis=-1)[index])


@implements("REQ-INF-023")
def _plain(samples: NDArray[Any], layout: PixelLayout) -> Array:
    """Little endian and C-contiguous, and just the shape that the header promises."""
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if samples.shape != shape or samples.dtype.kind not in "iu":
        raise DecodeFailed("The decoded pixels do not have the size that the header says.")
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))


def _options(layout: PixelLayout, *, frames: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": frames,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": layout.signed,
        "pixel_keyword": "PixelData",
        "allow_excess_frames": False,
    }
    if layout.samples > 1:
        options["planar_configuration"] = layout.planar
    return options


@functools.cache
def _decoder(syntax: str) -> Decoder:
    """pydicom's decoder for the syntax; for JPEG Lossless one of our own, since it has none that reads it here."""
    if syntax not in JPEG_LOSSLESS:
        return get_decoder(syntax)
    decoder = Decoder(UID(syntax))
    decoder.add_plugin("imagecodecs", ("service.adapters.images_lossless", "decode_frame"))
    return decoder
