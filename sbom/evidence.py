"""`build/evidence/`: everything that a release is decided by, made in the order in which one needs the other.

sbom.cdx.json          what ships
sbom-check.json        each standard's verdict about it
vulnerabilities.json   what is known against it; where that could not be found out, it says so
vex.cdx.json           what was decided about each
sbom-diff.json         what changed since the last release
release.dsse.json      binds all of this and whatever else is in the folder (the matrix, results of tests)
gate.json, release.html, index.html, manifest.json: views of it, made from it, bound by nobody
"""

import datetime as dt
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from sbom import (
    activation,
    bom,
    collect,
    difference,
    dsse,
    exchange,
    fields,
    gate,
    installed,
    page,
    policy,
    releasing,
    report,
    schema,
    standards,
    statement,
)
from sbom.difference import Difference
from sbom.errors import DocumentInvalid
from sbom.gate import Gate
from sbom.releasing import Sources
from sbom.report import Report
from sbom.standards import STANDARDS, Verdict

SBOM: Final = "sbom.cdx.json"
CHECK: Final = "sbom-check.json"
VULNERABILITIES: Final = "vulnerabilities.json"
VEX: Final = "vex.cdx.json"
DIFF: Final = "sbom-diff.json"
RELEASE: Final = "release.dsse.json"
GATE: Final = "gate.json"
PAGE: Final = "release.html"
INDEX: Final = "index.html"
MANIFEST: Final = "manifest.json"
TRACE: Final = "trace.json"
COUNTS: Final = ("requirements", "hazards", "hazards_controlled", "tests", "failing")
"""Of the matrix's summary: what the gate and the page cannot do without."""
DEVELOPMENT_KEY: Final = "development.pub.pem"
DEVELOPMENT: Final = "development key, made for this run and thrown away"


class Compared(Struct, frozen=True, kw_only=True):
    """What changed; `compared_with` is the earlier document's serial number, None where none was given."""

    compared_with: str | None
    changes: tuple[Difference, ...]


class View(Struct, frozen=True, kw_only=True):
    """What a view of finished evidence is made with."""

    folder: Path
    project: Path
    site: Path
    trusted: Sequence[Ed25519PublicKey]
    approvers: Sequence[Ed25519PublicKey]
    approvals_needed: int
    before: Path | None
    today: dt.date


def document(places: collect.Places, folder: Path) -> dict[str, Any]:
    """Writes the bill of materials and the standards' verdicts about it."""
    product, parts = collect.gather(places)
    encoded = bom.encode(bom.assemble(product, parts))
    made = schema.require_valid(encoded, strict=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SBOM).write_bytes(encoded)
    judged = fields.Document(made)
    _write(folder / CHECK, [standards.judge(each, judged) for each in STANDARDS.values()])
    return made


def decisions(told: Report, folder: Path) -> None:
    """Writes the look-up's report, and what was decided as CycloneDX VEX."""
    (folder / VULNERABILITIES).write_bytes(report.encode(told))
    timestamp = f"{told.today.isoformat()}T00:00:00Z"
    encoded = bom.encode(exchange.cyclonedx(told.findings, serial=told.sbom, timestamp=timestamp))
    schema.require_valid(encoded, strict=True)
    (folder / VEX).write_bytes(encoded)


def compare(made: dict[str, Any], before: Path | None, folder: Path) -> None:
    """Writes what changed since the document `before`, vulnerabilities included where its VEX is beside it."""
    compared = Compared(compared_with=None, changes=())
    if before is not None:
        old = schema.read(before)
        if (before.parent / VEX).is_file():
            old = {**old, "vulnerabilities": schema.read(before.parent / VEX).get("vulnerabilities", [])}
            made = {**made, "vulnerabilities": schema.read(folder / VEX).get("vulnerabilities", [])}
        compared = Compared(
            compared_with=str(old.get("serialNumber", "no serial number")), changes=difference.diff(old, made)
        )
    _write(folder / DIFF, compared)


def bind(sources: Sources, key: Ed25519PrivateKey | None) -> str:
    """Writes the signed statement, and gives its digest. Without a key it is signed by one that is thrown away."""
    folder = sources.evidence
    (folder / DEVELOPMENT_KEY).unlink(missing_ok=True)
    if key is None:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / DEVELOPMENT_KEY).write_bytes(public)
        sources = msgspec.structs.replace(
            sources, work_tree="may differ", invocation={**sources.invocation, "signing_key": DEVELOPMENT}
        )
    payload = statement.encode(releasing.collect(sources))
    (folder / RELEASE).write_bytes(dsse.sign(payload, dsse.IN_TOTO, [key]))
    return statement.digest(payload)


