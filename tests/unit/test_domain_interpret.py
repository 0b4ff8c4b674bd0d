import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import interpret
from service.domain.card import OutputContract


def contract(**changes):
    members: dict[str, Any] = {
        "tensor": "logit", "label": "focal_lesion", "temperature": 1.0, "bias": 0.0,
        "threshold_ppm": 500_000, "abstain_below_ppm": 400_000, "abstain_above_ppm": 600_000,
    }  # fmt: skip
    return OutputContract(**(members | changes))


def ppm(logit, **changes):
    found = interpret.probability_ppm(logit, contract(**changes))
    assert found is not None
    return found


def output(logit):
    return np.array([[logit]], np.float32)


def logit_of(ppm):
    return math.log(ppm / (1_000_000 - ppm))


def judged(ppm, **changes):
    """The finding for a probability, over a temperature so small in effect that float32 does not blur it."""
    return interpret.finding(np.array([[0.0]], np.float32), contract(bias=logit_of(ppm), **changes))


@pytest.mark.verifies("REQ-INF-003")
@given(st.floats(-1e30, 1e30), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_probability_is_within_0_and_a_million(logit, temperature, bias):
    assert 0 <= ppm(logit, temperature=temperature, bias=bias) <= 1_000_000


@pytest.mark.verifies("REQ-INF-003")
@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_greater_logit_is_never_less_probable(one, other):
    low, high = sorted((one, other))
    assert ppm(low) <= ppm(high)


@pytest.mark.verifies("REQ-INF-003")
@given(st.floats(-30, 30))
def test_a_logit_and_its_negative_are_complements(logit):
    assert abs(ppm(logit) + ppm(-logit) - 1_000_000) <= 1  # each is rounded for itself


@pytest.mark.verifies("REQ-INF-003")
def test_the_logit_is_divided_by_the_temperature_before_the_bias_is_added():
    expected = round(Fraction(1) / (1 + Fraction(math.exp(-(3.0 / 2.0 - 0.5)))) * 1_000_000)
    assert interpret.probability_ppm(3.0, contract(temperature=2.0, bias=-0.5)) == expected


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize(
    ("ppm", "decision"),
    [(399_999, "negative"), (400_000, "abstain"), (600_000, "abstain"), (600_001, "positive")],
)
def test_the_abstain_band_holds_both_of_its_ends(ppm, decision):
    assert judged(ppm).decision == decision


@pytest.mark.verifies("REQ-INF-002")
def test_an_uncertain_finding_says_so_and_keeps_its_probability():
    finding = judged(450_000)
    assert (finding.reasons, finding.label, finding.probability_ppm) == (("uncertain",), "focal_lesion", 450_000)


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize(("ppm", "decision"), [(499_999, "negative"), (500_001, "positive")])
def test_a_band_of_one_point_leaves_the_threshold_to_decide(ppm, decision):
    assert judged(ppm, abstain_below_ppm=500_000, abstain_above_ppm=500_000).decision == decision


@pytest.mark.verifies("REQ-INF-002")
def test_a_decision_has_no_reasons():
    assert judged(900_000).reasons == ()


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_an_output_that_is_not_finite_is_never_a_finding(logit):
    assert interpret.finding(output(logit), contract()) == interpret.abstain("non_finite_output")


@pytest.mark.verifies("REQ-INF-002")
def test_a_calibration_that_overflows_is_never_a_finding():
    assert interpret.finding(output(1e38), contract(temperature=1e-300)).reasons == ("non_finite_output",)


@pytest.mark.verifies("REQ-INF-002")
@pytest.mark.parametrize("shape", [(1, 2), (0,)])
def test_anything_but_one_logit_is_never_a_finding(shape):
    assert interpret.finding(np.ones(shape, np.float32), contract()).decision == "abstain"


@pytest.mark.verifies("REQ-INF-004")
def test_abstaining_without_a_run_gives_no_number():
    finding = interpret.abstain("blank_image")
    assert (finding.label, finding.probability_ppm, finding.threshold_ppm) == (None, None, None)
