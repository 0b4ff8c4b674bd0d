"""Which known vulnerabilities hit which components, and in which order to look at them.

Advisories are OSV records (ossf.github.io/osv-schema). A component is hit where its package's name and ecosystem are
those of an `affected` entry and its version is listed there or falls in a range of it, by the algorithm of the schema's
section "Evaluation". PyPI's versions are ordered by PEP 440; an `affected` entry whose versions cannot be ordered is a
finding of its own, never passed over.

Ranked: known to be exploited (CISA KEV) first, then by the probability that they will be (EPSS), then by CVSS.

Pure.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from packaging.version import InvalidVersion, Version

from sbom.errors import DocumentInvalid
from sbom.lockfile import normalise
from traceability.marks import implements

ECOSYSTEM: Final = "PyPI"
_METRICS: Final = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES: Final = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}


class Audited(Struct, frozen=True, kw_only=True):
    """A component that was looked up: its reference in the bill of materials, package name and version."""

    ref: str
    name: str
    version: str


class Finding(Struct, frozen=True, kw_only=True):
    """One vulnerability of one component. Probabilities in parts per million, CVSS scores in tenths."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    component: str
    name: str
    version: str
    fixed_in: tuple[str, ...]
    exploited: bool
    epss_ppm: int | None
    cvss_tenths: int | None
    modified: str


class Feed(Struct, frozen=True, kw_only=True):
    """A feed that was used, the day that it is of, and how many records it holds."""

    name: str
    date: dt.date
    records: int


class Feeds(Struct, frozen=True, kw_only=True):
    """The optional second opinions, by CVE: those known to be exploited, and the probability that one will be."""

    exploited: frozenset[str] = frozenset()
    epss_ppm: Mapping[str, int] = {}


Hit = Literal["hit", "clear", "unordered"]


@implements("REQ-SBM-005")
def match(components: Iterable[Audited], advisories: Iterable[Mapping[str, Any]], feeds: Feeds) -> tuple[Finding, ...]:
    """Every finding, the most urgent first. Withdrawn advisories are none."""
    by_name: dict[str, list[Audited]] = {}
    for each in components:
        by_name.setdefault(normalise(each.name), []).append(each)
    found: dict[tuple[str, str], Finding] = {}
    for advisory in advisories:
        if advisory.get("withdrawn"):
            continue
        for affected in _affected(advisory):
            for each in by_name.get(normalise(affected["package"]["name"]), ()):
                try:
                    if hit(each.version, affected) != "clear":
                        found[(advisory["id"], each.ref)] = _finding(advisory, affected, each, feeds)
                except (TypeError, AttributeError, KeyError) as error:
                    raise DocumentInvalid(f"osv: {advisory['id']}: not a record of the schema: {error}") from error
    return tuple(sorted(_without_twins(found.values()), key=rank))


@implements("REQ-SBM-005")
def rank(finding: Finding) -> tuple[object, ...]:
    """KEV > EPSS > CVSS; what has no figure comes after what has one; then by component and id."""
    return (
        not finding.exploited,
        -(finding.epss_ppm if finding.epss_ppm is not None else -1),
        -(finding.cvss_tenths if finding.cvss_tenths is not None else -1),
        finding.name,
        finding.id,
    )


def weighed(findings: Iterable[Finding], feeds: Feeds) -> tuple[Finding, ...]:
    """Findings of another's look-up with the second opinions, the most urgent first."""
    made = []
    for each in findings:
        known_as = (each.id, *each.aliases)
        epss = [feeds.epss_ppm[name] for name in known_as if name in feeds.epss_ppm]
        exploited = not feeds.exploited.isdisjoint(known_as)
        made.append(msgspec.structs.replace(each, exploited=exploited, epss_ppm=max(epss, default=None)))
    return tuple(sorted(_without_twins(made), key=rank))


@implements("REQ-SBM-005")
def hit(version: str, affected: Mapping[str, Any]) -> Hit:
    """Whether `version` is affected (osv-schema, "Evaluation"); `unordered` where its place in a range is not known."""
    if version in affected.get("versions", ()):
        return "hit"
    unordered = False
    for span in affected.get("ranges", ()):
        if span.get("type") not in ("ECOSYSTEM", "SEMVER"):
            continue  # GIT: commits, which no installed package tells
        try:
            if _in_range(Version(version), span.get("events", ())):
                return "hit"
        except InvalidVersion:
            unordered = True
    return "unordered" if unordered else "clear"


