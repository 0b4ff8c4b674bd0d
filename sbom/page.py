"""The release page: one file that needs nothing else, from which a manager decides.

The verdict first, then what stands against it, then everything that it is judged by. Nothing is fetched; styles and
the one script are inline and can be admitted by their digests (no style attribute, no inline handler).
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from sbom import policy as policies
from sbom.difference import Difference
from sbom.fields import Element, named
from sbom.gate import Gate
from sbom.policy import Policy
from sbom.releasing import Approved
from sbom.report import Report
from sbom.standards import Verdict
from sbom.statement import Release
from traceability.marks import implements

WORDS: Final = {"blocked": "Do not release", "not_approved": "Not approved yet", "approved": "Approved"}
CHANGES: Final = (
    "added", "removed", "up", "down", "other_version", "same_version_other_hash", "licence", "supplier", "scope",
    "hash", "depth", "model_metric", "vulnerability_new", "vulnerability_gone",
)  # fmt: skip
_UNIT: Final = 1_000_000


class Shown(Struct, frozen=True, kw_only=True):
    """Everything that is on the page."""

    gate: Gate
    release: Release
    digest: str
    signed_by: Sequence[str]
    development_key: bool
    approvals: Sequence[Approved]
    document: Element
    policy: Policy
    report: Report
    verdicts: Sequence[Verdict]
    changes: Sequence[Difference] | None
    """None where no earlier release was given."""
    trace: Mapping[str, Any] | None
    today: dt.date


@implements("REQ-REL-006")
def render(shown: Shown) -> str:
    """The page. The same arguments give the same text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates = files("sbom").joinpath("templates")
    environment.filters |= {
        "percent": _percent, "thousands": lambda count: f"{count:,}", "short": lambda ref: ref.removeprefix("pkg:"),
    }  # fmt: skip
    components = policies.required(shown.document)
    return environment.from_string(templates.joinpath("release.html.j2").read_text("utf-8")).render(
        style=templates.joinpath("release.css").read_text("utf-8"),
        script=templates.joinpath("release.js").read_text("utf-8"),
        word=WORDS[shown.gate.decision],
        shown=shown,
        product=shown.document["metadata"]["component"],
        unknowns=[
            each["value"]
            for each in shown.document["metadata"].get("properties", ())
            if each["name"] == "medai:known-unknown"
        ],
        components=[_row(each) for each in components],
        licences=_licences(shown.policy, components),
        supports=_supports(shown.policy, components, shown.today),
        standards=[_standard(each) for each in shown.verdicts],
        changes=_changes(shown.changes),
        models=[_model(each) for each in components if each.get("type") == "machine-learning-model"],
        trace=_trace(shown.trace),
        findings=shown.report.findings,
        severities=_severities(shown.report),
        checks=_checks(shown.gate),
    )


