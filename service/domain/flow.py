"""The way of one image, top-down: find the model, admit, decode, judge, and say what was done.

The flow raises the `service.errors` that its ports name, and `IntendedUse`; an image that is admitted
but cannot be judged is not an error: it is a finding that abstains, with its reasons.
"""

from hashlib import sha256

from msgspec import Struct

from service.domain import interpret, preprocess, quality
from service.domain.card import Card
from service.domain.messages import (
    DecodedImage,
    Finding,
    InferenceRequest,
    Limits,
    ModelIdentity,
    Prediction,
    QualityReport,
    WindowUsed,
)
from service.domain.ports import Decoder, Model, Models, Run
from service.errors import IntendedUse
from traceability.marks import implements


class Judgement(Struct, frozen=True, kw_only=True):
    """What the pure steps made of one image: how it was windowed, how good it was, what was found."""

    window: WindowUsed
    quality: QualityReport
    finding: Finding


@implements("REQ-INF-001")
async def infer(request: InferenceRequest, *, decoder: Decoder, models: Models, limits: Limits) -> Prediction:
    """The prediction for one request; nothing is recorded yet, and the caller must not release it before it is.

    Hashing, preprocessing, the model and its interpretation are one step on the model's own thread: the
    event loop only waits. Raises what `Models.find` and `Decoder.decode` raise, `IntendedUse`, `InferenceFailed`.
    """
    model = models.find(request.model)
    _admit_media_type(request, model.card)
    image = await decoder.decode(request.body, request.media_type, request.frame, limits)
    _admit_image(image, model.card)

    def work(run: Run) -> tuple[str, Judgement]:
        return sha256(request.body).hexdigest(), judge(image, model.card, run)

    input_sha256, judgement = await model.compute(work)
    return _prediction(model, image, input_sha256, judgement)


@implements("REQ-INF-005")
def judge(image: DecodedImage, card: Card, run: Run) -> Judgement:
    """The finding for one admitted image.

    The model runs only on finite input, in the units of the card's window, that passed the quality gate.
    """
    grey = preprocess.grey_levels(image, card.input)
    view = preprocess.resize(grey.levels, card.input.rows, card.input.columns)
    report = quality.measure(grey.levels, view, card)
    if not grey.finite:
        return Judgement(window=grey.window, quality=report, finding=interpret.abstain("non_finite_input"))
    if preprocess.lacks_units(image, card.input):
        return Judgement(window=grey.window, quality=report, finding=interpret.abstain("units_unknown"))
    if not report.passed:
        return Judgement(window=grey.window, quality=report, finding=interpret.abstain(*report.reasons))
    output = run(preprocess.normalise(view, card.input))
    return Judgement(window=grey.window, quality=report, finding=interpret.finding(output, card.output))


@implements("REQ-INF-008")
def _admit_media_type(request: InferenceRequest, card: Card) -> None:
    """Rendered images carry neither modality nor units: they pass only where the card says so."""
    if request.media_type != "application/dicom" and not card.input.rendered:
        raise IntendedUse(
            f"the card of {card.name} does not admit rendered images (PNG, JPEG); send the DICOM instance"
        )


@implements("REQ-INF-008")
def _admit_image(image: DecodedImage, card: Card) -> None:
    if image.media_type == "application/dicom" and image.modality not in card.input.modalities:
        admitted = ", ".join(card.input.modalities)
        raise IntendedUse(f"the card of {card.name} admits modality {admitted}; Modality (0008,0060) says otherwise")
    if (image.photometric == "RGB") != (card.input.color == "rgb"):
        raise IntendedUse(f"the card of {card.name} admits {card.input.color} images only")


@implements("REQ-INF-021", "REQ-INF-022")
def _prediction(model: Model, image: DecodedImage, input_sha256: str, judgement: Judgement) -> Prediction:
    card = model.card
    rows, columns = image.stored.shape[:2]
    return Prediction(
        model=ModelIdentity(name=card.name, version=card.version, sha256=card.sha256),
        runtime=model.runtime,
        # The notice must be in every answer, whoever writes the answer.
        intended_use=f"{card.notice} {card.intended_use}",
        media_type=image.media_type,
        input_sha256=input_sha256,
        pixels_sha256=image.pixels_sha256,
        rows=rows,
        columns=columns,
        frame=image.frame,
        window=judgement.window,
        quality=judgement.quality,
        finding=judgement.finding,
        patient=image.patient,
        study=image.study,
    )
