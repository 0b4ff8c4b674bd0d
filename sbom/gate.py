"""The gate: whether a release may be approved, from its evidence; and what stands against it.

What was not looked at stands against it: an advisory feed that could not be used, a matrix that is not there. An
approval is a person's: the gate never gives one.

Pure.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from sbom.policy import Breach
from sbom.report import Report
from sbom.standards import Verdict
from sbom.vex import overdue
from traceability.marks import implements

Weight = Literal["stands_against", "to_know"]
Decision = Literal["blocked", "not_approved", "approved"]
NAMED: Final = 3
MAX_LOOKUP_AGE_DAYS: Final = 7
"""As old as a feed may be at most when it is looked in."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that whoever decides must see first; `section` is where the page says more."""

    weight: Weight
    section: str
    text: str


class Evidence(Struct, frozen=True, kw_only=True):
    """What the gate looks at. None is what was not made."""

    report: Report
    breaches: Sequence[Breach]
    verdicts: Sequence[Verdict]
    today: dt.date
    altered: Sequence[str]
    """Installed files that are not those of their wheels."""
    trace: Mapping[str, Any] | None
    signed_by: Sequence[str]
    """Trusted keys that signed the release."""
    development_key: Literal["yes", "no"]
    approvals: int
    approvals_needed: int = 1


@implements("REQ-REL-003")
class Gate(Struct, frozen=True, kw_only=True):
    """The verdict: `blocked` while anything stands against it; else it is for people to approve."""

    decision: Decision
    findings: tuple[Finding, ...]

    @property
    def against(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.weight == "stands_against")


@implements("REQ-REL-003")
def judge(evidence: Evidence) -> Gate:
    """What stands against the release first, then what there is to know."""
    found = [
        *_vulnerabilities(evidence.report, evidence.today),
        *_policy(evidence.breaches),
        *_altered(evidence.altered),
        *_trace(evidence.trace),
        *_signature(evidence),
        *_standards(evidence.verdicts),
    ]
    ordered = tuple(sorted(found, key=lambda each: each.weight != "stands_against"))
    if ordered and ordered[0].weight == "stands_against":
        return Gate(decision="blocked", findings=ordered)
    enough = evidence.approvals >= max(1, evidence.approvals_needed)
    return Gate(decision="approved" if enough else "not_approved", findings=ordered)


def _vulnerabilities(report: Report, today: dt.date) -> list[Finding]:
    """What was found, held to the day of the decision: a look-up gets old, and a decision may have ended since."""
    section = "vulnerabilities"
    if not report.checked:
        return [_against(section, f"Vulnerabilities were not checked: {report.why_not}")]
    found = []
    age = (today - report.today).days
    if age > MAX_LOOKUP_AGE_DAYS:
        found.append(_against(section, f"Vulnerabilities were looked up {age} days ago; look them up anew"))
    ended = [each for each in report.findings if each.closed_by is not None and overdue(each.closed_by, today)]
    if ended:
        names = ", ".join(each.finding.id for each in ended[:NAMED])
        found.append(_against(section, f"{_count(len(ended), 'decision', 'decisions')} ended since: {names}"))
    if report.unaudited:
        others = ", ".join(f"{count} {kind}" for kind, count in report.unaudited.items())
        found.append(
            _known(
                section, f"{sum(report.unaudited.values())} components were not looked up, no feed knows them: {others}"
            )
        )
    exploited = sum(each.finding.exploited and each.closed_by is None for each in report.findings)
    if report.open:
        known = f", {exploited} of them known to be exploited" if exploited else ""
        found.append(_against(section, f"{_count(report.open, 'vulnerability is', 'vulnerabilities are')} open{known}"))
    closed = len(report.findings) - report.open - len(ended)
    if closed:
        found.append(
            _known(section, f"{_count(closed, 'vulnerability', 'vulnerabilities')} closed by a decision (VEX)")
        )
    return found


def _policy(breaches: Sequence[Breach]) -> list[Finding]:
    failing = [each for each in breaches if each.fails]
    found = []
    for rule, count in sorted(Counter(each.rule for each in failing).items()):
        names = [each.component for each in failing if each.rule == rule]
        more = f" and {count - NAMED} more" if count > NAMED else ""
        found.append(_against(_section(rule), f"{rule.replace('_', ' ')}: {', '.join(names[:NAMED])}{more}"))
    told = [each for each in breaches if not each.fails]
    for each in told[:NAMED]:
        waived = f", waived by {each.waived}" if each.waived else ""
        found.append(_known(_section(each.rule), f"{each.component}: {each.message}{waived}"))
    if len(told) > NAMED:
        found.append(_known("policy", f"{len(told) - NAMED} more are waived or told"))
    return found


def _section(rule: str) -> str:
    return "licences" if rule.startswith("licence") else "support" if rule.startswith("support") else "policy"


def _altered(altered: Sequence[str]) -> list[Finding]:
    if not altered:
        return []
    more = f", and {len(altered) - NAMED} more" if len(altered) > NAMED else ""
    return [_against("policy", f"Installed files are not those of their wheels: {'; '.join(altered[:NAMED])}{more}")]


def _trace(trace: Mapping[str, Any] | None) -> list[Finding]:
    if trace is None:
        return [_against("traceability", "There is no traceability matrix: no requirement is shown to be tested")]
    summary = trace["summary"]
    found = []
    if summary["failing"]:
        count = _count(summary["failing"], "finding", "findings")
        found.append(_against("traceability", f"The traceability matrix has {count} that fail"))
    if summary.get("reviews_open"):
        count = _count(summary["reviews_open"], "link is", "links are")
        found.append(_known("traceability", f"{count} not reviewed, or suspect since"))
    return found


def _signature(evidence: Evidence) -> list[Finding]:
    if evidence.development_key == "yes":
        return [_against("signatures", "It is signed by a development key that nobody keeps, not by a release key")]
    if not evidence.signed_by:
        return [_against("signatures", "No trusted key was given to verify its signature with")]
    return []


def _standards(verdicts: Sequence[Verdict]) -> list[Finding]:
    lacking = [f"{each.standard} {each.score_ppm / 10_000:.1f} %" for each in verdicts if not each.passed]
    return (
        [_known("standards", f"Of the fields that standards ask for there are: {', '.join(lacking)}")]
        if lacking
        else []
    )


def _against(section: str, text: str) -> Finding:
    return Finding(weight="stands_against", section=section, text=text)


def _known(section: str, text: str) -> Finding:
    return Finding(weight="to_know", section=section, text=text)


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
