"""Every file that pydicom bundles: the pixels are pydicom's own, or the refusal is the one written down here."""

from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import pytest

from service.adapters.images import DecoderSettings, ImageDecoder
from service.errors import DecodeFailed, FrameInvalid, ServiceError, SyntaxUnsupported
from tests.image_corpus import BUNDLED, LIMITS, bundled
from tests.pixel_references import digest, readable

pytestmark = pytest.mark.anyio

NOT_DICOM: Final = [
    "charset_files/FileInfo.txt",
    "hashes.json",
    "palettes/README.md",
    "test_files/README.txt",
    "test_files/crayons.icc",
    "test_files/dicomdirtests/README.txt",
    "test_files/dicomdirtests/TINY_ALPHA/README",
    "test_files/rtplan.dump",
    "test_files/rtstruct.dump",
    "test_files/test1.json",
    "test_files/test_PN.json",
    "test_files/zipMR.gz",
    "urls.json",
]
"""Texts, a profile and an archive: DecodeFailed, like any bytes that are not DICOM."""

NO_PIXELS: Final = [
    "charset_files/chrJapMulti.dcm",
    "charset_files/chrJapMultiExplicitIR6.dcm",
    "charset_files/chrKoreanMulti.dcm",
    "charset_files/chrSQEncoding.dcm",
    "charset_files/chrSQEncoding1.dcm",
    "palettes/fall.dcm",
    "palettes/hotiron.dcm",
    "palettes/hotmetalblue.dcm",
    "palettes/pet.dcm",
    "palettes/pet20step.dcm",
    "palettes/spring.dcm",
    "palettes/summer.dcm",
    "palettes/winter.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/dicomdirtests/DICOMDIR",
    "test_files/dicomdirtests/DICOMDIR-bigEnd",
    "test_files/dicomdirtests/DICOMDIR-empty.dcm",
    "test_files/dicomdirtests/DICOMDIR-implicit",
    "test_files/dicomdirtests/DICOMDIR-nooffset",
    "test_files/dicomdirtests/DICOMDIR-nopatient",
    "test_files/dicomdirtests/DICOMDIR-reordered",
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR",
    "test_files/empty_charset_LEI.dcm",
    "test_files/no_meta_group_length.dcm",
    "test_files/priv_SQ.dcm",
    "test_files/reportsi.dcm",
    "test_files/reportsi_with_empty_number_tags.dcm",
    "test_files/rtplan.dcm",
    "test_files/test-SR.dcm",
    "test_files/waveform_ecg.dcm",
] + [
    f"test_files/dicomdirtests/TINY_ALPHA/PT000000/ST000000/SE000000/IM0000{first}{second}"
    for first in "01"
    for second in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if first == "0" or second < "E"
]
"""DICOM without an image: DecodeFailed."""

REFUSED: Final[dict[str, tuple[type[ServiceError], str]]] = {
    "GDCMJ2K_TextGBR.dcm": (DecodeFailed, "a codestream that Pillow finds broken, for pydicom too"),
    "JPEG2000-embedded-sequence-delimiter.dcm": (DecodeFailed, "a codestream without its size, for pydicom too"),
    "JPEG-lossy.dcm": (SyntaxUnsupported, "JPEG Extended, 12 bit"),
    "JPGExtended.dcm": (SyntaxUnsupported, "JPEG Extended, 12 bit"),
    "MR_truncated.dcm": (DecodeFailed, "pixels cut short"),
    "rtplan_truncated.dcm": (DecodeFailed, "cut short"),
    "badVR.dcm": (DecodeFailed, "a Number of Frames that is not a number"),
    "ExplVR_BigEndNoMeta.dcm": (DecodeFailed, "no File Meta Information"),
    "ExplVR_LitEndNoMeta.dcm": (DecodeFailed, "no File Meta Information"),
    "no_meta.dcm": (DecodeFailed, "no File Meta Information"),
    "rtstruct.dcm": (DecodeFailed, "no File Meta Information"),
    "meta_missing_tsyntax.dcm": (DecodeFailed, "no transfer syntax"),
    "nested_priv_SQ.dcm": (DecodeFailed, "Pixel Data without Rows and Columns"),
}
"""DICOM files in test_files that are meant as images or are damaged: the error and why."""

ONLY_HERE: Final = {
    "test_files/SC_rgb_jpeg_gdcm.dcm": "JPEG Lossless, for which pydicom's own plugins here have no decoder"
}


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    decoder = ImageDecoder(DecoderSettings())
    await decoder.start()
    yield decoder
    await decoder.close()


async def test_every_frame_that_pydicom_can_decode_has_the_same_pixels_here(decoder: ImageDecoder) -> None:
    for name, frames in readable().items():
        body = (BUNDLED / name).read_bytes()
        for index, expected in enumerate(frames):
            image = await decoder.decode(body, "application/dicom", index + 1, LIMITS)
            assert image.stored.dtype == expected.dtype.newbyteorder("<"), name
            assert np.array_equal(image.stored, expected), name
            assert image.pixels_sha256 == digest(expected), name


def test_pydicom_can_decode_as_many_bundled_files_as_when_this_was_written() -> None:
    assert len(readable()) == 98


async def test_every_other_bundled_file_is_refused_as_the_tables_say(decoder: ImageDecoder) -> None:
    refused = {}
    for name, body in bundled():
        if name not in readable() and name not in ONLY_HERE:
            with pytest.raises(ServiceError) as error:
                await decoder.decode(body, "application/dicom", None, LIMITS)
            refused[name] = type(error.value)
    expected: dict[str, type[ServiceError]] = dict.fromkeys([*NOT_DICOM, *NO_PIXELS], DecodeFailed)
    expected |= {f"test_files/{name}": error for name, (error, _) in REFUSED.items()}
    assert refused == expected


async def test_jpeg_lossless_has_the_pixels_of_the_same_picture_in_rle(decoder: ImageDecoder) -> None:
    lossless = (BUNDLED / "test_files/SC_rgb_jpeg_gdcm.dcm").read_bytes()
    image = await decoder.decode(lossless, "application/dicom", None, LIMITS)
    rle = await decoder.decode((BUNDLED / "test_files/SC_rgb_rle.dcm").read_bytes(), "application/dicom", None, LIMITS)
    assert np.array_equal(image.stored, rle.stored)


async def test_a_bundled_multi_frame_file_needs_a_frame(decoder: ImageDecoder) -> None:
    body = (BUNDLED / "test_files/examples_ybr_color.dcm").read_bytes()
    with pytest.raises(FrameInvalid):
        await decoder.decode(body, "application/dicom", None, LIMITS)