@implements("REQ-REL-006")
def index(files_there: Sequence[tuple[str, int, str]], digest: str, word: str) -> str:
    """A list of the evidence: (name, bytes, SHA-256) of each file."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates = files("sbom").joinpath("templates")
    return environment.from_string(templates.joinpath("index.html.j2").read_text("utf-8")).render(
        style=templates.joinpath("release.css").read_text("utf-8"), files=files_there, digest=digest, word=word
    )


CHECKS: Final = (
    ("vulnerabilities", "Vulnerabilities"), ("licences", "Licences"), ("support", "Support"),
    ("policy", "Files and pins"), ("traceability", "Traceability"), ("signatures", "Signature"),
    ("standards", "Standards"),
)  # fmt: skip
SEVERITIES: Final = (("critical", 90), ("high", 70), ("medium", 40), ("low", 1), ("none", 0))
"""The lowest score of each, in tenths (CVSS v3.1 specification, section 5)."""


def _checks(gate: Gate) -> list[dict[str, Any]]:
    """Everything that was looked at, at a glance: what passed as well."""
    made = []
    for section, name in CHECKS:
        weights = Counter(each.weight for each in gate.findings if each.section == section)
        state = "against" if weights["stands_against"] else "told" if weights["to_know"] else "clear"
        count = weights["stands_against"] or weights["to_know"]
        made.append({"section": section, "name": name, "state": state, "count": count})
    return made


def _severities(report: Report) -> list[dict[str, Any]]:
    """How many findings there are of each severity, open and closed; bars are in millionths of the longest."""
    counted: dict[str, list[int]] = {}
    for each in report.findings:
        score = each.finding.cvss_tenths
        name = "not scored" if score is None else next(word for word, least in SEVERITIES if score >= least)
        counted.setdefault(name, [0, 0])[each.closed_by is not None] += 1
    most = max((sum(each) for each in counted.values()), default=1)
    return [
        {"name": name, "open": counted[name][0], "closed": counted[name][1],
         "open_width": counted[name][0] * _UNIT // most, "all_width": sum(counted[name]) * _UNIT // most}
        for name in (*(word for word, _ in SEVERITIES), "not scored")
        if name in counted
    ]  # fmt: skip


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.1f} %"


def _row(component: Element) -> dict[str, str]:
    properties = {each["name"]: each["value"] for each in component.get("properties", ())}
    return {
        "name": named(component),
        "kind": str(component.get("type", "")),
        "licence": _licence(component) or "not known",
        "supplier": str((component.get("supplier") or {}).get("name", "not known")),
        "sha256": next((each["content"] for each in component.get("hashes", ()) if each["alg"] == "SHA-256"), "")
        or properties.get("medai:tree:sha256", "not known"),
    }


def _licence(component: Element) -> str:
    said = component.get("licenses", ())
    texts = [each.get("expression") or each["license"].get("id") or each["license"].get("name") for each in said]
    return ", ".join(str(each) for each in texts)


def _licences(policy: Policy, components: Sequence[Element]) -> list[dict[str, Any]]:
    """How many components have each licence, the denied first; bars are in millionths of the longest."""
    counted: Counter[tuple[str, str]] = Counter()
    for each in components:
        said = _licence(each)
        inside = any(one["name"] == "medai:bundled-in" for one in each.get("properties", ()))
        own = str(each.get("purl", "")).startswith(policies.OWN)
        if said and all("expression" in one for one in each["licenses"]):
            counted[(policies.licence_verdict(policy, said), said)] += 1
        elif said:
            counted[("named", "by a name only, such as a model's own terms")] += 1
        else:
            counted[
                ("unknown", "our own: not chosen" if own else "not known, inside a wheel" if inside else "not known")
            ] += 1
    order = {"deny": 0, "review": 1, "allow": 2, "named": 3, "unknown": 4}
    most = max(counted.values(), default=1)
    ranked = sorted(counted.items(), key=lambda each: (order[each[0][0]], -each[1], each[0][1]))
    return [
        {"verdict": verdict, "licence": licence, "count": count, "width": count * _UNIT // most}
        for (verdict, licence), count in ranked
    ]


def _supports(policy: Policy, components: Sequence[Element], today: dt.date) -> list[dict[str, Any]]:
    """Whose end of support is known, the soonest first; `left` in months."""
    found = []
    for each in components:
        known = policies.supported(policy, each)
        if known is not None:
            year, _, month = known.end.partition("-")
            left = int(year) * 12 + int(month) - today.year * 12 - today.month
            found.append({"name": named(each), "known": known, "left": left, "soon": left <= 12})
    return sorted(found, key=lambda each: (each["left"], each["name"]))


def _standard(verdict: Verdict) -> dict[str, Any]:
    missing: dict[str, list[str]] = {}
    for each in verdict.missing:
        missing.setdefault(each.field, []).append(each.component or "the document")
    ranked = sorted(missing.items(), key=lambda each: (-len(each[1]), each[0]))
    return {"verdict": verdict, "missing": ranked}


def _changes(changes: Sequence[Difference] | None) -> dict[str, Any]:
    if changes is None:
        return {"compared": False, "counts": [], "rows": [], "deeper": 0}
    counted = Counter(each.change for each in changes)
    most = max(counted.values(), default=1)
    order = {change: at for at, change in enumerate(CHANGES)}
    rows = sorted((each for each in changes if each.change != "depth"), key=lambda each: (order[each.change], each))
    counts = [
        {"change": each.replace("_", " "), "count": counted[each], "width": counted[each] * _UNIT // most}
        for each in CHANGES
        if counted[each]
    ]
    return {"compared": True, "counts": counts, "rows": rows, "deeper": counted["depth"]}


def _model(component: Element) -> dict[str, Any]:
    card = component.get("modelCard", {})
    considerations = card.get("considerations", {})
    metrics: dict[str, list[dict[str, Any]]] = {}
    for each in card.get("quantitativeAnalysis", {}).get("performanceMetrics", ()):
        metrics.setdefault(each.get("slice", ""), []).append(_metric(each))
    return {
        "name": named(component),
        "title": component.get("description", ""),
        "sha256": next((each["content"] for each in component.get("hashes", ()) if each["alg"] == "SHA-256"), ""),
        "uses": considerations.get("useCases", ()),
        "limits": considerations.get("technicalLimitations", ()),
        "data": [each.get("description", "") for each in card.get("modelParameters", {}).get("datasets", ())],
        "metrics": metrics,
    }


def _metric(metric: Element) -> dict[str, Any]:
    value = float(metric["value"])
    return {
        "name": metric["type"],
        "value": metric["value"],
        "width": min(_UNIT, max(0, round(value * _UNIT))),
        "is_share": 0 <= value <= 1,
    }


def _trace(trace: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if trace is None:
        return None
    summary = trace["summary"]
    verdicts = sorted(summary.get("verdicts", {}).items())
    total = sum(count for _, count in verdicts) or 1
    suspects = [each for each in trace.get("links", ()) if (each.get("review") or {}).get("status") == "suspect"]
    return {
        "summary": summary,
        "verdicts": [
            {"name": name.replace("_", " "), "count": count, "width": count * _UNIT // total}
            for name, count in verdicts
        ],
        "classes": summary.get("classes", ()),
        "suspects": suspects,
        "failing": [each for each in trace.get("findings", ()) if each.get("severity") == "fail"],
    }
