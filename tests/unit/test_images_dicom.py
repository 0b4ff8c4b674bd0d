"""What is taken of a DICOM file besides its pixels, and what is refused before they are touched."""

import math
import warnings

import numpy as np
import pytest
from msgspec import structs
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from service.adapters.images_dicom import compressed_frame, finished, native_samples, read_header
from service.domain.messages import DecodedImage, Limits, Window
from service.errors import DecodeFailed, FrameInvalid, ImageTooLarge, SyntaxUnsupported
from tests.image_corpus import (
    LIMITS,
    codestream,
    colour,
    compressed,
    data_set,
    encapsulated,
    native,
    part10,
    phantom,
)

LITTLE = uid.ExplicitVRLittleEndian


def decoded(body: bytes, frame: int | None = None, limits: Limits = LIMITS) -> DecodedImage:
    header = read_header(body, frame, limits)
    return finished(header, native_samples(header))


def ct(**elements: object) -> bytes:
    """A 12-bit slice whose header differs by these elements."""
    return native(phantom(), LITTLE, bits=12, **elements)


def without(keyword: str) -> bytes:
    ds = data_set(phantom(), bits=12)
    delattr(ds, keyword)
    return part10(ds, LITTLE)


def table(entries: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return item


def stack() -> np.ndarray:
    """Three frames that differ."""
    return np.stack([phantom(), phantom() // 2, phantom() // 3])[..., np.newaxis]


def test_identifiers_modality_and_syntax_are_taken() -> None:
    image = decoded(ct())
    assert (image.patient, image.study) == ("SYNTHETIC-1", "1.2.826.0.1.3680043.8.498.2")
    assert (image.modality, image.transfer_syntax, image.bits_stored) == ("CT", str(LITTLE), 12)


def test_rescale_and_window_are_taken() -> None:
    image = decoded(ct())
    assert (image.rescale_slope, image.rescale_intercept) == (1.0, -1024.0)
    assert image.voi_window == Window(center=40.0, width=400.0)


@pytest.mark.verifies("REQ-INF-007")
def test_a_slice_with_slope_and_intercept_is_in_hounsfield_units() -> None:
    assert decoded(ct()).units_known


@pytest.mark.verifies("REQ-INF-007")
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_file_without_slope_or_intercept_does_not_say_its_units(keyword: str) -> None:
    assert not decoded(without(keyword)).units_known


@pytest.mark.verifies("REQ-INF-007")
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_an_empty_slope_or_intercept_says_nothing_of_units(keyword: str) -> None:
    assert not decoded(ct(**{keyword: None})).units_known


@pytest.mark.verifies("REQ-INF-007")
@pytest.mark.parametrize(("kind", "known"), [("HU", True), ("US", False), ("MGML", False), ("hu", False)])
def test_a_slice_whose_rescale_type_is_another_is_not_in_hounsfield_units(kind: str, known: bool) -> None:
    assert decoded(ct(RescaleType=kind)).units_known == known


@pytest.mark.verifies("REQ-INF-007")
def test_of_other_modalities_any_rescale_says_the_units() -> None:
    assert decoded(ct(Modality="PT", RescaleType="US")).units_known


@pytest.mark.verifies("REQ-INF-007")
@pytest.mark.parametrize(("kind", "known"), [("HU", True), ("US", False), (None, False)])
def test_a_modality_lut_says_the_units_by_its_type(kind: str | None, known: bool) -> None:
    item = table(np.arange(4096), 0, 16)
    item.ModalityLUTType = kind
    assert decoded(ct(ModalityLUTSequence=Sequence([item]))).units_known == known


@pytest.mark.verifies("REQ-INF-030")
def test_the_first_of_several_windows_is_taken() -> None:
    image = decoded(ct(WindowCenter=[50, 600], WindowWidth=[350, 2800]))
    assert image.voi_window == Window(center=50.0, width=350.0)


def test_a_window_without_a_width_is_none() -> None:
    assert decoded(without("WindowWidth")).voi_window is None


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_windows_function_is_taken(function: str) -> None:
    window = decoded(ct(VOILUTFunction=function)).voi_window
    assert window is not None
    assert window.function == function


def test_an_unknown_window_function_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="0028,1056"):
        decoded(ct(VOILUTFunction="CUBIC"))


def test_a_slope_beyond_double_precision_comes_out_infinite() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ct(RescaleSlope="1e999")
    assert math.isinf(decoded(body).rescale_slope)


@pytest.mark.parametrize("word", [b"nan ", b"inf ", b"1_0 ", b"0x10"])
def test_a_slope_that_is_no_decimal_number_is_refused(word: bytes) -> None:
    body = ct(RescaleSlope="1234")
    assert body.count(b"1234") == 1
    with pytest.raises(DecodeFailed, match="0028,1053"):
        decoded(body.replace(b"1234", word))


def test_a_modality_lut_is_taken() -> None:
    entries = np.arange(4096) * 7 % 4096
    lut = decoded(ct(ModalityLUTSequence=Sequence([table(entries, 0, 16)]))).modality_lut
    assert lut is not None
    assert (lut.first_mapped, lut.bits) == (0, 16)
    assert np.array_equal(lut.table, entries)


def test_a_voi_lut_that_begins_below_zero_is_taken() -> None:
    lut = decoded(ct(VOILUTSequence=Sequence([table(np.arange(300), -100, 10)]))).voi_lut
    assert lut is not None
    assert (lut.first_mapped, lut.bits, lut.table.size) == (-100, 10, 300)


def test_a_lut_whose_length_is_not_the_descriptors_is_refused() -> None:
    item = table(np.arange(300), 0, 16)
    item.LUTDescriptor = [301, 0, 16]
    with pytest.raises(DecodeFailed):
        decoded(ct(VOILUTSequence=Sequence([item])))


def test_a_lut_of_65536_entries_is_written_as_zero_entries() -> None:
    lut = decoded(ct(ModalityLUTSequence=Sequence([table(np.arange(65536), 0, 16)]))).modality_lut
    assert lut is not None
    assert lut.table.size == 65536


@pytest.mark.verifies("REQ-INF-030")
def test_a_frames_own_functional_groups_stand_before_the_shared_ones() -> None:
    def group(intercept: int, center: int) -> Dataset:
        values, window, groups = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = "2", str(intercept), "HU"
        window.WindowCenter, window.WindowWidth = str(center), "100"
        groups.PixelValueTransformationSequence = Sequence([values])
        groups.FrameVOILUTSequence = Sequence([window])
        return groups

    own = Sequence([group(index, 10 * index) for index in (1, 2, 3)])
    shared = Sequence([group(-7, -7)])
    body = native(stack(), LITTLE, bits=12, PerFrameFunctionalGroupsSequence=own, SharedFunctionalGroupsSequence=shared)
    image = decoded(body, 3)
    assert (image.rescale_slope, image.rescale_intercept, image.units_known) == (2.0, 3.0, True)
    assert image.voi_window == Window(center=30.0, width=100.0)


@pytest.mark.verifies("REQ-INF-030")
def test_shared_functional_groups_stand_before_the_data_set() -> None:
    values, groups = Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = "3", "5", "US"
    groups.PixelValueTransformationSequence = Sequence([values])
    image = decoded(native(stack(), LITTLE, bits=12, SharedFunctionalGroupsSequence=Sequence([groups])), 1)
    assert (image.rescale_slope, image.rescale_intercept, image.units_known) == (3.0, 5.0, False)
    assert image.voi_window == Window(center=40.0, width=400.0)


@pytest.mark.verifies("REQ-INF-009")
def test_each_frame_of_several_is_its_own() -> None:
    body = native(stack(), LITTLE, bits=12)
    for frame in (1, 2, 3):
        image = decoded(body, frame)
        assert (image.frame, image.frames) == (frame, 3)
        assert np.array_equal(image.stored, stack()[frame - 1, ..., 0])


@pytest.mark.verifies("REQ-INF-009")
def test_several_frames_without_a_choice_are_refused() -> None:
    with pytest.raises(FrameInvalid):
        decoded(native(stack(), LITTLE, bits=12))


@pytest.mark.verifies("REQ-INF-009")
@pytest.mark.parametrize("frame", [0, 4, -1])
def test_a_frame_that_is_not_there_is_refused(frame: int) -> None:
    with pytest.raises(FrameInvalid):
        decoded(native(stack(), LITTLE, bits=12), frame)


def test_only_the_asked_frame_is_given_to_a_child() -> None:
    frames = [codestream(frame[..., 0], uid.JPEGLSLossless, bits=12) for frame in stack()]
    body = encapsulated(frames, stack(), uid.JPEGLSLossless, bits=12)
    job = compressed_frame(read_header(body, 2, LIMITS))
    assert job.frame.rstrip(b"\0") == frames[1].rstrip(b"\0")


@pytest.mark.verifies("REQ-INF-023")
def test_signed_values_below_zero_keep_their_sign_where_bits_are_unused() -> None:
    pixels = phantom().astype(np.int16) - 1000
    body = native(pixels & 0x0FFF, LITTLE, bits=12, PixelRepresentation=1)
    assert np.array_equal(decoded(body).stored, pixels.astype("<i2") << 4 >> 4)


@pytest.mark.verifies("REQ-INF-023")
def test_unused_high_bits_are_removed() -> None:
    assert np.array_equal(decoded(native(phantom() | 0xF000, LITTLE, bits=12)).stored, phantom())


@pytest.mark.verifies("REQ-INF-023")
def test_big_endian_samples_come_out_in_little_endian() -> None:
    image = decoded(native(phantom(), uid.ExplicitVRBigEndian, bits=12))
    assert image.stored.dtype.str == "<u2"
    assert np.array_equal(image.stored, phantom())


@pytest.mark.verifies("REQ-INF-023")
def test_colour_by_plane_comes_out_by_pixel() -> None:
    planes = np.ascontiguousarray(colour().transpose(2, 0, 1))
    body = native(colour(), LITTLE, bits=8, PlanarConfiguration=1, PixelData=planes.tobytes())
    assert np.array_equal(decoded(body).stored, colour())


@pytest.mark.verifies("REQ-INF-033")
def test_equal_samples_have_equal_digests_whatever_the_encoding() -> None:
    digests = {
        decoded(native(phantom(), syntax, bits=12)).pixels_sha256 for syntax in (LITTLE, uid.ExplicitVRBigEndian)
    }
    assert len(digests) == 1


def test_a_palette_comes_out_as_rgb() -> None:
    ramp = np.arange(256, dtype=np.uint8)
    palette = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, values in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", ramp // 2))
        for part, value in (("Descriptor", [256, 0, 8]), ("Data", values.tobytes()))
    }
    pixels = phantom(bits=8)
    image = decoded(native(pixels, LITTLE, bits=8, PhotometricInterpretation="PALETTE COLOR", **palette))
    assert (image.photometric, image.bits_stored) == ("RGB", 8)
    assert np.array_equal(image.stored, np.stack([pixels, 255 - pixels, pixels // 2], axis=-1))


@pytest.mark.verifies("REQ-INF-029")
def test_a_syntax_that_is_not_read_is_named() -> None:
    with pytest.raises(SyntaxUnsupported, match=r"1\.2\.840\.10008\.1\.2\.4\.51"):
        decoded(encapsulated([b"\xff\xd8\xff\xd9"], phantom(), uid.JPEGExtended12Bit, bits=12))


@pytest.mark.verifies("REQ-INF-029")
def test_a_syntax_that_nobody_knows_is_not_repeated() -> None:
    body = ct().replace(b"1.2.840.10008.1.2.1\0", b"1.2.3.4.5.6.7.8.9.1\0", 1)
    with pytest.raises(SyntaxUnsupported) as error:
        decoded(body)
    assert "1.2.3.4" not in str(error.value)


@pytest.mark.verifies("REQ-INF-029")
def test_float_pixels_are_refused() -> None:
    ds = data_set(phantom(), bits=12)
    del ds.PixelData
    ds.FloatPixelData = np.zeros(24 * 31, "<f4").tobytes()
    with pytest.raises(DecodeFailed, match="Float"):
        decoded(part10(ds, LITTLE))


@pytest.mark.verifies("REQ-INF-029")
def test_a_file_without_pixels_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="7FE0,0010"):
        decoded(without("PixelData"))


@pytest.mark.verifies("REQ-INF-028")
@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelRepresentation"])
def test_a_header_without_an_essential_element_is_refused(keyword: str) -> None:
    with pytest.raises(DecodeFailed):
        decoded(without(keyword))


@pytest.mark.verifies("REQ-INF-028")
@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 0},
        {"BitsAllocated": 12},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"HighBit": 15},
        {"PixelRepresentation": 2},
        {"SamplesPerPixel": 2},
        {"PhotometricInterpretation": "RGB"},
        {"PhotometricInterpretation": "YBR_RCT"},
        {"NumberOfFrames": 0},
    ],
)
def test_a_header_that_contradicts_itself_is_refused(elements: dict[str, object]) -> None:
    with pytest.raises(DecodeFailed):
        decoded(ct(**elements))