def show(view: View) -> Gate:
    """Writes the gate's verdict, the page, the index and the manifest, from what the folder holds."""
    folder = view.folder
    envelope = (folder / RELEASE).read_bytes()
    payload = dsse.unverified(envelope)
    release, digest = statement.decode(payload), statement.digest(payload)
    _bound(folder, release)
    development: Literal["yes", "no"] = "yes" if release.invocation.get("signing_key") == DEVELOPMENT else "no"
    trusted = view.trusted
    if not trusted and development == "yes":
        trusted = activation.public_keys((folder / DEVELOPMENT_KEY).read_bytes())
    signed_by = dsse.open(envelope, trusted).signed_by if trusted else ()
    envelopes = [path.read_bytes() for path in sorted((folder / releasing.APPROVALS).glob("*.dsse.json"))]
    approved = releasing.approvals(envelopes, view.approvers, digest) if view.approvers else ()
    made = schema.read(folder / SBOM)
    rules = policy.parse((view.project / collect.POLICY).read_text("utf-8"))
    before = policy.required(schema.read(view.before)) if view.before else ()
    told = report.decode((folder / VULNERABILITIES).read_bytes())
    verdicts = _decoded(folder / CHECK, list[Verdict])
    compared = _decoded(folder / DIFF, Compared)
    trace = _trace(folder / TRACE)
    breaches = policy.judge(rules, policy.required(made), today=view.today, before=before)
    judged = gate.judge(
        gate.Evidence(
            report=told,
            breaches=breaches,
            verdicts=verdicts,
            today=view.today,
            altered=tuple(installed.altered(view.site)),
            trace=trace,
            signed_by=signed_by,
            development_key=development,
            approvals=releasing.independent(approved, signed_by),
            approvals_needed=view.approvals_needed,
        )
    )
    _write(folder / GATE, {"release": digest, "decision": judged.decision, "findings": judged.findings,
                           "policy": breaches})  # fmt: skip
    text = page.render(
        page.Shown(
            gate=judged,
            release=release,
            digest=digest,
            signed_by=signed_by,
            development_key=development == "yes",
            approvals=approved,
            document=made,
            policy=rules,
            report=told,
            verdicts=verdicts,
            changes=compared.changes if compared.compared_with else None,
            trace=trace,
            today=view.today,
        )
    )
    (folder / PAGE).write_text(text, "utf-8")
    _listed(folder, digest, page.WORDS[judged.decision])
    return judged


def _bound(folder: Path, release: statement.Release) -> None:
    """What the page shows is what was signed. Raises `DocumentInvalid` where a file is another one, or gone."""
    for each in release.evidence:
        path = folder / str(each.name)
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != each.digest["sha256"]:
            raise DocumentInvalid(f"{path}: not the file that the release binds; make the evidence anew")


def _listed(folder: Path, digest: str, word: str) -> None:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (INDEX, MANIFEST)]
    listed = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path.read_bytes()).hexdigest())
        for path in paths
    ]
    (folder / INDEX).write_text(page.index(listed, digest, word), "utf-8")
    digests = {name: value for name, _, value in listed}
    digests[INDEX] = sha256((folder / INDEX).read_bytes()).hexdigest()
    made = {"format": "medai.evidence/1", "release": digest, "sha256": dict(sorted(digests.items()))}
    (folder / MANIFEST).write_text(json.dumps(made, indent=2) + "\n", "utf-8")


def _trace(path: Path) -> dict[str, Any] | None:
    """The matrix. Raises `DocumentInvalid` for what is none: a page must not pass over it."""
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
        counts = [
            told["summary"][name] for name in ("requirements", "hazards", "hazards_controlled", "tests", "failing")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentInvalid(f"{path}: not a traceability matrix") from error
    if not all(isinstance(count, int) for count in counts):
        raise DocumentInvalid(f"{path}: a traceability matrix counts in integers")
    return told


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DocumentInvalid(f"{path}: not as `medai release evidence` writes it: {error}") from error


def _write(path: Path, made: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made, order="sorted"), indent=2) + b"\n")
