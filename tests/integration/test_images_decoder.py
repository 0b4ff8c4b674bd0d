"""The decoder as the service uses it: where it decodes is not seen in what comes out, nor heard in warnings or logs."""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator

import numpy as np
import pytest
import uvloop
from msgspec import structs
from pydicom import uid

from service.adapters.images import DecoderSettings, ImageDecoder
from service.domain.messages import Limits, MediaType
from service.errors import ImageTooLarge, ServiceError
from tests.image_corpus import LIMITS, bundled, colour, compressed, mutants, native, phantom, seeds

pytestmark = pytest.mark.anyio


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    decoder = ImageDecoder(DecoderSettings())
    await decoder.start()
    yield decoder
    await decoder.close()


async def digests(decoder: ImageDecoder, limits: Limits = LIMITS) -> list[str]:
    chosen = [(body, kind, 2 if "frames" in name else None) for name, kind, body in seeds()]
    images = await asyncio.gather(*(decoder.decode(*one, limits) for one in chosen))
    return [image.pixels_sha256 for image in images]


async def test_an_image_is_the_same_on_the_event_loop_and_on_a_thread(decoder: ImageDecoder) -> None:
    threads_only = ImageDecoder(DecoderSettings(inline_bytes=0))
    await threads_only.start()
    assert await digests(decoder) == await digests(threads_only)
    await threads_only.close()


async def test_a_file_too_large_for_the_event_loop_is_decoded_on_a_thread(decoder: ImageDecoder) -> None:
    pixels = phantom(1024, 1024, bits=16)
    image = await decoder.decode(native(pixels, uid.ExplicitVRLittleEndian, bits=16), "application/dicom", None, LIMITS)
    assert np.array_equal(image.stored, pixels)


async def test_a_small_file_that_inflates_beyond_the_event_loop_is_decoded_on_a_thread(decoder: ImageDecoder) -> None:
    pixels = np.zeros((1200, 1200), np.uint16)
    body = native(pixels, uid.DeflatedExplicitVRLittleEndian, bits=16)
    assert len(body) < 10_000
    image = await decoder.decode(body, "application/dicom", None, LIMITS)
    assert np.array_equal(image.stored, pixels)


async def test_a_small_file_that_inflates_beyond_the_limit_is_refused(decoder: ImageDecoder) -> None:
    body = native(np.zeros((1200, 1200), np.uint16), uid.DeflatedExplicitVRLittleEndian, bits=16)
    with pytest.raises(ImageTooLarge, match="1000000"):
        await decoder.decode(body, "application/dicom", None, structs.replace(LIMITS, max_inflated_bytes=1_000_000))


async def test_a_hundred_requests_at_once_are_all_decoded(decoder: ImageDecoder) -> None:
    bodies = [compressed(colour(), uid.JPEG2000Lossless, bits=8), compressed(phantom(), uid.RLELossless, bits=12)] * 30
    images = await asyncio.gather(*(decoder.decode(body, "application/dicom", None, LIMITS) for body in bodies))
    assert len({image.pixels_sha256 for image in images}) == 2


def test_it_runs_on_uvloop() -> None:
    async def run() -> list[str]:
        decoder = ImageDecoder(DecoderSettings())
        await decoder.start()
        found = await digests(decoder)
        await decoder.close()
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(set(runner.run(run()))) > 10


async def test_nothing_is_logged_or_warned_about_any_file(
    decoder: ImageDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    files: list[tuple[bytes, MediaType]] = [(body, kind) for _, kind, body in mutants(5, 500)]
    files += [(body, "application/dicom") for _, body in bundled()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for body, kind in files:
            try:
                await decoder.decode(body, kind, 1, LIMITS)
            except ServiceError:
                continue
    assert [str(warning.message) for warning in caught] == []
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == []


async def test_no_refusal_repeats_bytes_of_the_file(decoder: ImageDecoder) -> None:
    refusals = set()
    for _, kind, body in mutants(6, 2_000):
        marked = body.replace(b"SYNTHETIC-1", b"Q0XDOE-JANE").replace(b"MONOCHROME2", b"Q0XDOE-JANE")
        try:
            await decoder.decode(marked, kind, 1, LIMITS)
        except ServiceError as error:
            refusals.add(str(error))
    assert len(refusals) > 10
    assert not any("Q0X" in refusal for refusal in refusals)
