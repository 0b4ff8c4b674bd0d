"""PNG and JPEG: samples as stored, everything else refused before it is decoded."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from service.adapters.images_rendered import decode_rendered
from service.domain.messages import MediaType
from service.errors import DecodeFailed, FrameInvalid, ImageTooLarge, MediaUnsupported
from tests.image_corpus import LIMITS, colour, jpeg, phantom, png


def decoded(body: bytes, media_type: MediaType = "image/png", frame: int | None = None) -> np.ndarray:
    return decode_rendered(body, media_type, frame, LIMITS).stored


def bomb(rows: int, columns: int) -> bytes:
    """A valid 8-bit grey PNG of zeros: a thousandth of its size."""
    deflater = zlib.compressobj(9)
    line = bytes(columns + 1)
    data = b"".join(deflater.compress(line) for _ in range(rows)) + deflater.flush()
    header = struct.pack(">LLBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def converted(mode: str, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(colour()).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.verifies("REQ-INF-026")
def test_an_8_bit_png_has_its_samples() -> None:
    assert np.array_equal(decoded(png(phantom(bits=8))), phantom(bits=8))


@pytest.mark.verifies("REQ-INF-026")
def test_a_16_bit_png_has_all_sixteen_bits() -> None:
    pixels = phantom(bits=16)
    assert decoded(png(pixels)).dtype == np.dtype("<u2")
    assert np.array_equal(decoded(png(pixels)), pixels)


@pytest.mark.verifies("REQ-INF-026")
def test_an_rgb_png_has_its_three_channels() -> None:
    image = decode_rendered(png(colour()), "image/png", None, LIMITS)
    assert image.photometric == "RGB"
    assert np.array_equal(image.stored, colour())


@pytest.mark.verifies("REQ-INF-026")
def test_a_grey_jpeg_has_the_samples_that_pillow_decodes() -> None:
    body = jpeg(phantom(bits=8))
    assert np.array_equal(decoded(body, "image/jpeg"), np.asarray(Image.open(io.BytesIO(body))))


@pytest.mark.verifies("REQ-INF-026")
def test_a_colour_jpeg_is_rgb() -> None:
    image = decode_rendered(jpeg(colour()), "image/jpeg", 1, LIMITS)
    assert (image.photometric, image.stored.shape, image.frame) == ("RGB", (24, 31, 3), 1)


@pytest.mark.verifies("REQ-INF-026")
@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_a_png_with_palette_alpha_or_single_bits_is_unsupported(mode: str) -> None:
    with pytest.raises(MediaUnsupported):
        decoded(converted(mode))


@pytest.mark.verifies("REQ-INF-026")
def test_a_16_bit_rgb_png_is_unsupported_rather_than_cut_to_8_bits() -> None:
    header = struct.pack(">LLBBBBB", 2, 2, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(26))) + chunk(b"IEND", b"")
    with pytest.raises(MediaUnsupported):
        decoded(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.verifies("REQ-INF-026")
def test_a_png_with_a_transparent_grey_is_unsupported() -> None:
    with pytest.raises(MediaUnsupported):
        decoded(png(phantom(bits=8), transparency=3))


@pytest.mark.verifies("REQ-INF-026")
def test_an_animated_png_is_unsupported() -> None:
    more = [Image.fromarray(phantom(bits=8)[::-1])]
    with pytest.raises(MediaUnsupported):
        decoded(png(phantom(bits=8), save_all=True, append_images=more))


@pytest.mark.verifies("REQ-INF-026")
def test_a_cmyk_jpeg_is_unsupported() -> None:
    with pytest.raises(MediaUnsupported):
        decoded(converted("CMYK", "JPEG"), "image/jpeg")


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_unsupported_whatever_they_are_called(form: str, media_type: MediaType) -> None:
    with pytest.raises(MediaUnsupported):
        decoded(converted("RGB", form), media_type)


def test_a_jpeg_called_png_is_unsupported() -> None:
    with pytest.raises(MediaUnsupported):
        decoded(jpeg(colour()), "image/png")


@pytest.mark.verifies("REQ-INF-026")
def test_a_png_cut_short_is_refused() -> None:
    with pytest.raises(DecodeFailed):
        decoded(png(colour())[:-60])


@pytest.mark.verifies("REQ-INF-026")
def test_a_jpeg_cut_short_is_refused() -> None:
    with pytest.raises(DecodeFailed):
        decoded(jpeg(colour())[:-60], "image/jpeg")


@pytest.mark.verifies("REQ-INF-026")
def test_a_png_with_a_damaged_checksum_is_refused() -> None:
    body = bytearray(png(colour()))
    body[-20] ^= 1
    with pytest.raises(DecodeFailed):
        decoded(bytes(body))


@pytest.mark.parametrize("frame", [0, 2, -1])
def test_a_rendered_image_has_no_other_frame_than_the_first(frame: int) -> None:
    with pytest.raises(FrameInvalid):
        decoded(png(colour()), "image/png", frame)


@pytest.mark.verifies("REQ-INF-027")
def test_a_png_bomb_of_169_million_pixels_is_refused_without_memory_for_them() -> None:
    body = bomb(13_000, 13_000)
    assert len(body) < 200_000
    tracemalloc.start()
    with pytest.raises(ImageTooLarge):
        decoded(body)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000


@pytest.mark.verifies("REQ-INF-027")
def test_a_png_within_the_pixels_but_beyond_the_bytes_is_refused() -> None:
    with pytest.raises(ImageTooLarge):
        decode_rendered(png(colour()), "image/png", None, structs.replace(LIMITS, max_inflated_bytes=24 * 31 * 3 - 1))


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    body = jpeg(colour())
    scan = body.index(b"\xff\xda")
    with pytest.raises(DecodeFailed):
        decoded(body[:-2] + body[scan:-2] * 1000 + body[-2:], "image/jpeg")
