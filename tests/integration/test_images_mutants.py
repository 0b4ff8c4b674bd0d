"""Damaged images of every transfer syntax: an image or one of five errors, and afterwards the decoder as before."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from service.adapters.images import DecoderSettings, ImageDecoder
from service.errors import DecodeFailed, FrameInvalid, ImageTooLarge, MediaUnsupported, SyntaxUnsupported
from tests.image_corpus import LIMITS, mutants, seeds

pytestmark = pytest.mark.anyio

ALLOWED = (MediaUnsupported, SyntaxUnsupported, ImageTooLarge, FrameInvalid, DecodeFailed)
GROWTH_MIB = 64


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    decoder = ImageDecoder(DecoderSettings())
    await decoder.start()
    yield decoder
    await decoder.close()


def resident_mib(pid: int | str = "self") -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 >> 20


async def outcomes(decoder: ImageDecoder, seed: int, count: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, media_type, body in mutants(seed, count):
        try:
            image = await decoder.decode(body, media_type, 2 if "frames" in name else None, LIMITS)
        except ALLOWED as error:
            found[error.code] += 1
        else:
            assert image.stored.flags.c_contiguous, name
            found["image"] += 1
    return found


async def test_ten_thousand_mutants_give_an_image_or_an_error_that_is_allowed(decoder: ImageDecoder) -> None:
    assert (await outcomes(decoder, seed=2_026, count=10_000)).total() == 10_000


async def test_after_two_thousand_mutants_every_seed_still_decodes_as_before(decoder: ImageDecoder) -> None:
    asked = [(body, kind, 2 if "frames" in name else None) for name, kind, body in seeds()]
    before = [(await decoder.decode(*one, LIMITS)).pixels_sha256 for one in asked]
    await outcomes(decoder, seed=1, count=2_000)
    after = [(await decoder.decode(*one, LIMITS)).pixels_sha256 for one in asked]
    assert after == before


async def test_four_thousand_mutants_do_not_make_the_process_grow(decoder: ImageDecoder) -> None:
    await outcomes(decoder, seed=3, count=500)
    before = resident_mib()
    await outcomes(decoder, seed=4, count=4_000)
    assert resident_mib() - before < GROWTH_MIB


def test_the_same_seed_gives_the_same_mutants() -> None:
    assert list(mutants(7, 100)) == list(mutants(7, 100))


def test_the_seeds_are_different_images() -> None:
    bodies = [body for _, _, body in seeds()]
    assert len(set(bodies)) == len(bodies)
    assert all(np.frombuffer(body, np.uint8).size > 100 for body in bodies)
