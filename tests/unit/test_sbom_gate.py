"""The gate: each thing that stands against a release blocks it, and what was not looked at stands against it."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from sbom import gate, report, vex
from sbom.policy import Breach
from sbom.report import Report
from sbom.standards import Missing, Verdict
from sbom.vex import Judged
from sbom.vulnerabilities import Finding

DAY = dt.date(2026, 3, 1)
FINDING = Finding(
    id="CVE-1", aliases=(), summary="", component="pkg:pypi/x@1", name="x", version="1", fixed_in=(), exploited=True,
    epss_ppm=None, cvss_tenths=None, modified="",
)  # fmt: skip
TRACE: dict[str, Any] = {
    "summary": {"requirements": 1, "hazards": 1, "hazards_controlled": 1, "tests": 1, "failing": 0}
}


def looked_up(*judged):
    return Report(
        checked=True, sbom="", release="1", today=DAY, audited=1, feeds=(), findings=judged,
        open=sum(each.closed_by is None for each in judged),
    )  # fmt: skip


def evidence(**other):
    made: dict[str, Any] = {
        "report": looked_up(),
        "today": DAY,
        "breaches": (),
        "verdicts": (),
        "altered": (),
        "trace": TRACE,
        "signed_by": ("key",),
        "development_key": "no",
        "approvals": 1,
    }
    return gate.Evidence(**(made | other))


@pytest.mark.verifies("REQ-REL-003")
def test_a_release_against_which_nothing_stands_and_that_is_signed_for_is_approved():
    assert gate.judge(evidence()) == gate.Gate(decision="approved", findings=())


@pytest.mark.verifies("REQ-REL-003")
def test_without_an_approval_it_is_not_approved():
    assert gate.judge(evidence(approvals=0)).decision == "not_approved"


@pytest.mark.verifies("REQ-REL-003")
def test_fewer_approvals_than_are_needed_do_not_approve():
    assert gate.judge(evidence(approvals=1, approvals_needed=2)).decision == "not_approved"


@pytest.mark.verifies("REQ-REL-003")
def test_no_number_of_needed_approvals_makes_none_enough():
    assert gate.judge(evidence(approvals=0, approvals_needed=0)).decision == "not_approved"


BREACH = Breach(rule="licence_denied", component="x 1", ref="pkg:pypi/x@1", message="GPL-3.0-only is denied")
UNCHECKED = report.unchecked("osv: 9 days old", sbom="", release="1", today=DAY)


@pytest.mark.verifies("REQ-REL-003")
@pytest.mark.parametrize(
    ("other", "section", "words"),
    [
        ({"report": UNCHECKED}, "vulnerabilities", "Vulnerabilities were not checked: osv: 9 days old"),
        (
            {"report": looked_up(Judged(finding=FINDING, closed_by=None, why_open="?"))},
            "vulnerabilities",
            "1 vulnerability is open, 1 of them known to be exploited",
        ),
        ({"breaches": (BREACH,)}, "licences", "licence denied: x 1"),
        ({"altered": ("x: x.py is gone",)}, "policy", "Installed files are not those of their wheels: x: x.py is gone"),
        ({"trace": None}, "traceability", "There is no traceability matrix"),
        ({"trace": {"summary": TRACE["summary"] | {"failing": 2}}}, "traceability", "2 findings that fail"),
        ({"development_key": "yes"}, "signatures", "development key"),
        ({"signed_by": ()}, "signatures", "No trusted key"),
    ],
)
def test_each_thing_that_stands_against_it_blocks_it_whoever_approved(other, section, words):
    judged = gate.judge(evidence(**other))
    (only,) = judged.against
    assert (judged.decision, only.section) == ("blocked", section)
    assert words in only.text


DECIDED = vex.Statement(
    vulnerability="CVE-1", purl="pkg:pypi/x@1", sha256="a" * 64, release="1", state="false_positive", detail="?",
    author="Ada", approver="Grace", decided=DAY, review_by=DAY + dt.timedelta(3),
)  # fmt: skip


@pytest.mark.verifies("REQ-REL-003")
@pytest.mark.parametrize(("days", "decision"), [(7, "approved"), (8, "blocked")])
def test_a_look_up_gets_old(days, decision):
    judged = gate.judge(evidence(today=DAY + dt.timedelta(days)))
    assert (judged.decision, [each.section for each in judged.against]) == (
        decision, ["vulnerabilities"] * (decision == "blocked"),
    )  # fmt: skip


@pytest.mark.verifies("REQ-REL-003")
@pytest.mark.parametrize(("days", "decision"), [(3, "approved"), (4, "blocked")])
def test_a_decision_that_ended_since_the_look_up_stands_against_it(days, decision):
    closed = looked_up(Judged(finding=FINDING, closed_by=DECIDED, why_open=None))
    assert gate.judge(evidence(report=closed, today=DAY + dt.timedelta(days))).decision == decision


def test_what_no_feed_knows_is_to_be_known():
    told = msgspec.structs.replace(looked_up(), unaudited={"deb": 90, "generic": 3})
    judged = gate.judge(evidence(report=told))
    assert judged.decision == "approved"
    assert [each.text for each in judged.findings] == [
        "93 components were not looked up, no feed knows them: 90 deb, 3 generic"
    ]


@pytest.mark.verifies("REQ-REL-003")
def test_what_is_waived_is_to_be_known_and_does_not_block():
    judged = gate.judge(evidence(breaches=(msgspec.structs.replace(BREACH, waived="Ada"),)))
    assert (judged.decision, [each.weight for each in judged.findings]) == ("approved", ["to_know"])
    assert "waived by Ada" in judged.findings[0].text


@pytest.mark.verifies("REQ-REL-003")
def test_a_standard_that_is_not_met_in_full_is_to_be_known():
    verdict = Verdict(
        standard="S", source="", read="", passed=False, score_ppm=500_000, asked=2,
        missing=(Missing(field="f", component=None),), not_covered=(),
    )  # fmt: skip
    judged = gate.judge(evidence(verdicts=(verdict,)))
    assert (judged.decision, judged.findings[0].text) == (
        "approved",
        "Of the fields that standards ask for there are: S 50.0 %",
    )


@pytest.mark.verifies("REQ-REL-003")
def test_what_stands_against_it_comes_first():
    judged = gate.judge(evidence(breaches=(msgspec.structs.replace(BREACH, waived="Ada"),), trace=None))
    assert [each.weight for each in judged.findings] == ["stands_against", "to_know"]


def test_a_report_is_read_back_as_it_was_written():
    made = looked_up(Judged(finding=FINDING, closed_by=None, why_open="?"))
    assert report.decode(report.encode(made)) == made
