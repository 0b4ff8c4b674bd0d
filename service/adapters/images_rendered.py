"""PNG and JPEG: images that were rendered, without modality or unit.

Read are 8- and 16-bit PNG and 8-bit JPEG, in grey or RGB. Refused as unsupported, since something besides the
samples would decide what is seen: palettes, alpha and transparency, CMYK, fewer than 8 bits, animation, and 16-bit
RGB, which Pillow would cut to 8 bits. The declared type must be what the bytes begin with. Orientation, gamma and
colour profiles are not applied: the samples are those that the file stores.
"""

import hashlib
import io
import struct
from typing import Final, NamedTuple

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from service.adapters.images_codestreams import jpeg_claim
from service.domain.messages import Array, DecodedImage, Limits, MediaType
from service.errors import DecodeFailed, FrameInvalid, ImageTooLarge, MediaUnsupported
from traceability.marks import implements

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_GREY, _RGB = 0, 2  # PNG (third edition) 11.2.1, colour type
_MODES: Final = {(1, 1): "L", (1, 2): "I;16", (3, 1): "RGB"}


class _Size(NamedTuple):
    """What a header promises."""

    rows: int
    columns: int
    samples: int
    bytes_each: int


@implements("REQ-INF-026", "REQ-INF-027")
def decode_rendered(body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
    """The image, its header checked against the limits before Pillow sees a byte. Errors as in `Decoder.decode`."""
    if media_type == "image/png":
        size = _png_size(body)
    else:
        size = _jpeg_size(body)
    if frame not in (None, 1):
        raise FrameInvalid("A PNG or JPEG has one frame: leave `frame` out.")
    if size.rows * size.columns > limits.max_pixels:
        raise ImageTooLarge(f"The image has more than {limits.max_pixels} pixels.")
    if size.rows * size.columns * size.samples * size.bytes_each > limits.max_inflated_bytes:
        raise ImageTooLarge(f"The image decodes to more than {limits.max_inflated_bytes} bytes.")
    stored = _decoded(body, media_type, size)
    return DecodedImage(
        media_type=media_type,
        photometric="RGB" if size.samples == 3 else "MONOCHROME2",
        bits_stored=8 * size.bytes_each,
        frame=frame,
        stored=stored,
        pixels_sha256=hashlib.sha256(stored.data).hexdigest(),
    )


def _png_size(body: bytes) -> _Size:
    if not body.startswith(_PNG):
        raise MediaUnsupported("The body is not a PNG, as its Content-Type says.")
    if body[12:16] != b"IHDR" or len(body) < 33:
        raise DecodeFailed("The PNG has no header.")
    columns, rows, depth, colour = struct.unpack_from(">LLBB", body, 16)
    if rows == 0 or columns == 0:
        raise DecodeFailed("The PNG has no pixels.")
    if (colour, depth) not in ((_GREY, 8), (_GREY, 16), (_RGB, 8)):
        raise MediaUnsupported("A PNG must be grey with 8 or 16 bits, or RGB with 8, without palette or alpha.")
    return _Size(rows, columns, 3 if colour == _RGB else 1, depth // 8)


def _jpeg_size(body: bytes) -> _Size:
    if not body.startswith(_JPEG):
        raise MediaUnsupported("The body is not a JPEG, as its Content-Type says.")
    rows, columns, samples = jpeg_claim(body)
    if rows == 0 or columns == 0:
        raise DecodeFailed("The JPEG has no pixels.")
    if samples not in (1, 3):
        raise MediaUnsupported("A JPEG must be grey or RGB.")
    return _Size(rows, columns, samples, 1)


@implements("REQ-INF-026")
def _decoded(body: bytes, media_type: MediaType, size: _Size) -> Array:
    """Pillow's samples. The plugin's class is called itself: `Image.open` would try others, and warn."""
    try:
        with (PngImageFile if media_type == "image/png" else JpegImageFile)(io.BytesIO(body)) as image:
            if "transparency" in image.info or getattr(image, "is_animated", False):
                raise MediaUnsupported("A PNG with transparency or animation is not read.")
            if image.mode != _MODES[size.samples, size.bytes_each] or image.size != (size.columns, size.rows):
                raise DecodeFailed("The image is not what its header says.")
            stored = np.ascontiguousarray(np.asarray(image))
    except (MediaUnsupported, DecodeFailed):
        raise
    except Exception as error:
        raise DecodeFailed("The image is cut short or malformed.") from error
    return stored
