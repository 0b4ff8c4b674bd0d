"""What was decided about a vulnerability, by whom, and until when (VEX): a decision that ends.

`sbom/vex.toml` holds statements in CycloneDX's terms. One counts only for the component that it names by purl *and*
hash, for the release that it names, until its review date; afterwards, or once any of these moved, or once the
vulnerability is known to be exploited and was not when it was decided, it is open again. Author and approver are two
people.

    [[statement]]
    vulnerability = "CVE-2026-0001"
    purl = "pkg:pypi/name@1.0"
    sha256 = "..."                     # of the installed wheel
    release = "0.1.0"
    state = "not_affected"             # CycloneDX impactAnalysisState
    justification = "code_not_reachable"
    detail = "..."
    response = ["update"]              # optional: CycloneDX impactAnalysisResponse
    author = "..."
    approver = "..."
    decided = 2026-01-31
    review_by = 2026-07-31
    exploited = false                  # whether it was known to be exploited when this was decided

Pure.
"""

import datetime as dt
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sbom.errors import DocumentInvalid
from sbom.vulnerabilities import Finding
from traceability.marks import implements

State = Literal["resolved", "resolved_with_pedigree", "exploitable", "in_triage", "false_positive", "not_affected"]
Justification = Literal[
    "code_not_present",
    "code_not_reachable",
    "requires_configuration",
    "requires_dependency",
    "requires_environment",
    "protected_by_compiler",
    "protected_at_runtime",
    "protected_at_perimeter",
    "protected_by_mitigating_control",
]
Response = Literal["can_not_fix", "will_not_fix", "update", "rollback", "workaround_available"]
CLOSING: Final = frozenset({"resolved", "resolved_with_pedigree", "false_positive", "not_affected"})
"""The states that need nobody to act."""
MAX_REVIEW_DAYS: Final = 366

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One decision."""

    vulnerability: Text
    purl: Text
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    release: Text
    state: State
    justification: Justification | None = None
    detail: Text
    response: tuple[Response, ...] = ()
    author: Text
    approver: Text
    decided: dt.date
    review_by: dt.date
    exploited: bool = False


class Judged(Struct, frozen=True, kw_only=True):
    """A finding, and the statement that closes it; without one, why it is open. `stands` is the decision that is in
    force and leaves it open: that it can be exploited, or is being looked into."""

    finding: Finding
    closed_by: Statement | None
    why_open: str | None
    stands: Statement | None = None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    statement: tuple[Statement, ...] = ()


@implements("REQ-SBM-006")
def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a `vex.toml`. Raises `DocumentInvalid` with the place and what to write instead."""
    try:
        statements = msgspec.convert(tomllib.loads(text), _File).statement
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DocumentInvalid(f"vex: {error}") from error
    for number, each in enumerate(statements, start=1):
        if each.author.strip().casefold() == each.approver.strip().casefold():
            raise DocumentInvalid(f"vex: statement {number}: author and approver are one person; another must approve")
        if each.state == "not_affected" and each.justification is None:
            raise DocumentInvalid(f"vex: statement {number}: not_affected needs a justification")
        if not 0 <= (each.review_by - each.decided).days <= MAX_REVIEW_DAYS:
            raise DocumentInvalid(
                f"vex: statement {number}: review_by lies at most {MAX_REVIEW_DAYS} days after decided, and not before"
            )
    return statements


@implements("REQ-SBM-006")
def judge(
    findings: Iterable[Finding],
    statements: Sequence[Statement],
    *,
    hashes: Mapping[str, str],
    release: str,
    today: dt.date,
) -> tuple[Judged, ...]:
    """Each finding with the statement that closes it, or with the reason why none does.

    `hashes` are the installed wheels' SHA-256 by purl.
    """
    return tuple(_judge(each, statements, hashes.get(each.component), release, today) for each in findings)


def _judge(
    finding: Finding, statements: Sequence[Statement], sha256: str | None, release: str, today: dt.date
) -> Judged:
    """Of the decisions about this file in this release the last one counts, whatever an earlier one said."""
    names = {finding.id, *finding.aliases}
    about = sorted((each for each in statements if each.vulnerability in names), key=_last, reverse=True)
    reasons = []
    for each in about:
        elsewhere = _of_another(each, finding, sha256, release)
        if elsewhere is not None:
            reasons.append(elsewhere)
            continue
        reason = _reopened(each, finding, today)
        if reason is None:
            return Judged(finding=finding, closed_by=each, why_open=None)
        stands = each if each.state not in CLOSING and today <= each.review_by else None
        return Judged(finding=finding, closed_by=None, why_open=reason, stands=stands)
    return Judged(finding=finding, closed_by=None, why_open=reasons[0] if reasons else "nobody has decided about it")


def _last(statement: Statement) -> tuple[dt.date, bool]:
    """Of two on one day the one that leaves the finding open."""
    return statement.decided, statement.state not in CLOSING


def _of_another(statement: Statement, finding: Finding, sha256: str | None, release: str) -> str | None:
    """Why `statement` is not about what was found; None where it is."""
    if statement.purl != finding.component:
        return f"decided for {statement.purl}, which is another version"
    if statement.sha256 != sha256:
        return "decided for a file with another hash" if sha256 else "the installed file's hash is not known"
    if statement.release != release:
        return f"decided for the release {statement.release}"
    return None


def _reopened(statement: Statement, finding: Finding, today: dt.date) -> str | None:
    """Why `statement`, though it is about it, does not close `finding`; None where it does."""
    if statement.decided > today:
        return f"decided on {statement.decided.isoformat()}, which is yet to come"
    if overdue(statement, today):
        return f"to be reviewed by {statement.review_by.isoformat()}, which has passed"
    if finding.exploited and not statement.exploited:
        return "known to be exploited since it was decided"
    if statement.state not in CLOSING:
        return f"decided to be {statement.state}"
    return None


def overdue(statement: Statement, today: dt.date) -> bool:
    """Whether its day of review has passed."""
    return today > statement.review_by
