import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from service.domain import preprocess
from service.domain.card import CardWindow, InputContract
from service.domain.messages import DecodedImage, LookupTable, Window, WindowUsed

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
PIXELS = hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-2048, 2047))
WINDOWS = st.builds(
    Window,
    center=st.floats(-1000, 1000),
    width=st.floats(1, 4000),
    function=st.sampled_from(FUNCTIONS),
)


def contract(window=None, *, color="grey", mean=0.5, std=0.25):
    return InputContract(
        modalities=("CT",), rendered=True, color=color, tensor="image", rows=8, columns=8, min_rows=1, min_columns=1,
        window=window, mean=mean, std=std,
    )  # fmt: skip


def image(stored, **members):
    known: dict[str, Any] = {
        "media_type": "application/dicom", "modality": "CT", "photometric": "MONOCHROME2", "bits_stored": 12,
        "pixels_sha256": "0" * 64, "units_known": True,
    }  # fmt: skip
    return DecodedImage(stored=np.asarray(stored), **(known | members))


def levels(stored, card=None, **members):
    return preprocess.grey_levels(image(stored, **members), contract(card)).levels[0]


def dataset(*, slope=1.0, intercept=0.0, signed=1, bits=12, **members):
    """What pydicom needs to know for the same computation."""
    made = Dataset()
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsStored, made.PixelRepresentation = bits, signed
    made.RescaleSlope, made.RescaleIntercept = slope, intercept
    for name, value in members.items():
        setattr(made, name, value)
    return made


def lut_item(table, first_mapped, bits):
    item = Dataset()
    item.LUTDescriptor = [len(table), first_mapped, bits]
    item.add_new("LUTData", "US", [int(each) for each in table])
    return item


class TestAgainstPydicom:
    @pytest.mark.verifies("REQ-INF-011")
    @given(
        PIXELS, WINDOWS.filter(lambda each: each.width >= 8), st.sampled_from([0.5, 1.0, 2.0]), st.integers(-1024, 1024)
    )
    def test_a_window_of_each_function_is_pydicoms(self, stored, window, slope, intercept):
        file = dataset(slope=slope, intercept=intercept, VOILUTFunction=window.function)
        file.WindowCenter, file.WindowWidth = window.center, window.width
        low, high = -2048 * slope + intercept, 2047 * slope + intercept
        with np.errstate(over="ignore"):  # pydicom's sigmoid overflows to its right answer
            expected = (apply_windowing(apply_modality_lut(stored, file), file) - low) / (high - low)
        got = levels(stored, rescale_slope=slope, rescale_intercept=float(intercept), voi_window=window)
        # float32 has steps of 2^-11 at 4096: over a window of 8 that is less than 1e-4 of its range.
        assert np.allclose(got, expected, atol=1e-4)

    @pytest.mark.verifies("REQ-INF-011")
    @given(PIXELS, st.floats(-1000, 1000).map(round))
    def test_a_linear_window_of_width_1_is_pydicoms_step(self, stored, center):
        file = dataset(WindowCenter=center, WindowWidth=1)
        expected = (apply_windowing(apply_modality_lut(stored, file), file) + 2048) / 4095
        assert np.array_equal(levels(stored, voi_window=Window(center=float(center), width=1.0)), expected)

    @pytest.mark.verifies("REQ-INF-011")
    @given(PIXELS, st.lists(st.integers(0, 4095), min_size=2, max_size=64), st.integers(-100, 100))
    def test_a_voi_table_is_pydicoms(self, stored, table, first):
        file = dataset(VOILUTSequence=[lut_item(table, first, 12)])
        expected = apply_voi(stored.astype(np.int64), file) / 4095
        got = levels(stored, voi_lut=LookupTable(first_mapped=first, bits=12, table=np.array(table, np.uint16)))
        assert np.allclose(got, expected, atol=1e-6)

    @pytest.mark.verifies("REQ-INF-012")
    @given(PIXELS, st.lists(st.integers(0, 65535), min_size=2, max_size=64), st.integers(-100, 100))
    def test_a_modality_table_is_pydicoms(self, stored, table, first):
        file = dataset(ModalityLUTSequence=[lut_item(table, first, 16)])
        expected = apply_modality_lut(stored.astype(np.int64), file) / 65535
        got = levels(stored, modality_lut=LookupTable(first_mapped=first, bits=16, table=np.array(table, np.uint16)))
        assert np.allclose(got, expected, atol=1e-6)

    @pytest.mark.verifies("REQ-INF-012")
    @given(PIXELS, st.floats(0.1, 4), st.floats(-2000, 2000))
    def test_a_ct_rescale_under_the_cards_window_is_pydicoms(self, stored, slope, intercept):
        file = dataset(slope=slope, intercept=intercept, WindowCenter=40, WindowWidth=400)
        low, high = -2048 * slope + intercept, 2047 * slope + intercept
        expected = (apply_windowing(apply_modality_lut(stored, file), file) - low) / (high - low)
        card = CardWindow(center=40.0, width=400.0)
        assert np.allclose(levels(stored, card, rescale_slope=slope, rescale_intercept=intercept), expected, atol=2e-5)


