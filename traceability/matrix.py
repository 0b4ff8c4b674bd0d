"""The matrix: what was read of requirements, code, tests and their results, brought together and judged.

    inputs = project.gather(root)     what is on disk: the only part that reads files
    found = matrix.build(inputs)      pure: the same inputs give the same `rows.Matrix`
    matrix.encode(found)              its canonical JSON, `matrix.decode` back

`rows` has the shape of all of it: `Matrix.requirements`, `.hazards`, `.units`, `.tests`, `.links`, `.findings`,
`.summary`. A link's `level` is the highest of which all below are reached; `demanded` is what the safety class asks;
`why` says what is missing. Links carry a `review` (`rows.NOT_REVIEWED` here): what is known of reviews is put in
afterwards with `msgspec.structs.replace`, together with findings of its own, and `summarised` counts anew.
Requirement, unit, test and hazard rows each have a `fingerprint`, which moves when what they mean moves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from traceability import findings, verdicts
from traceability.citations import Citation, Test, Unit
from traceability.errors import EvidenceInvalid
from traceability.inputs import Inputs
from traceability.levels import Judge
from traceability.marks import implements
from traceability.requirements import Hazard, Origin, Requirement, SafetyClass
from traceability.results import Node
from traceability.rows import (
    FORMAT,
    ClassSummary,
    Evidence,
    HazardRow,
    Link,
    Matrix,
    OriginRow,
    Outcome,
    RequirementRow,
    Summary,
    TestNode,
    TestRow,
    UnitRow,
)
from traceability.verdicts import Conclusion

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Matrix)
_WORST_FIRST: Final[tuple[Outcome, ...]] = (
    "error",
    "failed",
    "xpassed",
    "retried",
    "xfailed",
    "skipped",
    "not_run",
    "passed",
)
_NOTHING: Final = Summary(
    requirements=0, retired=0, hazards=0, hazards_controlled=0, units=0, tests=0, links=0, verdicts={}, classes=(),
    findings={}, failing=0, reviews_open=0,
)  # fmt: skip


@implements("REQ-TRC-004")
def build(inputs: Inputs) -> Matrix:
    """Judge everything. The rows are in the order of their ids, the findings in that of files and lines."""
    judge = Judge(inputs)
    cited: dict[str, list[Citation]] = {}
    for citation in inputs.citations:
        cited.setdefault(citation.requirement, []).append(citation)
    links = {item.id: judge.links(item, cited[item.id]) for item in inputs.requirements if item.id in cited}
    conclusions = verdicts.concluded(inputs, links)
    found = Matrix(
        project=inputs.settings.project,
        evidence=_evidence(inputs),
        requirements=_requirement_rows(inputs, links, conclusions),
        hazards=tuple(_hazard_row(inputs, hazard, conclusions) for hazard in sorted(inputs.hazards, key=_id)),
        units=_unit_rows(inputs),
        tests=_test_rows(inputs),
        links=tuple(sorted((link for own in links.values() for link in own), key=_link_order)),
        findings=findings.found(inputs, links, conclusions),
        summary=_NOTHING,
        origins=tuple(_origin_row(origin) for origin in sorted(inputs.origins, key=_id)),
    )
    return summarised(found)


def summarised(found: Matrix) -> Matrix:
    """`found` with its summary counted anew from its rows."""
    active = [row for row in found.requirements if row.status == "active"]
    counted = Summary(
        requirements=len(active),
        retired=len(found.requirements) - len(active),
        hazards=sum(row.status == "active" for row in found.hazards),
        hazards_controlled=sum(row.status == "active" and row.controlled for row in found.hazards),
        units=len(found.units),
        tests=len(found.tests),
        links=len(found.links),
        verdicts=dict(sorted(Counter(row.verdict for row in active).items())),
        classes=tuple(_class_summary(name, active) for name in ("A", "B", "C")),
        findings=dict(sorted(Counter(finding.code for finding in found.findings).items())),
        failing=sum(finding.severity == "fail" for finding in found.findings),
        reviews_open=sum(link.review.status != "reviewed" for link in found.links if link.verdict != "retired"),
    )
    return msgspec.structs.replace(found, summary=counted)


def encode(found: Matrix) -> bytes:
    """The one JSON encoding of `found`: sorted members, integers only, no white space, a line feed at the end."""
    return _ENCODER.encode(found) + b"\n"


def decode(body: bytes) -> Matrix:
    """The matrix that `encode` wrote. Raises `EvidenceInvalid` where `body` is none."""
    try:
        found = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise EvidenceInvalid(f"matrix: this is not a matrix in the format {FORMAT}: {error}") from error
    if found.format != FORMAT:
        raise EvidenceInvalid(f"matrix: expected the format {FORMAT}, got {found.format!r}: make it anew")
    return found


def _evidence(inputs: Inputs) -> Evidence:
    results = inputs.results
    return Evidence(
        started_at=results.started_at, complete=results.complete, coverage=inputs.executed.coverage,
        environment=dict(sorted(results.environment.items())), tests_run=len(results.nodes),
        duration_us=results.duration_us,
    )  # fmt: skip


def _requirement_rows(
    inputs: Inputs, links: Mapping[str, Sequence[Link]], conclusions: Mapping[str, Conclusion]
) -> tuple[RequirementRow, ...]:
    children = verdicts.children_of(inputs)
    hazards: dict[str, list[str]] = {}
    for hazard in inputs.hazards:
        for control in hazard.controls:
            hazards.setdefault(control, []).append(hazard.id)
    rows = []
    for item in sorted(inputs.requirements, key=_id):
        own, conclusion = links.get(item.id, ()), conclusions[item.id]
        rows.append(
            RequirementRow(
                id=item.id, title=item.title, text=item.text, criterion=item.criterion, type=item.type,
                safety_class=item.safety_class, verification=item.verification, sources=item.sources,
                parent=item.parent, record=item.record, status=item.status, file=item.file, line=item.line,
                fingerprint=inputs.fingerprints.get(item.id, ""), level=conclusion.level,
                demanded=conclusion.demanded, verdict=conclusion.verdict, why=conclusion.why,
                units=tuple(sorted({link.target for link in own if link.kind == "implementation"})),
                tests=tuple(sorted({link.target for link in own if link.kind == "test"})),
                hazards=tuple(sorted(hazards.get(item.id, ()))), children=tuple(sorted(children.get(item.id, ()))),
            )
        )  # fmt: skip
    return tuple(rows)


def _hazard_row(inputs: Inputs, hazard: Hazard, conclusions: Mapping[str, Conclusion]) -> HazardRow:
    controlled, why = verdicts.controlled(hazard, conclusions)
    return HazardRow(
        id=hazard.id, title=hazard.title, hazard=hazard.hazard, cause=hazard.cause, harm=hazard.harm,
        situation=hazard.situation or "", severity=hazard.severity or "", residual=hazard.residual or "",
        controls=hazard.controls, status=hazard.status, file=hazard.file, line=hazard.line,
        fingerprint=inputs.fingerprints.get(hazard.id, ""), controlled=controlled, why=why,
    )  # fmt: skip


def _origin_row(origin: Origin) -> OriginRow:
    return OriginRow(
        id=origin.id, kind=origin.kind, title=origin.title, document=origin.document, edition=origin.edition,
        read=origin.read, file=origin.file, line=origin.line,
    )  # fmt: skip


def _unit_rows(inputs: Inputs) -> tuple[UnitRow, ...]:
    return tuple(
        UnitRow(
            id=unit.id, file=unit.file, line=unit.line, last_line=unit.last_line, name=unit.name, kind=unit.kind,
            language=unit.language, executable=unit.executable, fingerprint=inputs.fingerprints.get(unit.id, ""),
        )
        for unit in sorted(inputs.units, key=_id)
    )  # fmt: skip


def _test_rows(inputs: Inputs) -> tuple[TestRow, ...]:
    return tuple(
        TestRow(
            id=test.id, file=test.file, line=test.line, last_line=test.last_line, name=test.name,
            outcome=_worst(inputs.nodes_by_test.get(test.id, ())),
            nodes=tuple(_node_row(node) for node in inputs.nodes_by_test.get(test.id, ())),
            fingerprint=inputs.fingerprints.get(test.id, ""),
        )
        for test in sorted(inputs.tests, key=_id)
    )  # fmt: skip


def _node_row(node: Node) -> TestNode:
    return TestNode(node=node.node, outcome=_outcome(node), duration_us=node.duration_us, reason=node.reason)


def _worst(nodes: Sequence[Node]) -> Outcome:
    outcomes = {_outcome(node) for node in nodes}
    return next((outcome for outcome in _WORST_FIRST if outcome in outcomes), "not_run")


def _outcome(node: Node) -> Outcome:
    return "retried" if node.outcome == "passed" and node.attempts > 1 else node.outcome


def _class_summary(name: SafetyClass, active: Sequence[RequirementRow]) -> ClassSummary:
    tested = [row for row in active if row.safety_class == name and row.verification == "test"]
    levels = Counter(row.level for row in tested)
    return ClassSummary(
        safety_class=name,
        demanded=next((row.demanded for row in tested if row.demanded is not None), 0),
        requirements=len(tested),
        proved=sum(row.verdict == "proved" for row in tested),
        levels=(levels[0], levels[1], levels[2], levels[3], levels[4]),
        unlinked=levels[None],
    )


def _id(item: Requirement | Hazard | Unit | Test | Origin) -> str:
    return item.id


def _link_order(link: Link) -> tuple[str, str, str, str, int]:
    return link.requirement, link.kind, link.target, link.file, link.line
