"""Decisions about vulnerabilities as others write and read them: CycloneDX VEX and OpenVEX 0.2.0.

CycloneDX carries a whole decision, with who made it and until when, and reads back as it was. OpenVEX has fewer words:
what is read back is the nearest of ours (`false_positive` becomes `not_affected`), and who decided until when is in its
notes for people. What others say is a proposal: it counts once two people of ours have signed it as a statement.

Pure.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args
from uuid import UUID, uuid5

from msgspec import Struct

from sbom.errors import DocumentInvalid
from sbom.fields import objects
from sbom.vex import Judged, Justification, State, Statement
from traceability.marks import implements

_NAMESPACE: Final = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562 section 6.6: names that are URLs
SIGNED: Final = "medai:vex:"
"""Before the properties that say who decided, who approved, for which file and release, and until when."""

_STATES: Final[dict[str, str]] = {
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
_FROM_STATUS: Final[dict[str, State]] = {
    "fixed": "resolved",
    "affected": "exploitable",
    "under_investigation": "in_triage",
    "not_affected": "not_affected",
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
def cyclonedx(judged: Sequence[Judged], *, serial: str, timestamp: str | None) -> dict[str, Any]:
    """A CycloneDX 1.6 VEX document whose `affects` link into the bill of materials `serial` (BOM-Link); where that has
    no serial number, they are its references alone."""
    link = serial.replace("urn:uuid:", "urn:cdx:") + "/1#" if serial else ""
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        **({"metadata": {"timestamp": timestamp}} if timestamp else {}),
        "vulnerabilities": [_vulnerability(each, link) for each in judged],
    }
    own = uuid5(_NAMESPACE, json.dumps([serial, document], sort_keys=True, ensure_ascii=False))
    return {**document, "serialNumber": f"urn:uuid:{own}"}


def _vulnerability(judged: Judged, link: str) -> dict[str, Any]:
    finding, decided = judged.finding, judged.closed_by or judged.stands
    entry: dict[str, Any] = {
        "bom-ref": f"{finding.id}/{finding.component}",
        "id": finding.id,
        "description": finding.summary,
        "references": [{"id": alias, "source": {"name": alias.split("-")[0]}} for alias in finding.aliases],
        "analysis": _analysis(decided) if decided else {"state": "in_triage", "detail": judged.why_open},
        "affects": [{"ref": link + finding.component}],
    }
    if finding.cvss_tenths is not None:
        entry["ratings"] = [{"score": finding.cvss_tenths / 10, "method": "CVSSv31"}]
    if decided is not None:
        told = {
            "author": decided.author,
            "approver": decided.approver,
            "decided": decided.decided.isoformat(),
            "review-by": decided.review_by.isoformat(),
            "release": decided.release,
            "sha256": decided.sha256,
        }
        entry["properties"] = [{"name": SIGNED + name, "value": value} for name, value in sorted(told.items())]
    return {name: value for name, value in entry.items() if value not in ("", [])}


def _analysis(decided: Statement) -> dict[str, Any]:
    return {
        "state": decided.state,
        **({"justification": decided.justification} if decided.justification else {}),
        **({"response": list(decided.response)} if decided.response else {}),
        "detail": decided.detail,
        "firstIssued": f"{decided.decided.isoformat()}T00:00:00Z",
    }


@implements("REQ-SBM-006")
def openvex(judged: Sequence[Judged], *, author: str, identifier: str, timestamp: str) -> dict[str, Any]:
    """An OpenVEX 0.2.0 document of the same decisions."""
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": identifier,
        "author": author,
        "timestamp": timestamp,
        "version": 1,
        "statements": [_statement(each, timestamp) for each in judged],
    }


def _statement(judged: Judged, timestamp: str) -> dict[str, Any]:
    finding, decided = judged.finding, judged.closed_by or judged.stands
    status = _STATES[decided.state] if decided else "under_investigation"
    made: dict[str, Any] = {
        "vulnerability": {"name": finding.id, "aliases": list(finding.aliases)},
        "products": [{"@id": finding.component, "identifiers": {"purl": finding.component}}],
        "status": status,
        "timestamp": timestamp,
    }
    if decided is None:
        return {**made, "status_notes": judged.why_open}
    signed = f"{decided.author}, approved by {decided.approver}, to be reviewed by {decided.review_by.isoformat()}"
    if status == "not_affected":
        justified = _OPENVEX_JUSTIFICATION[decided.justification] if decided.justification else None
        made |= {"justification": justified} if justified else {}
        return {**made, "impact_statement": decided.detail, "status_notes": signed}
    if status == "affected":  # the format asks for what to do about it
        return {**made, "action_statement": decided.detail, "status_notes": signed}
    return {**made, "status_notes": f"{decided.detail} ({signed})"}


@implements("REQ-SBM-006")
def imported(document: Mapping[str, Any]) -> tuple[Imported, ...]:
    """The statements of an OpenVEX or CycloneDX VEX document. Raises `DocumentInvalid` with the place otherwise."""
    if str(document.get("@context", "")).startswith("https://openvex.dev/ns"):
        read, member = _of_openvex, "statements"
    elif document.get("bomFormat") == "CycloneDX":
        read, member = _of_cyclonedx, "vulnerabilities"
    else:
        raise DocumentInvalid("vex: neither OpenVEX nor CycloneDX")
    entries = document.get(member)
    if not isinstance(entries, list):
        raise DocumentInvalid(f"vex: /{member}: expected a list of them")
    made: list[Imported] = []
    for number, each in enumerate(entries):
        try:
            made += read(each, document)
        except DocumentInvalid as error:
            raise DocumentInvalid(f"vex: /{member}/{number}: {error}") from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DocumentInvalid(f"vex: /{member}/{number}: it lacks {error}") from error
    return tuple(made)


@implements("REQ-SBM-006")
def proposal(said: Imported, *, sha256: str, release: str, today: dt.date) -> str:
    """A statement for `sbom/vex.toml` that cannot be used until somebody fills in who wrote and who approved it."""
    words: dict[str, str] = {
        "vulnerability": said.vulnerability, "purl": said.component, "sha256": sha256, "release": release,
        "state": said.state, **({"justification": said.justification} if said.justification else {}),
        "detail": said.detail, "author": "", "approver": "",
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in words.items()]
    dates = [f"decided = {today.isoformat()}", f"review_by = {(today + dt.timedelta(days=90)).isoformat()}"]
    return "\n".join(("[[statement]]", f"# proposed by {json.dumps(said.source)}", *lines, *dates))


def _of_openvex(each: Any, document: Mapping[str, Any]) -> Iterable[Imported]:
    state, justification = _FROM_STATUS.get(each["status"]), None
    if state is None:
        raise DocumentInvalid(f"OpenVEX has no status {each['status']!r}")
    if state == "not_affected" and each.get("justification"):
        if each["justification"] not in _FROM_OPENVEX:
            raise DocumentInvalid(f"OpenVEX has no justification {each['justification']!r}")
        state, justification = _FROM_OPENVEX[each["justification"]]
    named = each["vulnerability"]
    details = [each.get(name) for name in ("impact_statement", "action_statement", "status_notes")]
    products = objects(each, "products")
    for product in [part for one in products for part in objects(one, "subcomponents") or (one,)]:
        identifiers = product.get("identifiers")
        purl = identifiers.get("purl") if isinstance(identifiers, dict) else None
        yield Imported(
            vulnerability=str(named["name"] if isinstance(named, dict) else named),
            component=str(purl or product["@id"]),
            state=state,
            justification=justification,
            detail=str(next(filter(None, details), "")),
            source=str(document.get("author", "")),
        )


def _of_cyclonedx(each: Any, document: Mapping[str, Any]) -> Iterable[Imported]:
    analysis = each.get("analysis") or {}
    if analysis.get("state") not in get_args(State):
        raise DocumentInvalid(f"{each.get('id', 'a vulnerability')} has no state of CycloneDX")
    if analysis.get("justification") not in (None, *get_args(Justification)):
        raise DocumentInvalid(f"CycloneDX has no justification {analysis['justification']!r}")
    for affected in objects(each, "affects"):
        yield Imported(
            vulnerability=str(each["id"]),
            component=_linked(str(affected["ref"])),
            state=analysis["state"],
            justification=analysis.get("justification"),
            detail=str(analysis.get("detail", "")),
            source=str(document.get("serialNumber", "")),
        )


def _linked(ref: str) -> str:
    """The reference that a BOM-Link ends in, or the reference itself."""
    return ref.partition("#")[2] if ref.startswith("urn:cdx:") else ref
