"""What is written about the trained model: calibration, abstain band, metrics, card, golden vectors, samples.

Every figure is measured here, on the exported model, by ONNX Runtime through the service's own `judge`; the rules
that choose a figure stand beside the function that applies them. Nothing is typed in by hand.
"""

import io
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from train_phantoms import Slice, dataset, make
from train_toml import render

from service.adapters.model_golden import Golden, Vector
from service.adapters.onnx_model import OnnxModel, RuntimeSettings
from service.domain import preprocess, quality
from service.domain.card import Card, CardWindow, InputContract, Metric, OutputContract, QualityContract
from service.domain.flow import judge
from service.domain.messages import DecodedImage, Finding, Float32

Floats = NDArray[np.float64]
OUTPUT_TENSOR = "logit"
LABEL = "focal_lesion"
PPM = 1_000_000
TOLERANCE = 1e-3  # logits; other processors add in other orders, and golden vectors lie far from any threshold
ERRORS_ALLOWED = 0.01
LARGEST_BAND = 4.0  # log-odds
NOTICE = "Demonstration model, not for clinical use."

# The window is the usual one for an abdomen. Mean and standard deviation bring grey levels near 0 and 1.
CONTRACT = InputContract(
    modalities=("CT",),
    rendered=True,
    color="grey",
    tensor="image",
    rows=256,
    columns=256,
    min_rows=64,
    min_columns=64,
    window=CardWindow(center=40.0, width=400.0),
    mean=0.25,
    std=0.25,
)
OPEN = OutputContract(
    tensor=OUTPUT_TENSOR,
    label=LABEL,
    temperature=1.0,
    bias=0.0,
    threshold_ppm=500_000,
    abstain_below_ppm=500_000,
    abstain_above_ppm=500_000,
)
Judged = tuple[float, Finding]


def image(each: Slice) -> DecodedImage:
    """A slice as a CT file would store it: unsigned 12 bits over an intercept of -1024."""
    return DecodedImage(
        media_type="application/dicom",
        modality="CT",
        photometric="MONOCHROME2",
        bits_stored=12,
        stored=(each.hounsfield + np.int16(1024)).astype(np.uint16),
        pixels_sha256="",
        rescale_intercept=-1024.0,
        units_known=True,
    )


def write(out: Path, slices: dict[str, list[Slice]], *, seed: int) -> None:
    """card.toml, golden/ and samples/ of the model.onnx that lies in `out`."""
    body = (out / "model.onnx").read_bytes()
    gate = _gate(slices["training"])
    with ThreadPoolExecutor(1) as pool:
        raw = OnnxModel(_card(body, OPEN, gate, (), ""), body, settings=RuntimeSettings(), pool=pool)
        logits = np.array([logit for logit, _ in _judge(raw, slices["validation"])])
        output = _output(logits, _truths(slices["validation"]))
        draft = OnnxModel(_card(body, output, gate, (), ""), body, settings=RuntimeSettings(), pool=pool)
        judged = _judge(draft, slices["test"])
        metrics, limits = _metrics(judged, slices["test"], _judge_rendered(draft, slices["test"]))
        counts = {split: len(each) for split, each in slices.items()}
        card = _card(body, output, gate, metrics, limits, trained_on=_trained_on(counts, seed))
        model = OnnxModel(card, body, settings=RuntimeSettings(), pool=pool)
        _write_card(out, card)
        _write_golden(out / "golden", model, seed)
        _write_samples(out / "samples", model, seed)
    for metric in metrics:
        print(f"{metric.name}: {metric.value}")


def _judge(model: OnnxModel, slices: Sequence[Slice]) -> list[Judged]:
    return [_judge_image(model, image(each)) for each in slices]


def _judge_rendered(model: OnnxModel, slices: Sequence[Slice]) -> list[Judged]:
    """The same slices as 8-bit PNG would carry them, windowed by the card."""
    return [_judge_image(model, _rendered(each)) for each in slices]


def _judge_image(model: OnnxModel, picture: DecodedImage) -> Judged:
    logits: list[float] = []

    def run(batch: Float32) -> Float32:
        result = model.run(batch)
        logits.append(float(result[0, 0]))
        return result

    finding = judge(picture, model.card, run).finding
    assert logits, f"the quality gate refused a phantom: {finding.reasons}"
    return logits[0], finding


