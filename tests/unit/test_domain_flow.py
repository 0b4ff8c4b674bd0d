from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.domain import flow, preprocess, quality
from service.domain.card import Card
from service.domain.messages import DecodedImage, InferenceRequest, Limits, RuntimeIdentity, Window
from service.errors import DecodeFailed, InferenceFailed, IntendedUse, ModelUnknown

pytestmark = pytest.mark.anyio

LIMITS = Limits(max_pixels=10**6, max_frames=10, max_inflated_bytes=10**7, deadline_ms=1000)
RUNTIME = RuntimeIdentity(name="fake", version="1", provider="none", optimization="none")
CARD = {
    "format": "medai.card/1", "name": "demo", "version": "1.2", "sha256": "a" * 64, "title": "A demo",
    "notice": "Not for clinical use.", "intended_use": "Tests.", "not_for": "People.", "training_data": "None.",
    "limits": "All.", "licence": "None.", "metrics": [],
    "input": {
        "modalities": ["CT"], "rendered": True, "color": "grey", "tensor": "image", "rows": 16, "columns": 16,
        "min_rows": 8, "min_columns": 8, "window": {"center": 40.0, "width": 400.0}, "mean": 0.5, "std": 0.25,
    },
    "output": {
        "tensor": "logit", "label": "spot", "temperature": 1.0, "bias": 0.0, "threshold_ppm": 500_000,
        "abstain_below_ppm": 450_000, "abstain_above_ppm": 550_000,
    },
    "quality": {"min_contrast_ppm": 20_000, "max_clipped_ppm": 600_000},
}  # fmt: skip


def a_card(**of_input):
    members = msgspec.to_builtins(CARD)
    members["input"] = members["input"] | of_input
    return msgspec.convert(members, Card)


SCENE = np.tile(np.linspace(-150, 200, 32).astype(np.int16), (32, 1))


def a_slice(stored=SCENE, **members):
    known: dict[str, Any] = {
        "media_type": "application/dicom", "modality": "CT", "photometric": "MONOCHROME2", "bits_stored": 16,
        "pixels_sha256": "b" * 64, "patient": "P1", "study": "S1", "units_known": True,
    }  # fmt: skip
    return DecodedImage(stored=stored, **(known | members))


