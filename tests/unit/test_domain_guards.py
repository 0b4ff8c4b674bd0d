"""The guards behind which nobody looks again, tried at every edge: one step to either side is another answer."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from service.adapters.images_attributes import chosen_frame
from service.domain import flow, interpret, preprocess, quality
from service.domain.card import Card, CardWindow, InputContract, OutputContract, QualityContract
from service.domain.messages import DecodedImage, InferenceRequest, Window
from service.errors import FrameInvalid, IntendedUse

CONTRACT = OutputContract(
    tensor="logit", label="spot", temperature=2.0, bias=-0.5, threshold_ppm=500_000, abstain_below_ppm=400_000,
    abstain_above_ppm=600_000,
)  # fmt: skip


@pytest.mark.verifies("REQ-INF-009")
@pytest.mark.parametrize(("frames", "asked", "chosen"), [(1, None, 1), (1, 1, 1), (3, 1, 1), (3, 2, 2), (3, 3, 3)])
def test_the_frame_that_was_asked_for_is_chosen(frames, asked, chosen):
    assert chosen_frame(frames, asked) == chosen


@pytest.mark.verifies("REQ-INF-009")
@pytest.mark.parametrize(
    ("frames", "asked", "words"),
    [
        (2, None, "The file has 2 frames: say which with `frame`, from 1."),
        (0, None, "The file has 0 frames: say which with `frame`, from 1."),
        (1, 0, "There is no such frame: the file has 1, counted from 1."),
        (1, 2, "There is no such frame: the file has 1, counted from 1."),
        (3, 4, "There is no such frame: the file has 3, counted from 1."),
        (3, -1, "There is no such frame: the file has 3, counted from 1."),
    ],
)
def test_a_frame_that_would_be_a_guess_is_refused_in_words(frames, asked, words):
    with pytest.raises(FrameInvalid) as refused:
        chosen_frame(frames, asked)
    assert str(refused.value) == words


@pytest.mark.verifies("REQ-INF-003")
@pytest.mark.parametrize(
    ("logit", "ppm"), [(1.0, 500_000), (0.0, 377_541), (3.0, 731_059), (-3.0, 119_203), (1e300, 1_000_000), (-1e300, 0)]
)
def test_a_probability_is_the_sigmoid_of_the_calibrated_logit(logit, ppm):
    assert interpret.probability_ppm(logit, CONTRACT) == ppm


@pytest.mark.verifies("REQ-INF-003")
@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_has_no_probability(logit):
    assert interpret.probability_ppm(logit, CONTRACT) is None


@pytest.mark.verifies("REQ-INF-003")
def test_a_calibration_that_leaves_the_numbers_has_no_probability():
    tiny = msgspec.structs.replace(CONTRACT, temperature=1e-300)
    assert interpret.probability_ppm(1e38, tiny) is None


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize(
    ("shape", "reason"),
    [((1, 1), ()), ((1,), ()), ((), ()), ((2,), ("non_finite_output",)), ((0,), ("non_finite_output",))],
)
def test_one_number_in_any_shape_is_an_output_and_nothing_else_is(shape, reason):
    found = interpret.finding(np.full(shape, 9.0, np.float32), CONTRACT)
    assert (found.reasons, found.decision) == (reason, "abstain" if reason else "positive")


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize(
    ("threshold", "decision"), [(500_000, "positive"), (499_999, "positive"), (500_001, "negative")]
)
def test_the_threshold_itself_is_positive(threshold, decision):
    outside = msgspec.structs.replace(CONTRACT, threshold_ppm=threshold, abstain_below_ppm=1, abstain_above_ppm=1)
    found = interpret.finding(np.array([1.0], np.float32), outside)
    assert (found.decision, found.probability_ppm, found.threshold_ppm, found.label, found.reasons) == (
        decision, 500_000, threshold, "spot", (),
    )  # fmt: skip


@pytest.mark.verifies("REQ-INF-004")
def test_an_abstention_has_the_reasons_that_it_is_given_and_no_number():
    assert msgspec.structs.astuple(interpret.abstain("too_small", "blank_image")) == (
        "abstain", None, None, None, ("too_small", "blank_image"),
    )  # fmt: skip


CARD_INPUT = InputContract(
    modalities=("CT",), rendered=True, color="grey", tensor="image", rows=4, columns=4, min_rows=4, min_columns=6,
    window=CardWindow(center=0.0, width=100.0), mean=0.5, std=0.25,
)  # fmt: skip


def an_image(stored, **members):
    known: dict[str, Any] = {
        "media_type": "application/dicom", "modality": "CT", "photometric": "MONOCHROME2", "bits_stored": 16,
        "pixels_sha256": "0" * 64, "units_known": True,
    }  # fmt: skip
    return DecodedImage(stored=np.asarray(stored), **(known | members))


@pytest.mark.verifies("REQ-INF-013")
@pytest.mark.parametrize("stored", [[[0, 1]], [[1, 0]], [[0, -1]], [[-1, 1]]])
@pytest.mark.parametrize("kind", [np.int16, np.int32], ids=["worked out in float32", "in float64, 0 staying 0"])
def test_one_value_that_is_not_finite_marks_the_image_and_blackens_it(stored, kind):
    contract = msgspec.structs.replace(CARD_INPUT, window=None)
    picture = an_image(np.array(stored, kind), voi_window=Window(center=0.0, width=10.0), rescale_slope=1e300)
    grey = preprocess.grey_levels(picture, contract)
    assert (grey.finite, grey.levels.tolist()) == (False, [[[0.0, 0.0]]])


@pytest.mark.verifies("REQ-INF-013")
@pytest.mark.parametrize(
    ("photometric", "expected"), [("MONOCHROME2", [0.0, 0.25, 1.0]), ("MONOCHROME1", [1.0, 0.75, 0.0])]
)
def test_levels_are_those_of_the_window_clamped_and_upright(photometric, expected):
    contract = msgspec.structs.replace(CARD_INPUT, window=CardWindow(center=0.0, width=4.0, function="LINEAR_EXACT"))
    grey = preprocess.grey_levels(an_image(np.array([[-900, -1, 900]], np.int16), photometric=photometric), contract)
    assert (grey.finite, grey.levels.tolist()) == (True, [[expected]])


@pytest.mark.verifies("REQ-INF-007")
@pytest.mark.parametrize(
    ("window", "members", "lacks"),
    [
        (True, {"units_known": False}, True),
        (True, {"units_known": True}, False),
        (False, {"units_known": False}, False),
        (True, {"units_known": False, "media_type": "image/png"}, False),
        (True, {"units_known": False, "photometric": "RGB"}, False),
    ],
)
def test_units_are_missed_where_a_card_needs_them_and_the_values_could_have_some(window, members, lacks):
    contract = CARD_INPUT if window else msgspec.structs.replace(CARD_INPUT, window=None)
    assert preprocess.lacks_units(an_image(np.zeros((2, 2), np.int16), **members), contract) is lacks


@pytest.mark.verifies("REQ-INF-008")
def test_a_dicom_image_is_admitted_by_a_card_without_rendered_ones():
    card = a_card(input=msgspec.structs.replace(CARD_INPUT, rendered=False))
    request = InferenceRequest(body=b"", media_type="application/dicom")
    assert flow._admit_media_type(request, card) is None


@pytest.mark.verifies("REQ-INF-008")
def test_a_refusal_names_every_modality_that_the_card_admits():
    card = a_card(input=msgspec.structs.replace(CARD_INPUT, modalities=("CT", "MR")))
    with pytest.raises(IntendedUse) as refused:
        flow._admit_image(an_image(np.zeros((2, 2), np.int16), modality="US"), card)
    assert str(refused.value) == "the card of demo admits modality CT, MR; Modality (0008,0060) says otherwise"


def a_card(**changes):
    members: dict[str, Any] = {
        "input": CARD_INPUT,
        "output": CONTRACT,
        "quality": QualityContract(min_contrast_ppm=250_000, max_clipped_ppm=500_000),
    }
    return msgspec.convert(
        {
            "format": "medai.card/1", "name": "demo", "version": "1", "sha256": "a" * 64, "title": "A demo",
            "notice": "Not for clinical use.", "intended_use": "Tests.", "not_for": "People.", "training_data": "None.",
            "limits": "All.", "licence": "None.", "metrics": [],
        } | {name: msgspec.to_builtins(value) for name, value in (members | changes).items()},
        Card,
    )  # fmt: skip


HALVES = np.tile(np.array([0.25, 0.75], np.float32), (1, 4, 4))  # one channel, 4 rows, 8 columns; contrast 250,000
EDGES = np.tile(np.array([0.0, 0.5, 1.0, 0.5], np.float32), (1, 4, 2))  # half of it clipped
MORE_EDGES = np.tile(np.array([0.0, 0.5, 1.0, 0.5, 0.0, 1.0, 1.0, 0.5], np.float32), (1, 4, 1))
BLACK = np.zeros((1, 2, 2), np.float32)


@pytest.mark.verifies("REQ-INF-006")
@pytest.mark.parametrize(
    ("levels", "view", "reasons"),
    [
        (HALVES, HALVES, ()),
        (HALVES[:, :4, :6], HALVES, ()),
        (HALVES[:, :3], HALVES, ("too_small",)),
        (HALVES[:, :, :5], HALVES, ("too_small",)),
        (HALVES, HALVES * np.float32(0.999), ("blank_image",)),
        (EDGES, HALVES, ()),
        (MORE_EDGES, HALVES, ("clipped_image",)),
        (BLACK, BLACK, ("too_small", "blank_image", "clipped_image")),
    ],
    ids=["passed", "just large enough", "a row less", "a column less", "less contrast", "half clipped", "more clipped",
         "all at once"],
)  # fmt: skip
def test_each_reason_begins_just_beyond_its_bound(levels, view, reasons):
    assert quality.measure(levels, view, a_card()).reasons == reasons


@pytest.mark.verifies("REQ-INF-006")
def test_contrast_is_measured_on_the_view_and_clipping_on_the_image():
    report = quality.measure(EDGES, HALVES, a_card())
    assert (report.contrast_ppm, report.clipped_ppm) == (250_000, 500_000)


@pytest.mark.verifies("REQ-INF-005")
@pytest.mark.parametrize(
    ("picture", "reasons", "runs"),
    [
        ({}, (), 1),
        ({"rescale_slope": math.nan}, ("non_finite_input",), 0),
        ({"rescale_slope": math.nan, "units_known": False}, ("non_finite_input",), 0),
        ({"units_known": False}, ("units_unknown",), 0),
        ({"rescale_slope": 0.0}, ("blank_image",), 0),
        ({"rescale_slope": 0.0, "units_known": False}, ("units_unknown",), 0),
    ],
)
def test_the_first_gate_that_an_image_fails_is_its_reason_and_the_model_is_not_asked(picture, reasons, runs):
    stored = np.tile(np.array([-40, 40], np.int16), (8, 4))
    card = a_card(
        input=msgspec.structs.replace(CARD_INPUT, rows=8, columns=8),
        quality=QualityContract(min_contrast_ppm=1_000, max_clipped_ppm=1_000_000),
    )
    seen = []

    def run(batch):
        seen.append(batch)
        return np.array([9.0], np.float32)

    judged = flow.judge(an_image(stored, **picture), card, run)
    assert (judged.finding.reasons, len(seen)) == (reasons, runs)
    assert judged.window.source == ("card" if picture.get("units_known", True) else "none")


@pytest.mark.verifies("REQ-INF-005")
def test_the_model_is_given_the_normalised_view_and_its_output_is_the_finding():
    stored = np.tile(np.array([-25, 25], np.int16), (8, 4))
    card = a_card(
        input=msgspec.structs.replace(
            CARD_INPUT, rows=8, columns=8, window=CardWindow(center=0.0, width=100.0, function="LINEAR_EXACT")
        ),
        quality=QualityContract(min_contrast_ppm=1_000, max_clipped_ppm=1_000_000),
    )
    seen = []

    def run(batch):
        seen.append(batch)
        return np.array([9.0], np.float32)

    judged = flow.judge(an_image(stored), card, run)
    assert np.unique(seen[0]).tolist() == [-1.0, 1.0]
    assert (judged.finding.decision, judged.quality.contrast_ppm) == ("positive", 250_000)
