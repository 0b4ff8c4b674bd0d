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
from typing import Annotated, Any, Final, Literal, get_args

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

_OPENVEX_STATE: Final[dict[str, str]] = {
    "not_affected": "not_affected",
    "false_positive": "not_affected",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "exploitable": "affected",
    "in_triage": "under_investigation",
}
_OPENVEX_JUSTIFICATION: Final[dict[str, str]] = {
    "code_not_present": "vulnerable_code_not_present",
    "code_not_reachable": "vulnerable_code_not_in_execute_path",
    "requires_configuration": "vulnerable_code_cannot_be_controlled_by_adversary",
    "requires_dependency": "component_not_present",
    "requires_environment": "vulnerable_code_cannot_be_controlled_by_adversary",
    "protected_by_compiler": "inline_mitigations_already_exist",
    "protected_at_runtime": "inline_mitigations_already_exist",
    "protected_at_perimeter": "inline_mitigations_already_exist",
    "protected_by_mitigating_control": "inline_mitigations_already_exist",
}
_FROM_OPENVEX: Final[dict[str, tuple[State, Justification | None]]] = {
    "component_not_present": ("not_affected", "requires_dependency"),
    "vulnerable_code_not_present": ("not_affected", "code_not_present"),
    "vulnerable_code_not_in_execute_path": ("not_affected", "code_not_reachable"),
    "vulnerable_code_cannot_be_controlled_by_adversary": ("not_affected", "requires_configuration"),
    "inline_mitigations_already_exist": ("not_affected", "protected_by_mitigating_control"),
}


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
    """A finding, and the statement that closes it; without one, why it is open."""

    finding: Finding
    closed_by: Statement | None
    why_open: str | None


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
    names = {finding.id, *finding.aliases}
    about = [each for each in statements if each.vulnerability in names]
    reasons = []
    for each in sorted(about, key=lambda one: one.decided, reverse=True):
        reason = _reopened(each, finding, sha256, release, today)
        if reason is None:
            return Judged(finding=finding, closed_by=each, why_open=None)
        reasons.append(reason)
    return Judged(finding=finding, closed_by=None, why_open=reasons[0] if reasons else "nobody has decided about it")


def _reopened(statement: Statement, finding: Finding, sha256: str | None, release: str, today: dt.date) -> str | None:
    """Why `statement` does not close `finding`; None where it does."""
    if statement.purl != finding.component:
        return f"decided for {statement.purl}, which is another version"
    if statement.sha256 != sha256:
        return "decided for a file with another hash" if sha256 else "the installed file's hash is not known"
    if statement.release != release:
        return f"decided for the release {statement.release}"
    if today > statement.review_by:
        return f"to be reviewed by {statement.review_by.isoformat()}, which has passed"
    if finding.exploited and not statement.exploited:
        return "known to be exploited since it was decided"
    if statement.state not in CLOSING:
        return f"decided to be {statement.state}"
    return None


@implements("REQ-SBM-006")
def cyclonedx(judged: Sequence[Judged], *, serial: str, timestamp: str | None) -> dict[str, Any]:
    """A CycloneDX 1.6 VEX document whose `affects` link into the bill of materials `serial` (BOM-Link)."""
    bom_link = serial.replace("urn:uuid:", "urn:cdx:") + "/1#"
    found = []
    for each in judged:
        finding, statement = each.finding, each.closed_by
        analysis: dict[str, Any] = {"state": statement.state if statement else "in_triage"}
        if statement is not None:
            if statement.justification:
                analysis["justification"] = statement.justification
            if statement.response:
                analysis["response"] = list(statement.response)
            analysis["detail"] = statement.detail
        else:
            analysis["detail"] = each.why_open
        entry: dict[str, Any] = {
            "bom-ref": f"{finding.id}/{finding.component}",
            "id": finding.id,
            "description": finding.summary,
            "references": [{"id": alias, "source": {"name": alias.split("-")[0]}} for alias in finding.aliases],
            "analysis": analysis,
            "affects": [{"ref": bom_link + finding.component}],
        }
        if finding.cvss_tenths is not None:
            entry["ratings"] = [{"score": finding.cvss_tenths / 10, "method": "CVSSv31"}]
        found.append({name: value for name, value in entry.items() if value not in ("", [])})
    metadata = {"timestamp": timestamp} if timestamp else {}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        **({"metadata": metadata} if metadata else {}),
        "vulnerabilities": found,
    }


