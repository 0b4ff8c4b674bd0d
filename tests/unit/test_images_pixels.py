"""What the compressed decoders return: all samples of the frame, or nothing."""

import numpy as np
import pytest
from pydicom import uid

from service.adapters.images_attributes import PixelLayout
from service.adapters.images_codestreams import check_claims
from service.adapters.images_pixels import compressed_samples
from service.errors import DecodeFailed
from tests.image_corpus import LOSSLESS, LOSSY, codestream, colour, phantom
from tests.image_encoders import jpeg_lossless


def layout(pixels: np.ndarray, *, bits: int) -> PixelLayout:
    return PixelLayout(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples=1 if pixels.ndim == 2 else 3,
        photometric="MONOCHROME2" if pixels.ndim == 2 else "RGB",
        planar=0,
        bits_allocated=8 * pixels.dtype.itemsize,
        bits_stored=bits,
        signed=0,
    )


def checked_samples(frame: bytes, layout: PixelLayout, syntax: str) -> np.ndarray:
    """As a request's frame goes: checked here, then decoded as in a child."""
    check_claims(frame, layout, syntax)
    return compressed_samples(frame, layout, syntax)


@pytest.mark.verifies("REQ-INF-024")
@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("pixels, bits", [(phantom(), 16), (phantom(bits=8), 8), (colour(), 8)])
def test_lossless_syntaxes_return_the_samples_that_were_compressed(
    syntax: uid.UID, pixels: np.ndarray, bits: int
) -> None:
    frame = codestream(pixels, syntax, bits=bits)
    assert np.array_equal(compressed_samples(frame, layout(pixels, bits=bits), syntax), pixels)


@pytest.mark.parametrize("syntax", LOSSY)
def test_lossy_syntaxes_return_samples_near_those_that_were_compressed(syntax: uid.UID) -> None:
    ramp = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    decoded = compressed_samples(codestream(ramp, syntax, bits=8), layout(ramp, bits=8), syntax)
    assert np.abs(decoded.astype(int) - ramp.astype(int)).max() <= 4


@pytest.mark.verifies("REQ-INF-024")
@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_jpeg_lossless_is_exact_for_every_selection_value(predictor: int, bits: int) -> None:
    pixels = phantom(bits=bits)
    frame = jpeg_lossless(pixels, precision=bits, predictor=predictor)
    assert np.array_equal(compressed_samples(frame, layout(pixels, bits=bits), uid.JPEGLossless), pixels)


@pytest.mark.verifies("REQ-INF-024")
@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_a_frame_cut_short_gives_no_image(syntax: uid.UID, share: float) -> None:
    pixels = phantom(64, 64, bits=8)
    frame = codestream(pixels, syntax, bits=8)
    with pytest.raises(Exception):  # noqa: B017  # whatever it is, the answer is that there is no image
        checked_samples(frame[: int(len(frame) * share)], layout(pixels, bits=8), syntax)


def test_a_jpeg_lossless_frame_that_ends_early_but_properly_gives_no_image() -> None:
    pixels = phantom(64, 64)
    frame = jpeg_lossless(pixels, precision=16, predictor=1)
    with pytest.raises(RuntimeError):
        compressed_samples(frame[:-400] + b"\xff\xd9", layout(pixels, bits=16), uid.JPEGLossless)


@pytest.mark.verifies("REQ-INF-025")
def test_a_jpeg_lossless_frame_with_fewer_bits_than_samples_is_refused_before_it_is_decoded() -> None:
    frame = jpeg_lossless(phantom(), precision=12, predictor=1).replace(b"\x00\x18\x00\x1f", b"\x40\x18\x00\x1f", 1)
    claimed = PixelLayout(
        rows=0x4018,
        columns=31,
        samples=1,
        photometric="MONOCHROME2",
        planar=0,
        bits_allocated=16,
        bits_stored=12,
        signed=0,
    )
    with pytest.raises(DecodeFailed, match="too short"):
        check_claims(frame, claimed, uid.JPEGLossless)


@pytest.mark.verifies("REQ-INF-025")
def test_a_jpeg_ls_frame_without_its_end_is_refused_before_it_is_decoded() -> None:
    frame = codestream(phantom(64, 64), uid.JPEGLSLossless, bits=16)
    with pytest.raises(DecodeFailed, match="end of image"):
        check_claims(frame[:-40], layout(phantom(64, 64), bits=16), uid.JPEGLSLossless)


@pytest.mark.verifies("REQ-INF-025")
def test_an_rle_frame_too_short_for_its_size_is_refused_before_it_is_decoded() -> None:
    frame = codestream(np.zeros((64, 64), np.uint8), uid.RLELossless, bits=8)
    with pytest.raises(DecodeFailed, match="too short"):
        check_claims(frame, layout(np.empty((4096, 4096), np.uint8), bits=8), uid.RLELossless)
