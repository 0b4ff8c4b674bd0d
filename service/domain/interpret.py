"""From the model's raw output to a finding: calibrate, compare, or abstain."""

import math

from service.domain.card import OutputContract
from service.domain.messages import Decision, Finding, Float32
from traceability.marks import implements

PPM = 1_000_000


@implements("REQ-INF-002")
def finding(output: Float32, contract: OutputContract) -> Finding:
    """What one raw output means.

    Positive exactly where the probability reaches the threshold, unless it lies in the abstain band
    (both ends included). Anything but one finite logit is never a finding.
    """
    logit = float(output.reshape(-1)[0]) if output.size == 1 else math.nan
    probability = probability_ppm(logit, contract)
    if probability is None:
        return abstain("non_finite_output")
    if contract.abstain_below_ppm <= probability <= contract.abstain_above_ppm:
        return _judged("abstain", probability, contract, reasons=("uncertain",))
    decision: Decision = "positive" if probability >= contract.threshold_ppm else "negative"
    return _judged(decision, probability, contract, reasons=())


def _judged(decision: Decision, probability: int, contract: OutputContract, *, reasons: tuple[str, ...]) -> Finding:
    return Finding(
        decision=decision,
        label=contract.label,
        probability_ppm=probability,
        threshold_ppm=contract.threshold_ppm,
        reasons=reasons,
    )


@implements("REQ-INF-004")
def abstain(*reasons: str) -> Finding:
    """No finding, and no number that could be taken for one."""
    return Finding(decision="abstain", label=None, probability_ppm=None, threshold_ppm=None, reasons=reasons)


@implements("REQ-INF-003")
def probability_ppm(logit: float, contract: OutputContract) -> int | None:
    """sigmoid(logit / temperature + bias) in millionths, 0 to 1,000,000; None where it is not finite.

    Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    calibrated = logit / contract.temperature + contract.bias
    if not math.isfinite(logit) or not math.isfinite(calibrated):
        return None
    return round(_sigmoid(calibrated) * PPM)


@implements("REQ-INF-003")
def _sigmoid(value: float) -> float:
    """1 / (1 + e^-x), written so that the exponential never overflows."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    scaled = math.exp(value)
    return scaled / (1.0 + scaled)