def _gate(slices: Sequence[Slice]) -> QualityContract:
    """Blank: under half the least contrast among the training slices. Clipped: more than the largest share of
    clipped pixels among them and half of the way from there to all."""
    reports = []
    card = _card(b"", OPEN, QualityContract(min_contrast_ppm=0, max_clipped_ppm=PPM), (), "")
    for each in slices:
        levels = preprocess.grey_levels(image(each), CONTRACT).levels
        reports.append(quality.measure(levels, preprocess.resize(levels, CONTRACT.rows, CONTRACT.columns), card))
    least = min(report.contrast_ppm for report in reports)
    most = max(report.clipped_ppm for report in reports)
    return QualityContract(min_contrast_ppm=least // 2, max_clipped_ppm=(most + PPM) // 2)


def _output(logits: Floats, truths: Floats) -> OutputContract:
    """The temperature by maximum likelihood, no bias; the threshold where sensitivity + specificity is greatest
    (Youden 1950); the abstain band the narrowest around it, even in log-odds, outside of which at most
    `ERRORS_ALLOWED` of the decided validation slices are wrong."""
    factor = _inverse_temperature(logits, truths)
    odds = factor * logits
    order = np.sort(odds)
    cuts = (order[1:] + order[:-1]) / 2
    gains = [np.mean(odds[truths == 1] >= cut) + np.mean(odds[truths == 0] < cut) for cut in cuts]
    cut = float(cuts[int(np.argmax(gains))])
    widths = np.arange(0, LARGEST_BAND, 0.05)
    half = next((each for each in widths if _wrong(odds, truths, cut, each) <= ERRORS_ALLOWED), LARGEST_BAND)
    return OutputContract(
        tensor=OUTPUT_TENSOR,
        label=LABEL,
        temperature=1 / factor,
        bias=0.0,
        threshold_ppm=_ppm(cut),
        abstain_below_ppm=_ppm(cut - half),
        abstain_above_ppm=_ppm(cut + half),
    )


def _inverse_temperature(logits: Floats, truths: Floats) -> float:
    """Newton's method on the logistic loss, convex in 1 / temperature (Guo et al., ICML 2017, section 4.2)."""
    factor = 1.0
    for _ in range(100):
        chance = _sigmoid(factor * logits)
        slope = float(np.sum((chance - truths) * logits))
        curve = float(np.sum(chance * (1 - chance) * logits**2))
        factor -= min(max(slope / curve, -factor / 2), factor / 2)  # never past half or one and a half of itself
    return factor


def _wrong(odds: Floats, truths: Floats, cut: float, half: float) -> float:
    decided = np.abs(odds - cut) > half
    return float(np.mean((odds >= cut)[decided] != (truths == 1)[decided])) if decided.any() else 0.0


def _metrics(
    judged: Sequence[Judged], slices: Sequence[Slice], rendered: Sequence[Judged]
) -> tuple[tuple[Metric, ...], str]:
    """Measured on the test slices, and the limits that the figures show.

    The test slices set no number, but they were looked at before the rule for the band was settled: the limits say so.
    """
    truths = _truths(slices)
    chance = np.array([finding.probability_ppm or 0 for _, finding in judged]) / PPM
    logits = np.array([logit for logit, _ in judged])
    small = np.array([each.lesion and each.lesion_radius_mm < 8 for each in slices])
    data = f"{len(slices)} synthetic test slices, {int(truths.sum())} with a lesion"
    decided, positive = _decisions(judged)
    decided_8, positive_8 = _decisions(rendered)
    right, right_8 = positive == (truths == 1), positive_8 == (truths == 1)
    values = (
        ("AUROC", _auroc(chance, truths), data),
        ("sensitivity where it decides", np.mean(right[decided & (truths == 1)]), data),
        ("specificity where it decides", np.mean(right[decided & (truths == 0)]), data),
        ("accuracy where it decides", np.mean(right[decided]), data),
        ("share of slices where it abstains", 1 - np.mean(decided), data),
        ("share called positive of lesions under 8 mm radius", np.mean((decided & positive)[small]), data),
        ("expected calibration error, 15 bins", _calibration_error(chance, truths), data),
        ("expected calibration error before calibration, 15 bins", _calibration_error(_sigmoid(logits), truths), data),
        ("Brier score", np.mean((chance - truths) ** 2), data),
        ("accuracy where it decides, as 8-bit images", np.mean(right_8[decided_8]), f"{data}, windowed to 8 bits"),
        ("largest difference of probability, 8-bit against DICOM", _difference(judged, rendered), data),
    )
    limits = (
        f"Seen on synthetic phantoms only: how it answers on people is unknown. Of lesions under 8 mm radius it called "
        f"{np.mean((decided & positive)[small]):.1%} positive. PNG and JPEG carry no units: their full range is taken "
        "as this card's window, so another window gives another answer. An image unlike the phantoms passes the "
        "quality gate if it has contrast: there is no detector of foreign images. The rule for the abstain band (at "
        "most 1 % of decisions wrong on the validation slices) and the form of the calibration were settled after a "
        "first look at the test slices: the figures where it decides are therefore mildly optimistic. On them the "
        "calibration error is larger with the temperature than without."
    )
    return tuple(Metric(name=name, value=round(float(value), 6), data=of) for name, value, of in values), limits


def _decisions(judged: Sequence[Judged]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return (
        np.array([finding.decision != "abstain" for _, finding in judged]),
        np.array([finding.decision == "positive" for _, finding in judged]),
    )


def _auroc(chance: Floats, truths: Floats) -> float:
    """The share of pairs in the right order, ties counting half (Hanley and McNeil 1982)."""
    above = chance[truths == 1][:, np.newaxis] - chance[truths == 0][np.newaxis, :]
    return float(np.mean(above > 0) + 0.5 * np.mean(above == 0))


def _calibration_error(chance: Floats, truths: Floats) -> float:
    """Naeini et al., AAAI 2015: mean gap of probability and frequency, weighted, over 15 bins of equal width."""
    bins = np.minimum((chance * 15).astype(int), 14)
    gaps = [
        abs(np.mean(chance[bins == each]) - np.mean(truths[bins == each])) * np.mean(bins == each)
        for each in np.unique(bins)
    ]
    return float(np.sum(gaps))


def _difference(one: Sequence[Judged], other: Sequence[Judged]) -> float:
    pairs = zip(one, other, strict=True)
    return max(abs((a.probability_ppm or 0) - (b.probability_ppm or 0)) for (_, a), (_, b) in pairs) / PPM


def _trained_on(counts: dict[str, int], seed: int) -> str:
    return (
        f"{counts['training']} synthetic CT-like slices of an upper abdomen, half of them with one round focal lesion "
        f"in the liver, drawn by training/train_phantoms.py from seed {seed}; {counts['validation']} more from seed "
        f"{seed + 1} for calibration, threshold and abstain band; {counts['test']} more from seed {seed + 2} for the "
        "metrics. No patient's image was used."
    )


def _card(
    body: bytes,
    output: OutputContract,
    gate: QualityContract,
    metrics: tuple[Metric, ...],
    limits: str,
    trained_on: str = "",
) -> Card:
    return Card(
        format="medai.card/1",
        name="ct-lesion-demo",
        version="1.0.0",
        sha256=sha256(body).hexdigest(),
        title="Focal lesion on a synthetic CT slice",
        notice=NOTICE,
        intended_use=(
            "Shows how this service finds, calibrates, abstains and proves, on synthetic CT-like slices of an upper "
            "abdomen; a demonstration only, not for clinical use."
        ),
        not_for="Any image of a person, any decision about care, and any comparison of models.",
        training_data=trained_on,
        limits=limits,
        licence="The licence of this repository; phantoms, weights and samples were made by its own script.",
        input=CONTRACT,
        output=output,
        quality=gate,
        metrics=metrics,
    )


def _write_card(out: Path, card: Card) -> None:
    text = "# Written by training/train.py: do not edit, run it again.\n" + render(msgspec.to_builtins(card))
    assert msgspec.toml.decode(text, type=Card) == card
    (out / "card.toml").write_text(text, encoding="utf-8", newline="\n")


def _write_golden(folder: Path, model: OnnxModel, seed: int) -> None:
    """Clear cases of 256 x 256 from a seed of their own: two as a file stores them, one as the model's input."""
    _empty(folder)
    positive, negative = _clear_cases(model, seed + 3)
    tensor = preprocess.normalise(
        preprocess.resize(preprocess.grey_levels(image(positive), CONTRACT).levels, 256, 256), CONTRACT
    )
    vectors = (
        _vector(folder, "positive.npy", "stored", image(positive).stored, _judge_image(model, image(positive))),
        _vector(folder, "negative.npy", "stored", image(negative).stored, _judge_image(model, image(negative))),
        _vector(folder, "tensor.npy", "tensor", tensor, _judge_image(model, image(positive))),
    )
    golden = msgspec.to_builtins(Golden(format="medai.golden/1", vectors=vectors))
    (folder / "golden.toml").write_text(render(golden), encoding="utf-8", newline="\n")


def _vector(folder: Path, file: str, kind: str, array: NDArray[np.generic], judged: Judged) -> Vector:
    logit, finding = judged
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    (folder / file).write_bytes(buffer.getvalue())
    return Vector(
        file=file,
        sha256=sha256(buffer.getvalue()).hexdigest(),
        kind="tensor" if kind == "tensor" else "stored",
        rescale_intercept=0.0 if kind == "tensor" else -1024.0,
        bits_stored=16 if kind == "tensor" else 12,
        logit=logit,
        tolerance=TOLERANCE,
        decision=finding.decision,
        probability_ppm=finding.probability_ppm or 0,
    )


def _write_samples(folder: Path, model: OnnxModel, seed: int) -> None:
    """Small files of every kind that the demo sends; named after what they hold."""
    _empty(folder)
    positive, negative = _clear_cases(model, seed + 4)
    for truth, each in (("positive", positive), ("negative", negative)):
        dataset(each, seed=seed, name=truth).save_as(folder / f"{truth}.dcm", enforce_file_format=True)
    levels = preprocess.grey_levels(image(positive), CONTRACT).levels[0]
    Image.fromarray(np.rint(levels * 255).astype(np.uint8)).save(folder / "positive-8bit.png", optimize=True)
    levels = preprocess.grey_levels(image(negative), CONTRACT).levels[0]
    Image.fromarray(np.rint(levels * 65535).astype(np.uint16)).save(folder / "negative-16bit.png", optimize=True)
    Image.fromarray(np.rint(levels * 255).astype(np.uint8)).save(folder / "negative.jpg", quality=95)
    Image.fromarray(np.full((256, 256), 128, np.uint8)).save(folder / "blank.png", optimize=True)


def _clear_cases(model: OnnxModel, seed: int) -> tuple[Slice, Slice]:
    """The first slice of 256 x 256 of either kind, in the order of their index, that is judged rightly and clearly."""
    found: dict[bool, Slice] = {}
    index = 0
    while len(found) < 2:
        assert index < 500, "the model is too poor to have a clear case"
        each = make(seed, index)
        finding = _judge_image(model, image(each))[1]
        clear = abs((finding.probability_ppm or 0) - PPM // 2) > 0.45 * PPM
        if clear and (finding.decision == "positive") == each.lesion and each.hounsfield.shape[0] == 256:
            found.setdefault(each.lesion, each)
        index += 1
    return found[True], found[False]


def _rendered(each: Slice) -> DecodedImage:
    levels = preprocess.grey_levels(image(each), CONTRACT).levels[0]
    return DecodedImage(
        media_type="image/png",
        photometric="MONOCHROME2",
        bits_stored=8,
        stored=np.rint(levels * 255).astype(np.uint8),
        pixels_sha256="",
    )


def _truths(slices: Sequence[Slice]) -> Floats:
    return np.array([float(each.lesion) for each in slices])


def _sigmoid(value: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(value, -700, 700)))


def _ppm(odds: float) -> int:
    return round(float(_sigmoid(np.array(odds))) * PPM)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
