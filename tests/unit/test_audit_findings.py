"""What the service makes of a model's output is what both verifiers admit in an answer, and nothing beside it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical, evidence, record, verifier
from audit.receipt import Policy
from service.domain import interpret
from service.domain.card import OutputContract
from tests.audit_log import a_prediction, an_answer, log_of

PPM = st.integers(0, 1_000_000)
CONTRACTS = st.builds(
    lambda bounds, temperature, bias: OutputContract(
        tensor="logit", label="lesion", temperature=temperature, bias=bias,
        abstain_below_ppm=min(bounds), threshold_ppm=sorted(bounds)[1], abstain_above_ppm=max(bounds),
    ),
    st.tuples(PPM, PPM, PPM),
    st.floats(0.01, 100),
    st.floats(-10, 10),
)  # fmt: skip


def verdicts(finding):
    """Exit codes of both, for an answer and a record that hold this finding. No key is given, so 3 is the best."""
    answer = an_answer()
    answer["finding"] = finding
    recorded = canonical.decode(record.encode(a_prediction(answer)))
    recorded["finding"] = {name: value for name, value in finding.items() if value is not None}
    body = json.dumps(log_of(canonical.encode(recorded), answer).answer).encode()
    return evidence.check_answer(body, Policy(logs=())).exit_code, verifier.judge(body, verifier.trusting([]))[0]


def as_json(finding):
    return {name: getattr(finding, name) for name in finding.__struct_fields__} | {"reasons": list(finding.reasons)}


@pytest.mark.verifies("REQ-AUD-003")
@given(CONTRACTS, st.floats(width=32))
def test_every_finding_that_the_service_can_make_is_admitted(contract, logit):
    found = interpret.finding(np.array([logit], dtype=np.float32), contract)
    assert verdicts(as_json(found)) == (3, 3)


@pytest.mark.verifies("REQ-AUD-003")
def test_an_abstention_before_the_model_ran_is_admitted():
    assert verdicts(as_json(interpret.abstain("blank_image"))) == (3, 3)


@pytest.mark.verifies("REQ-AUD-003")
@given(
    st.fixed_dictionaries(
        {
            "decision": st.sampled_from(["positive", "negative", "abstain"]),
            "label": st.none() | st.just("lesion"),
            "probability_ppm": st.none() | st.integers(499_999, 500_001),
            "threshold_ppm": st.none() | st.just(500_000),
            "reasons": st.just([]) | st.just(["uncertain"]),
        }
    )
)
def test_both_verifiers_admit_the_same_findings(finding):
    ours, theirs = verdicts(finding)
    assert ours == theirs


@pytest.mark.verifies("REQ-AUD-003")
@pytest.mark.parametrize("member, value", [("status", 500), ("route", "/health"), ("method", "GET")])
def test_the_member_that_no_released_finding_has_is_named(member, value):
    recorded = canonical.decode(record.encode(a_prediction(an_answer()))) | {member: value}
    body = json.dumps(log_of(canonical.encode(recorded), an_answer()).answer).encode()
    ours, theirs = evidence.check_answer(body, Policy(logs=())).words, verifier.judge(body, verifier.trusting([]))[1]
    assert [f"record's {member} is {value!r}" in words for words in (ours, theirs)] == [True, True]
