"""A model's card: what it is for, what it admits, and how its output becomes a finding.

Read from `card.toml` by `service.adapters.model_store`; every member is described in docs/models.md.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from service.errors import ModelRejected
from traceability.marks import implements

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Ppm = Annotated[int, Meta(ge=0, le=1_000_000)]
Version = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}$")]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]


class CardWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window that the model was trained with, in rescaled units (CT: Hounsfield units)."""

    center: float
    width: Annotated[float, Meta(gt=0)]
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


class InputContract(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model may be given and how it is prepared: [1, channels, rows, columns] float32."""

    modalities: Annotated[tuple[str, ...], Meta(min_length=1)]
    rendered: bool
    """Whether PNG and JPEG, which carry no modality and no units, are admitted."""
    color: Literal["grey", "rgb"]
    tensor: Text
    rows: Annotated[int, Meta(ge=1, le=4096)]
    columns: Annotated[int, Meta(ge=1, le=4096)]
    min_rows: Annotated[int, Meta(ge=1)]
    min_columns: Annotated[int, Meta(ge=1)]
    window: CardWindow | None = None
    mean: Annotated[float, Meta(ge=-1e6, le=1e6)]
    std: Annotated[float, Meta(ge=1e-6, le=1e6)]
    """Bounded, so that no normalised grey level can overflow."""


class OutputContract(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One logit for `label`; calibrated by temperature; inside the abstain band no decision is made."""

    tensor: Text
    label: Name
    temperature: Annotated[float, Meta(gt=0)]
    bias: float
    threshold_ppm: Ppm
    abstain_below_ppm: Ppm
    abstain_above_ppm: Ppm
    """Probabilities in [abstain_below_ppm, abstain_above_ppm] around the threshold abstain."""


class QualityContract(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Below this contrast an image is blank; above this share of extreme pixels it is clipped."""

    min_contrast_ppm: Ppm
    max_clipped_ppm: Ppm


class Metric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measured figure and the data that it was measured on."""

    name: Text
    value: float
    data: Text


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["medai.card/1"]
    name: Name
    version: Version
    sha256: Sha256
    title: Text
    notice: Text
    """Shown with every answer, e.g. that a model is for demonstration only."""
    intended_use: Text
    not_for: Text
    training_data: Text
    limits: Text
    licence: Text
    input: InputContract
    output: OutputContract
    quality: QualityContract
    metrics: tuple[Metric, ...]


@implements("REQ-INF-017")
def verify(card: Card) -> None:
    """Raises `ModelRejected` where the card's members contradict each other; returns nothing."""
    output, window = card.output, card.input.window
    for member, value in _floats(card):
        if not math.isfinite(value):  # TOML can write nan and inf
            raise ModelRejected(f"card {card.name}: {member} is not a finite number")
    if not output.abstain_below_ppm <= output.threshold_ppm <= output.abstain_above_ppm:
        raise ModelRejected(
            f"card {card.name}: output.threshold_ppm must lie within abstain_below_ppm and abstain_above_ppm"
        )
    if window is not None and window.function == "LINEAR" and window.width < 1:
        raise ModelRejected(
            f"card {card.name}: input.window.width of a LINEAR window is at least 1 (DICOM PS3.3 C.11.2.1.2.1)"
        )


def _floats(card: Card) -> Iterator[tuple[str, float]]:
    yield from (("input.mean", card.input.mean), ("input.std", card.input.std))
    yield from (("output.temperature", card.output.temperature), ("output.bias", card.output.bias))
    if card.input.window is not None:
        yield from (("input.window.center", card.input.window.center), ("input.window.width", card.input.window.width))
    yield from ((f"metrics: {metric.name}", metric.value) for metric in card.metrics)