class TestWindows:
    @pytest.mark.verifies("REQ-INF-011")
    def test_linear_maps_the_ends_that_the_standard_names(self):
        # PS3.3 C.11.2.1.2.1: with c = 2048 and w = 4096, 0 is the last black and 4095 the first white.
        got = levels(np.array([[0, 4095]], np.int16), voi_window=Window(center=2048.0, width=4096.0), bits_stored=16)
        assert got.tolist() == [[0.0, 1.0]]

    @pytest.mark.verifies("REQ-INF-013")
    @given(PIXELS, WINDOWS)
    def test_levels_are_within_0_and_1(self, stored, window):
        got = levels(stored, voi_window=window)
        assert 0 <= got.min() <= got.max() <= 1

    @pytest.mark.verifies("REQ-INF-013")
    @given(PIXELS, WINDOWS)
    def test_a_greater_value_is_never_darker(self, stored, window):
        flat = np.sort(stored, axis=None)[np.newaxis]
        assert (np.diff(levels(flat, voi_window=window)[0]) >= 0).all()

    @pytest.mark.verifies("REQ-INF-013")
    @given(PIXELS, WINDOWS)
    def test_monochrome1_is_the_inverse(self, stored, window):
        upright = levels(stored, voi_window=window)
        turned = levels(stored, voi_window=window, photometric="MONOCHROME1")
        assert np.array_equal(turned, 1 - upright)

    @pytest.mark.verifies("REQ-INF-013")
    @given(PIXELS, WINDOWS, st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e6, 1e6))
    def test_nothing_but_finite_levels_comes_out(self, stored, window, slope, intercept):
        got = levels(stored, voi_window=window, rescale_slope=slope, rescale_intercept=intercept)
        assert np.isfinite(got).all()

    @pytest.mark.verifies("REQ-INF-012", "REQ-INF-013")
    @pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("member", ["rescale_slope", "rescale_intercept"])
    @pytest.mark.parametrize(
        "window", [None, Window(center=0.0, width=10.0), Window(center=0.0, width=10.0, function="SIGMOID")]
    )
    def test_a_rescale_that_is_not_finite_is_marked(self, wrong, member, window):
        picture = image(np.ones((2, 2), np.int16), voi_window=window, **{member: wrong})
        assert not preprocess.grey_levels(picture, contract()).finite

    @pytest.mark.verifies("REQ-INF-012")
    @pytest.mark.parametrize("wrong", [math.nan, math.inf])
    def test_a_rescale_that_is_not_finite_is_marked_before_a_table(self, wrong):
        table = LookupTable(first_mapped=0, bits=8, table=np.arange(4, dtype=np.uint8))
        picture = image(np.ones((2, 2), np.int16), voi_lut=table, rescale_slope=wrong)
        assert not preprocess.grey_levels(picture, contract()).finite

    def test_a_slope_of_0_is_black(self):
        assert levels([[1, 2]], rescale_slope=0.0).tolist() == [[0.0, 0.0]]

    def test_32_bit_values_keep_their_last_digits(self):
        stored = np.array([[1_000_000_000, 1_000_000_001, 1_000_000_002]], np.int32)
        got = levels(stored, voi_window=Window(center=1_000_000_001.0, width=2.0, function="LINEAR_EXACT"))
        assert got.tolist() == [[0.0, 0.5, 1.0]]


class TestWhoseWindow:
    FILE = Window(center=10.0, width=100.0)
    TABLE = LookupTable(first_mapped=0, bits=8, table=np.arange(4, dtype=np.uint8))

    def used(self, card=None, **members):
        return preprocess.grey_levels(image(np.ones((2, 2), np.uint8), **members), contract(card)).window

    @pytest.mark.verifies("REQ-INF-010")
    def test_the_cards_comes_before_the_files(self):
        used = self.used(CardWindow(center=40.0, width=400.5), voi_window=self.FILE, voi_lut=self.TABLE)
        assert used == WindowUsed(source="card", center_milli=40_000, width_milli=400_500)

    @pytest.mark.verifies("REQ-INF-010")
    def test_the_files_table_comes_before_the_files_window(self):
        assert self.used(voi_window=self.FILE, voi_lut=self.TABLE) == WindowUsed(source="file_lut")

    @pytest.mark.verifies("REQ-INF-010")
    def test_the_files_window_comes_before_none(self):
        expected = WindowUsed(source="file_window", center_milli=10_000, width_milli=100_000)
        assert self.used(voi_window=self.FILE) == expected

    @pytest.mark.verifies("REQ-INF-010")
    @pytest.mark.parametrize(
        "window",
        [
            Window(center=1.0, width=0.5),
            Window(center=1.0, width=0.0, function="LINEAR_EXACT"),
            Window(center=1.0, width=-5.0, function="SIGMOID"),
            Window(center=math.nan, width=5.0),
            Window(center=0.0, width=math.inf),
        ],
    )
    def test_a_window_that_the_standard_forbids_is_taken_as_absent(self, window):
        assert self.used(voi_window=window) == WindowUsed(source="none")

    @pytest.mark.verifies("REQ-INF-010")
    @pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
    def test_a_rendered_image_uses_none(self, media_type):
        assert self.used(CardWindow(center=40.0, width=400.0), media_type=media_type) == WindowUsed(source="none")

    def test_a_windows_numbers_fit_a_record(self):
        used = self.used(voi_window=Window(center=1e300, width=1e300, function="LINEAR_EXACT"))
        assert used.width_milli == 2**53 - 1