class FakeDecoder:
    """Answers with the image given, or raises it where it is an error."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    async def decode(self, body, media_type, frame, limits):
        self.asked.append((body, media_type, frame, limits))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeModel:
    """Answers with one logit, and keeps what it was given."""

    runtime = RUNTIME

    def __init__(self, card, logit):
        self.card, self.logit, self.batches = card, logit, []

    async def compute(self, step):
        return step(self.run)

    def run(self, batch):
        self.batches.append(batch)
        if isinstance(self.logit, Exception):
            raise self.logit
        return np.array([[self.logit]], np.float32)


class FakeModels:
    def __init__(self, model):
        self.model, self.asked = model, []

    def find(self, wanted):
        self.asked.append(wanted)
        if self.model is None:
            raise ModelUnknown("none")
        return self.model

    def all(self):
        return (self.model,)


async def infer(picture=None, *, logit=3.0, card=None, media_type="application/dicom", frame=None, model=None):
    """The prediction, the model that was or was not run, and the decoder that was or was not asked."""
    picture = a_slice() if picture is None else picture
    fake, decoder = FakeModel(card or a_card(), logit), FakeDecoder(picture)
    request = InferenceRequest(body=b"the bytes", media_type=media_type, model=model, frame=frame)
    prediction = await flow.infer(request, decoder=decoder, models=FakeModels(fake), limits=LIMITS)
    return prediction, fake, decoder


class TestAFinding:
    @pytest.mark.verifies("REQ-INF-001")
    @pytest.mark.parametrize(("logit", "decision"), [(3.0, "positive"), (-3.0, "negative"), (0.0, "abstain")])
    async def test_it_follows_the_models_logit(self, logit, decision):
        prediction, _, _ = await infer(logit=logit)
        assert prediction.finding.decision == decision

    @pytest.mark.verifies("REQ-INF-021")
    async def test_it_names_the_bytes_that_were_received(self):
        prediction, _, _ = await infer()
        assert prediction.input_sha256 == sha256(b"the bytes").hexdigest()

    @pytest.mark.verifies("REQ-INF-021")
    async def test_it_names_the_model_and_what_ran_it(self):
        prediction, _, _ = await infer()
        named = (prediction.model.name, prediction.model.version, prediction.model.sha256, prediction.runtime)
        assert named == ("demo", "1.2", "a" * 64, RUNTIME)

    @pytest.mark.verifies("REQ-INF-022")
    async def test_it_carries_the_cards_notice(self):
        prediction, _, _ = await infer()
        assert prediction.intended_use == "Not for clinical use. Tests."

    async def test_it_says_which_window_was_used(self):
        prediction, _, _ = await infer()
        assert (prediction.window.source, prediction.window.width_milli) == ("card", 400_000)

    @pytest.mark.verifies("REQ-INF-021")
    async def test_it_keeps_the_frame_and_the_size_of_the_image(self):
        prediction, _, _ = await infer(a_slice(SCENE[:20], frame=2, frames=3), frame=2)
        assert (prediction.rows, prediction.columns, prediction.frame) == (20, 32, 2)

    @pytest.mark.verifies("REQ-INF-005")
    async def test_the_model_is_given_one_input_of_the_cards_shape(self):
        _, fake, _ = await infer()
        assert [(batch.shape, batch.dtype) for batch in fake.batches] == [((1, 1, 16, 16), np.float32)]

    async def test_the_decoder_is_given_the_frame_and_the_limits(self):
        _, _, decoder = await infer(frame=7)
        assert decoder.asked == [(b"the bytes", "application/dicom", 7, LIMITS)]


class TestIntendedUse:
    @pytest.mark.verifies("REQ-INF-008")
    @pytest.mark.parametrize("modality", ["MR", None, "ct"])
    async def test_a_modality_that_the_card_does_not_admit_is_refused(self, modality):
        with pytest.raises(IntendedUse):
            await infer(a_slice(modality=modality))

    @pytest.mark.verifies("REQ-INF-008")
    async def test_the_refusal_does_not_repeat_the_files_modality(self):
        with pytest.raises(IntendedUse) as refused:
            await infer(a_slice(modality="MUSTERMANN"))
        assert "MUSTERMANN" not in str(refused.value)

    @pytest.mark.verifies("REQ-INF-008")
    @pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
    async def test_a_rendered_image_is_refused_where_the_card_says_so(self, media_type):
        with pytest.raises(IntendedUse):
            await infer(media_type=media_type, card=a_card(rendered=False))

    async def test_a_rendered_image_that_is_refused_is_not_decoded(self):
        decoder = FakeDecoder(DecodeFailed("asked"))
        request = InferenceRequest(body=b"", media_type="image/png")
        models = FakeModels(FakeModel(a_card(rendered=False), 1.0))
        with pytest.raises(IntendedUse):
            await flow.infer(request, decoder=decoder, models=models, limits=LIMITS)

    @pytest.mark.verifies("REQ-INF-008")
    async def test_a_rendered_image_needs_no_modality(self):
        picture = a_slice((SCENE - SCENE.min()).astype(np.uint16), modality=None, media_type="image/png", bits_stored=9)
        prediction, _, _ = await infer(picture, media_type="image/png")
        assert prediction.finding.decision == "positive"

    @pytest.mark.verifies("REQ-INF-008")
    async def test_colour_is_refused_by_a_grey_card(self):
        with pytest.raises(IntendedUse):
            await infer(a_slice(np.zeros((32, 32, 3), np.uint8), photometric="RGB"))

    @pytest.mark.verifies("REQ-INF-008")
    async def test_grey_is_refused_by_a_colour_card(self):
        with pytest.raises(IntendedUse):
            await infer(card=a_card(color="rgb"))


class TestAbstaining:
    @pytest.mark.verifies("REQ-INF-005")
    @pytest.mark.parametrize(
        ("stored", "reason"),
        [
            (np.full((32, 32), 40, np.int16), "blank_image"),
            (np.where(np.arange(32) < 16, -1000, 1000).astype(np.int16) * np.ones((32, 1), np.int16), "clipped_image"),
            (SCENE[:7], "too_small"),
        ],
    )
    async def test_an_image_that_fails_the_gate_says_why(self, stored, reason):
        prediction, _, _ = await infer(a_slice(stored))
        assert (prediction.finding.decision, prediction.finding.reasons) == ("abstain", (reason,))

    @pytest.mark.verifies("REQ-INF-005")
    async def test_an_image_that_fails_the_gate_is_not_shown_to_the_model(self):
        _, fake, _ = await infer(a_slice(np.zeros((32, 32), np.int16)))
        assert fake.batches == []

    @pytest.mark.verifies("REQ-INF-005")
    async def test_an_image_that_fails_the_gate_has_no_probability(self):
        prediction, _, _ = await infer(a_slice(np.zeros((32, 32), np.int16)))
        assert prediction.finding.probability_ppm is None

    @pytest.mark.verifies("REQ-INF-005")
    @pytest.mark.parametrize("slope", [float("nan"), float("inf"), 1e300])
    async def test_an_input_that_is_not_finite_is_never_a_finding(self, slope):
        prediction, fake, _ = await infer(a_slice(rescale_slope=slope))
        assert (prediction.finding.reasons, fake.batches) == (("non_finite_input",), [])

    @pytest.mark.verifies("REQ-INF-005", "REQ-INF-007")
    async def test_a_window_in_units_is_not_laid_on_values_without_them(self):
        prediction, fake, _ = await infer(a_slice(units_known=False))
        assert (prediction.finding.decision, prediction.finding.reasons) == ("abstain", ("units_unknown",))
        assert (prediction.finding.probability_ppm, fake.batches) == (None, [])

    async def test_an_image_without_units_is_measured_under_its_own_files_window(self):
        prediction, _, _ = await infer(a_slice(units_known=False, voi_window=Window(center=30.0, width=300.0)))
        assert (prediction.window.source, prediction.window.width_milli) == ("file_window", 300_000)

    @pytest.mark.verifies("REQ-INF-007")
    async def test_a_card_without_a_window_needs_no_units(self):
        picture = a_slice(units_known=False, voi_window=Window(center=30.0, width=400.0))
        prediction, _, _ = await infer(picture, card=a_card(window=None))
        assert prediction.finding.decision == "positive"

    @pytest.mark.verifies("REQ-INF-005")
    @pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
    async def test_an_output_that_is_not_finite_is_never_a_finding(self, logit):
        prediction, _, _ = await infer(logit=logit)
        assert prediction.finding.reasons == ("non_finite_output",)


class TestFailing:
    async def test_an_unknown_model_is_found_out_before_anything_is_decoded(self):
        decoder = FakeDecoder(DecodeFailed("asked"))
        request = InferenceRequest(body=b"", media_type="application/dicom", model="other")
        with pytest.raises(ModelUnknown):
            await flow.infer(request, decoder=decoder, models=FakeModels(None), limits=LIMITS)

    async def test_what_the_decoder_raises_is_raised(self):
        with pytest.raises(DecodeFailed):
            await infer(DecodeFailed("no image"))

    async def test_what_the_model_raises_is_raised(self):
        with pytest.raises(InferenceFailed):
            await infer(logit=InferenceFailed("no run"))


class TestQuality:
    LEVELS = hnp.arrays(np.float32, (1, 6, 6), elements=st.floats(0, 1, width=32))

    def measured(self, levels):
        return quality.measure(levels, levels, a_card())

    @pytest.mark.verifies("REQ-INF-006")
    @given(LEVELS)
    def test_both_figures_are_shares_of_a_million(self, levels):
        report = self.measured(levels)
        assert 0 <= report.contrast_ppm <= 500_000
        assert 0 <= report.clipped_ppm <= 1_000_000

    @given(LEVELS)
    def test_an_inverted_image_is_measured_alike(self, levels):
        one, other = self.measured(levels), self.measured(1 - (1 - levels))
        inverted = self.measured(1 - levels)
        assert abs(inverted.contrast_ppm - one.contrast_ppm) <= 1
        assert one.clipped_ppm <= inverted.clipped_ppm + other.clipped_ppm

    @pytest.mark.verifies("REQ-INF-006")
    def test_contrast_is_the_standard_deviation(self):
        levels = np.repeat(np.array([0.25, 0.75], np.float32), 128).reshape(1, 16, 16)
        assert self.measured(levels).contrast_ppm == 250_000

    @pytest.mark.verifies("REQ-INF-006")
    def test_clipped_counts_both_ends(self):
        levels = np.repeat(np.array([0.0, 0.5, 0.6, 1.0], np.float32), 64).reshape(1, 16, 16)
        assert self.measured(levels).clipped_ppm == 500_000

    @pytest.mark.verifies("REQ-INF-006")
    def test_every_reason_that_holds_is_given(self):
        assert self.measured(np.zeros((1, 2, 2), np.float32)).reasons == ("too_small", "blank_image", "clipped_image")

    @pytest.mark.verifies("REQ-INF-006")
    def test_a_passed_image_has_no_reasons(self):
        grey = preprocess.grey_levels(a_slice(), a_card().input)
        assert self.measured(grey.levels).passed