@pytest.mark.verifies("REQ-INF-028")
def test_pixels_shorter_than_the_header_says_are_refused() -> None:
    with pytest.raises(DecodeFailed, match="shorter"):
        decoded(ct(Rows=25))


@pytest.mark.verifies("REQ-INF-027")
def test_more_pixels_than_the_limit_are_refused() -> None:
    with pytest.raises(ImageTooLarge):
        decoded(ct(), limits=structs.replace(LIMITS, max_pixels=24 * 31 - 1))


@pytest.mark.verifies("REQ-INF-027")
def test_as_many_pixels_as_the_limit_are_decoded() -> None:
    assert decoded(ct(), limits=structs.replace(LIMITS, max_pixels=24 * 31)).stored.size == 24 * 31


@pytest.mark.verifies("REQ-INF-027")
def test_more_frames_than_the_limit_are_refused() -> None:
    with pytest.raises(ImageTooLarge):
        decoded(native(stack(), LITTLE, bits=12), 1, structs.replace(LIMITS, max_frames=2))


@pytest.mark.verifies("REQ-INF-025")
def test_a_compressed_frame_that_claims_another_size_is_refused() -> None:
    body = encapsulated([codestream(phantom(64, 64), uid.JPEG2000, bits=12)], phantom(), uid.JPEG2000, bits=12)
    with pytest.raises(DecodeFailed, match="size"):
        compressed_frame(read_header(body, None, LIMITS))


@pytest.mark.verifies("REQ-INF-025")
def test_an_rle_frame_with_too_few_segments_is_refused() -> None:
    body = encapsulated([codestream(phantom(bits=8), uid.RLELossless, bits=8)], phantom(), uid.RLELossless, bits=12)
    with pytest.raises(DecodeFailed, match="segment"):
        compressed_frame(read_header(body, None, LIMITS))


def test_compressed_pixels_that_are_not_encapsulated_are_refused() -> None:
    ds = data_set(phantom(), bits=12)
    body = part10(ds, LITTLE).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1)
    with pytest.raises(DecodeFailed, match="encapsulated"):
        compressed_frame(read_header(body, None, LIMITS))


def test_a_patient_id_that_is_absurdly_long_is_dropped_whole() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ct(PatientID="X" * 2000)
    assert decoded(body).patient is None


def test_a_file_compressed_in_every_way_has_the_same_header() -> None:
    expected = structs.replace(read_header(ct(), None, LIMITS).layout)
    for syntax in (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEGLosslessSV1):
        assert read_header(compressed(phantom(), syntax, bits=12), None, LIMITS).layout == expected