class TestFullRange:
    @pytest.mark.parametrize(("dtype", "bits", "white"), [(np.uint8, 8, 255), (np.uint16, 16, 65535)])
    def test_a_rendered_image_spans_its_bits_under_any_card(self, dtype, bits, white):
        card = CardWindow(center=40.0, width=400.0)
        got = levels(np.array([[0, white]], dtype), card, media_type="image/png", bits_stored=bits)
        assert got.tolist() == [[0.0, 1.0]]

    def test_signed_values_span_their_bits(self):
        got = levels(np.array([[-2048, 2047]], np.int16), rescale_slope=2.0, rescale_intercept=5.0)
        assert got[0].tolist() == pytest.approx([0.0, 1.0])

    def test_a_negative_slope_turns_black_to_white(self):
        got = levels(np.array([[0, 4095]], np.uint16), rescale_slope=-1.0)
        assert got[0].tolist() == pytest.approx([1.0, 0.0])

    def test_colour_comes_out_channels_first(self):
        stored = np.zeros((2, 3, 3), np.uint8)
        stored[..., 1] = 255
        grey = preprocess.grey_levels(
            image(stored, photometric="RGB", bits_stored=8, media_type="image/png"), contract(color="rgb")
        )
        assert grey.levels.mean(axis=(1, 2)).tolist() == [0.0, 1.0, 0.0]


SQUARES = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=20), elements=st.floats(0, 1, width=32)
)


class TestResize:
    @pytest.mark.verifies("REQ-INF-014")
    @given(SQUARES, st.integers(1, 24), st.integers(1, 24))
    def test_no_level_leaves_the_range_of_its_image(self, picture, rows, columns):
        got = preprocess.resize(picture, rows, columns)
        assert picture.min() - 1e-6 <= got.min() <= got.max() <= picture.max() + 1e-6

    @given(SQUARES, st.integers(1, 24), st.integers(1, 24))
    def test_the_result_has_the_size_asked_for(self, picture, rows, columns):
        assert preprocess.resize(picture, rows, columns).shape == (picture.shape[0], rows, columns)

    @given(SQUARES)
    def test_the_same_size_is_the_same_image(self, picture):
        assert np.array_equal(preprocess.resize(picture, *picture.shape[1:]), picture)

    @pytest.mark.verifies("REQ-INF-014")
    @given(SQUARES, st.integers(1, 20))
    def test_shrinking_keeps_the_mean(self, picture, size):
        rows, columns = min(size, picture.shape[1]), min(size, picture.shape[2])
        assert preprocess.resize(picture, rows, columns).mean() == pytest.approx(picture.mean(), abs=1e-5)

    @given(SQUARES)
    def test_turning_the_image_turns_the_result(self, picture):
        turned = np.ascontiguousarray(picture.transpose(0, 2, 1))
        expected = preprocess.resize(picture, 7, 5).transpose(0, 2, 1)
        assert np.allclose(preprocess.resize(turned, 5, 7), expected, atol=1e-6)

    @pytest.mark.verifies("REQ-INF-014")
    def test_a_half_is_the_mean_of_each_four(self):
        picture = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
        assert preprocess.resize(picture, 2, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]

    @pytest.mark.verifies("REQ-INF-014")
    def test_two_thirds_share_the_row_between(self):
        picture = np.array([[[0.0], [3.0], [6.0]]], np.float32)
        assert preprocess.resize(picture, 2, 1)[0, :, 0].tolist() == [1.0, 5.0]

    @pytest.mark.verifies("REQ-INF-014")
    def test_growing_is_linear_between_centres_and_flat_beyond(self):
        picture = np.array([[[0.0], [1.0]]], np.float32)
        assert preprocess.resize(picture, 4, 1)[0, :, 0].tolist() == [0.0, 0.25, 0.75, 1.0]

    @pytest.mark.verifies("REQ-INF-014")
    def test_an_input_is_never_changed(self):
        picture = np.ones((1, 4, 4), np.float32)
        picture.flags.writeable = False
        preprocess.resize(picture, 3, 3)


@pytest.mark.verifies("REQ-INF-034")
def test_the_input_is_normalised_by_the_cards_mean_and_deviation():
    view = np.array([[[0.5, 0.75]]], np.float32)
    batch = preprocess.normalise(view, contract(mean=0.5, std=0.25))
    assert (batch.shape, batch.dtype.str, batch.reshape(-1).tolist()) == ((1, 1, 1, 2), "<f4", [0.0, 1.0])


@given(PIXELS, WINDOWS)
def test_the_stored_pixels_are_never_changed(stored, window):
    stored.flags.writeable = False
    before = stored.copy()
    levels(stored, voi_window=window, photometric="MONOCHROME1")
    assert np.array_equal(stored, before)