@implements("REQ-SBM-006")
def openvex(judged: Sequence[Judged], *, author: str, identifier: str, timestamp: str) -> dict[str, Any]:
    """An OpenVEX 0.2.0 document of the same decisions."""
    statements = []
    for each in judged:
        finding, decided = each.finding, each.closed_by
        state = _OPENVEX_STATE[decided.state] if decided else "under_investigation"
        made: dict[str, Any] = {
            "vulnerability": {"name": finding.id, "aliases": list(finding.aliases)},
            "products": [{"@id": finding.component, "identifiers": {"purl": finding.component}}],
            "status": state,
            "timestamp": timestamp,
        }
        if decided is not None and state == "not_affected":
            made["justification"] = _OPENVEX_JUSTIFICATION[decided.justification or "code_not_present"]
            made["impact_statement"] = decided.detail
        elif decided is not None:
            made["status_notes"] = decided.detail
        statements.append(made)
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": identifier,
        "author": author,
        "timestamp": timestamp,
        "version": 1,
        "statements": statements,
    }


class Imported(Struct, frozen=True, kw_only=True):
    """What somebody else says of a component: a proposal. It becomes a statement when two people of ours sign it."""

    vulnerability: str
    component: str
    state: State
    justification: Justification | None
    detail: str
    source: str


@implements("REQ-SBM-006")
def imported(document: Mapping[str, Any]) -> tuple[Imported, ...]:
    """The statements of an OpenVEX or CycloneDX VEX document. Raises `DocumentInvalid` for anything else."""
    try:
        if str(document.get("@context", "")).startswith("https://openvex.dev/ns"):
            return tuple(_of_openvex(document))
        if document.get("bomFormat") == "CycloneDX":
            return tuple(_of_cyclonedx(document))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DocumentInvalid(f"vex: a statement lacks {error}") from error
    raise DocumentInvalid("vex: neither OpenVEX nor CycloneDX")


def _of_openvex(document: Mapping[str, Any]) -> Iterable[Imported]:
    states: dict[str, State] = {
        "fixed": "resolved",
        "affected": "exploitable",
        "under_investigation": "in_triage",
        "not_affected": "not_affected",
    }
    for each in document["statements"]:
        state, justification = states.get(each["status"]), None
        if state is None:
            raise DocumentInvalid(f"vex: OpenVEX has no status {each['status']!r}")
        if state == "not_affected" and each.get("justification"):
            state, justification = _FROM_OPENVEX[each["justification"]]
        named = each["vulnerability"]
        for product in each.get("products", ()):
            yield Imported(
                vulnerability=named["name"] if isinstance(named, dict) else str(named),
                component=product.get("identifiers", {}).get("purl", product["@id"]),
                state=state,
                justification=justification,
                detail=str(each.get("impact_statement") or each.get("status_notes") or ""),
                source=str(document.get("author", "")),
            )


def _of_cyclonedx(document: Mapping[str, Any]) -> Iterable[Imported]:
    for each in document["vulnerabilities"]:
        analysis = each.get("analysis", {})
        if analysis.get("state") not in get_args(State):
            raise DocumentInvalid(f"vex: {each.get('id', 'a vulnerability')} has no state of CycloneDX")
        for affected in each.get("affects", ()):
            yield Imported(
                vulnerability=each["id"],
                component=str(affected["ref"]).rpartition("#")[2],
                state=analysis["state"],
                justification=analysis.get("justification"),
                detail=str(analysis.get("detail", "")),
                source=str(document.get("serialNumber", "")),
            )