def _in_range(version: Version, events: Sequence[Mapping[str, str]]) -> bool:
    """Events in the order of their versions; an introduction comes before a fix of the same version."""
    order = {"introduced": 0, "fixed": 1, "last_affected": 2, "limit": 3}
    timeline: list[tuple[Version, int, str]] = []
    for event in events:
        for kind, text in event.items():
            if kind not in order:
                raise DocumentInvalid(f"osv: an event {kind!r} is not of the schema")
            timeline.append((_version(text), order[kind], kind))
    inside = False
    for at, _, kind in sorted(timeline, key=lambda each: (each[0], each[1])):
        if (kind == "introduced" and version >= at) or (kind == "last_affected" and inside and version <= at):
            inside = True
        elif (kind in ("fixed", "limit") and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _version(text: str) -> Version:
    return Version("0.dev0") if text == "0" else Version(text)


def _affected(advisory: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    try:
        entries = [each for each in advisory.get("affected", ()) if each["package"]["ecosystem"] == ECOSYSTEM]
        return [
            each for each in entries if isinstance(each["package"]["name"], str) and isinstance(advisory["id"], str)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DocumentInvalid(
            f"osv: {advisory.get('id', 'a record')} has no id, or an affected entry no package"
        ) from error


def _finding(advisory: Mapping[str, Any], affected: Mapping[str, Any], component: Audited, feeds: Feeds) -> Finding:
    aliases = tuple(sorted({str(each) for each in advisory.get("aliases", ())} - {advisory["id"]}))
    known_as = {advisory["id"], *aliases}
    fixed = {
        event["fixed"]
        for span in affected.get("ranges", ())
        if span.get("type") != "GIT"
        for event in span.get("events", ())
        if "fixed" in event
    }
    severity = [*affected.get("severity", ()), *advisory.get("severity", ())]
    scores = [cvss3(str(each.get("score", ""))) for each in severity if each.get("type") == "CVSS_V3"]
    known = [score for score in scores if score is not None]
    epss = [feeds.epss_ppm[each] for each in known_as if each in feeds.epss_ppm]
    return Finding(
        id=advisory["id"],
        aliases=aliases,
        summary=str(advisory.get("summary") or advisory.get("details", "")).strip().split("\n")[0][:300],
        component=component.ref,
        name=component.name,
        version=component.version,
        fixed_in=tuple(sorted(fixed)),
        exploited=not known_as.isdisjoint(feeds.exploited),
        epss_ppm=max(epss, default=None),
        cvss_tenths=max(known, default=None),
        modified=str(advisory.get("modified", "")),
    )


def _without_twins(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each vulnerability of a component: databases give one vulnerability several ids."""
    kept: list[Finding] = []
    for each in sorted(findings, key=lambda one: (one.component, rank(one))):
        twin = next(
            (
                other
                for other in kept
                if other.component == each.component
                and not {other.id, *other.aliases}.isdisjoint({each.id, *each.aliases})
            ),
            None,
        )
        if twin is None:
            kept.append(each)
    return kept


@implements("REQ-SBM-005")
def cvss3(vector: str) -> int | None:
    """The base score of a CVSS 3.0 or 3.1 vector in tenths (FIRST, CVSS v3.1 specification, section 7.1)."""
    parts = dict(part.split(":", 1) for part in vector.split("/") if ":" in part)
    if parts.pop("CVSS", "") not in ("3.0", "3.1") or parts.get("S") not in _PRIVILEGES:
        return None
    try:
        value = {metric: weights[parts[metric]] for metric, weights in _METRICS.items()}
        privileges = _PRIVILEGES[parts["S"]][parts["PR"]]
    except KeyError:
        return None
    base = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    changed = parts["S"] == "C"
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0
    exploitability = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    return _roundup(min((1.08 if changed else 1.0) * (impact + exploitability), 10))


def _roundup(score: float) -> int:
    """The smallest number of tenths that is not below `score` (appendix A: free of floating-point accidents)."""
    scaled = round(score * 100_000)
    return scaled // 10_000 if scaled % 10_000 == 0 else scaled // 10_000 + 1
