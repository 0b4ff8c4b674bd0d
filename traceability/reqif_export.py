"""The matrix as ReqIF, for requirement tools (DOORS, Polarion, StrictDoc and others).

    Requirements, hazards, units of code and tests are SPEC-OBJECTs of four types. What implements, what verifies, which
    requirement controls which hazard and which is the parent of which are SPEC-RELATIONs. Three SPECIFICATIONs hold
    them: the requirements (children below their parents), the hazards, and what proves them.

ReqIF 1.2 (OMG formal/2016-07-01) kept the schema of 1.0: its namespace is that of 2011 and REQ-IF-VERSION is fixed to
1.0 there. Attribute names that begin with `ReqIF.` are those of the ReqIF Implementation Guide.

Identifiers follow from what they identify, and times from the matrix, so that one matrix gives one file: tools then
see what changed, and not that everything did.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final, get_args

from traceability.marks import implements
from traceability.requirements import Kind, Method, SafetyClass, Status
from traceability.rows import HazardRow, LinkVerdict, Matrix, Outcome, RequirementRow, TestRow, UnitRow, Verdict

NAMESPACE: Final = "http://www.omg.org/spec/ReqIF/20110401/reqif.xsd"
XHTML: Final = "http://www.w3.org/1999/xhtml"
TOOL: Final = "medai trace"
WITHOUT_TIME: Final = "1970-01-01T00:00:00Z"
"""LAST-CHANGE must be there; this is what it says where the matrix has no time."""

# XML 1.0 section 2.2: what no document can hold, even escaped.
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)

_Object = RequirementRow | HazardRow | UnitRow | TestRow
_ENUMERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "type": get_args(Kind),
    "safety class": get_args(SafetyClass),
    "verification": get_args(Method),
    "status": get_args(Status),
    "verdict": get_args(Verdict),
    "outcome": get_args(Outcome),
    "link verdict": get_args(LinkVerdict),
}
_STRING, _MARKUP = "string", "text"
# Type of object -> attribute -> its data type: a string, marked-up text, or the name of an enumeration.
_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "Requirement": {
        "ReqIF.ForeignID": _STRING, "ReqIF.Name": _STRING, "ReqIF.Text": _MARKUP, "Criterion": _MARKUP,
        "Type": "type", "Safety class": "safety class", "Verification": "verification", "Status": "status",
        "Verdict": "verdict", "Level": _STRING, "Level demanded": _STRING, "Why": _STRING, "Sources": _STRING,
        "Written in": _STRING,
    },
    "Hazard": {
        "ReqIF.ForeignID": _STRING, "ReqIF.Name": _STRING, "ReqIF.Text": _MARKUP, "Cause": _STRING,
        "Situation": _STRING, "Harm": _STRING, "Severity": _STRING, "Residual": _STRING, "Status": "status",
        "Controlled": _STRING, "Why": _STRING, "Written in": _STRING,
    },
    "Code": {"ReqIF.ForeignID": _STRING, "ReqIF.Name": _STRING, "Language": _STRING, "Written in": _STRING},
    "Test": {"ReqIF.ForeignID": _STRING, "ReqIF.Name": _STRING, "Outcome": "outcome", "Written in": _STRING},
}  # fmt: skip
_RELATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "is child of": {},
    "controls": {},
    "implementation": {"Level": _STRING, "Link verdict": "link verdict", "Why": _STRING, "Review": _STRING},
    "test": {"Level": _STRING, "Link verdict": "link verdict", "Why": _STRING, "Review": _STRING},
    "implication": {"Reason": _STRING},
    "exception": {"Reason": _STRING},
    "todo": {"Reason": _STRING},
}


@implements("REQ-TRC-011")
def text(found: Matrix) -> str:
    """The document. It is valid under OMG's schema, and holds no reference to anything that it does not hold."""
    return "\n".join(('<?xml version="1.0" encoding="UTF-8"?>', *_document(found), ""))


def _document(found: Matrix) -> Iterator[str]:
    time = found.evidence.started_at or WITHOUT_TIME
    yield f'<REQ-IF xmlns="{NAMESPACE}" xmlns:xhtml="{XHTML}">'
    yield f'<THE-HEADER><REQ-IF-HEADER IDENTIFIER="{_id("header", found.project)}">'
    yield "<COMMENT>Requirements, hazards, code, tests and what the tests prove</COMMENT>"
    yield f"<CREATION-TIME>{_escaped(time)}</CREATION-TIME><REPOSITORY-ID>{_escaped(found.project)}</REPOSITORY-ID>"
    yield f"<REQ-IF-TOOL-ID>{TOOL}</REQ-IF-TOOL-ID><REQ-IF-VERSION>1.0</REQ-IF-VERSION>"
    yield f"<SOURCE-TOOL-ID>{TOOL}</SOURCE-TOOL-ID><TITLE>{_escaped(found.project or 'Traceability')}</TITLE>"
    yield "</REQ-IF-HEADER></THE-HEADER>"
    yield "<CORE-CONTENT><REQ-IF-CONTENT>"
    yield from _within("DATATYPES", _data_types(time))
    yield from _within("SPEC-TYPES", _spec_types(time))
    yield from _within("SPEC-OBJECTS", _objects(found, time))
    yield from _within("SPEC-RELATIONS", _relations(found, time))
    yield from _within("SPECIFICATIONS", _specifications(found, time))
    yield "</REQ-IF-CONTENT></CORE-CONTENT></REQ-IF>"


def _within(tag: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"<{tag}>"
    yield from lines
    yield f"</{tag.partition(' ')[0]}>"


# ---- types ----


def _data_types(time: str) -> Iterator[str]:
    yield f'<DATATYPE-DEFINITION-STRING {_identity("data type", _STRING, time)} MAX-LENGTH="32000"/>'
    yield f"<DATATYPE-DEFINITION-XHTML {_identity('data type', _MARKUP, time)}/>"
    for name, values in _ENUMERATIONS.items():
        yield f"<DATATYPE-DEFINITION-ENUMERATION {_identity('data type', name, time)}><SPECIFIED-VALUES>"
        for key, value in enumerate(values):
            yield f"<ENUM-VALUE {_identity(f'value of {name}', value, time)}>"
            yield f'<PROPERTIES><EMBEDDED-VALUE KEY="{key}" OTHER-CONTENT=""/></PROPERTIES></ENUM-VALUE>'
        yield "</SPECIFIED-VALUES></DATATYPE-DEFINITION-ENUMERATION>"


def _spec_types(time: str) -> Iterator[str]:
    for name, attributes in _TYPES.items():
        yield from _within(f"SPEC-OBJECT-TYPE {_identity('type', name, time)}", _definitions(name, attributes, time))
    for name, attributes in _RELATIONS.items():
        kind = f"SPEC-RELATION-TYPE {_identity('relation', name, time)}"
        yield from _within(kind, _definitions(name, attributes, time))
    yield f"<SPECIFICATION-TYPE {_identity('type', 'Specification', time)}/>"


def _definitions(owner: str, attributes: Mapping[str, str], time: str) -> Iterator[str]:
    if not attributes:
        return
    yield "<SPEC-ATTRIBUTES>"
    for name, data_type in attributes.items():
        kind = _kind(data_type)
        several = ' MULTI-VALUED="false"' if kind == "ENUMERATION" else ""
        yield f"<ATTRIBUTE-DEFINITION-{kind} {_identity(f'attribute of {owner}', name, time)}{several}><TYPE>"
        yield f"<DATATYPE-DEFINITION-{kind}-REF>{_id('data type', data_type)}</DATATYPE-DEFINITION-{kind}-REF></TYPE>"
        yield f"</ATTRIBUTE-DEFINITION-{kind}>"
    yield "</SPEC-ATTRIBUTES>"


def _kind(data_type: str) -> str:
    return {_STRING: "STRING", _MARKUP: "XHTML"}.get(data_type, "ENUMERATION")


# ---- objects ----


def _objects(found: Matrix, time: str) -> Iterator[str]:
    every: tuple[_Object, ...] = (*found.requirements, *found.hazards, *found.units, *found.tests)
    for row in every:
        kind, values = _values(row)
        yield f"<SPEC-OBJECT {_identity('object', row.id, time)}>"
        yield from _attributes(kind, _TYPES[kind], values)
        yield f"<TYPE><SPEC-OBJECT-TYPE-REF>{_id('type', kind)}</SPEC-OBJECT-TYPE-REF></TYPE></SPEC-OBJECT>"


def _values(row: _Object) -> tuple[str, dict[str, str]]:
    told = {"ReqIF.ForeignID": row.id, "Written in": f"{row.file}:{row.line}"}
    match row:
        case RequirementRow():
            sources = "; ".join(f"{source.kind}: {source.text}" for source in row.sources)
            return "Requirement", told | {
                "ReqIF.Name": row.title, "ReqIF.Text": row.text, "Criterion": row.criterion, "Type": row.type,
                "Safety class": row.safety_class, "Verification": row.verification, "Status": row.status,
                "Verdict": row.verdict, "Level": _level(row.level), "Level demanded": _level(row.demanded),
                "Why": row.why, "Sources": sources,
            }  # fmt: skip
        case HazardRow():
            return "Hazard", told | {
                "ReqIF.Name": row.title, "ReqIF.Text": row.hazard, "Cause": row.cause, "Situation": row.situation,
                "Harm": row.harm, "Severity": row.severity, "Residual": row.residual, "Status": row.status,
                "Controlled": "yes" if row.controlled else "no", "Why": row.why,
            }  # fmt: skip
        case UnitRow():
            return "Code", told | {"ReqIF.Name": row.name, "Language": row.language}
        case TestRow():
            return "Test", told | {"ReqIF.Name": row.name, "Outcome": row.outcome}


def _attributes(owner: str, types: Mapping[str, str], values: Mapping[str, str]) -> Iterator[str]:
    yield "<VALUES>"
    for name, value in values.items():
        if value:
            yield _attribute(owner, name, types[name], value)
    yield "</VALUES>"


def _attribute(owner: str, name: str, data_type: str, value: str) -> str:
    kind = _kind(data_type)
    reference = (
        f"<ATTRIBUTE-DEFINITION-{kind}-REF>{_id(f'attribute of {owner}', name)}</ATTRIBUTE-DEFINITION-{kind}-REF>"
    )
    definition = f"<DEFINITION>{reference}</DEFINITION>"
    if kind == "STRING":
        return f'<ATTRIBUTE-VALUE-STRING THE-VALUE="{_escaped(value)}">{definition}</ATTRIBUTE-VALUE-STRING>'
    if kind == "XHTML":
        markup = f"<THE-VALUE><xhtml:div>{_escaped(value)}</xhtml:div></THE-VALUE>"
        return f"<ATTRIBUTE-VALUE-XHTML>{definition}{markup}</ATTRIBUTE-VALUE-XHTML>"
    chosen = f"<VALUES><ENUM-VALUE-REF>{_id(f'value of {data_type}', value)}</ENUM-VALUE-REF></VALUES>"
    return f"<ATTRIBUTE-VALUE-ENUMERATION>{chosen}{definition}</ATTRIBUTE-VALUE-ENUMERATION>"


# ---- relations ----


def _relations(found: Matrix, time: str) -> Iterator[str]:
    there = {row.id for row in found.requirements} | {row.id for row in found.hazards}
    for row in found.requirements:
        if row.parent in there:
            yield from _relation("is child of", row.id, str(row.parent), {}, time)
    for hazard in found.hazards:
        for control in hazard.controls:
            if control in there:
                yield from _relation("controls", control, hazard.id, {}, time)
    cited = there | {row.id for row in found.units} | {row.id for row in found.tests}
    for link in found.links:
        if link.requirement in there and link.target in cited:
            told = {"Reason": link.reason}
            if link.kind in ("implementation", "test"):
                told = {"Level": _level(link.level), "Link verdict": link.verdict, "Why": link.why}
                told["Review"] = " ".join((link.review.status, link.review.reviewer, *link.review.moved)).strip()
            yield from _relation(link.kind, link.target, link.requirement, told, time)


def _relation(kind: str, source: str, target: str, values: Mapping[str, str], time: str) -> Iterator[str]:
    yield f"<SPEC-RELATION {_bare('relation of', f'{kind} {source} {target}', time)}>"
    if values:
        yield from _attributes(kind, _RELATIONS[kind], values)
    yield f"<SOURCE><SPEC-OBJECT-REF>{_id('object', source)}</SPEC-OBJECT-REF></SOURCE>"
    yield f"<TARGET><SPEC-OBJECT-REF>{_id('object', target)}</SPEC-OBJECT-REF></TARGET>"
    yield f"<TYPE><SPEC-RELATION-TYPE-REF>{_id('relation', kind)}</SPEC-RELATION-TYPE-REF></TYPE></SPEC-RELATION>"


# ---- specifications ----


def _specifications(found: Matrix, time: str) -> Iterator[str]:
    below: dict[str, list[str]] = {}
    there = {row.id for row in found.requirements}
    for row in found.requirements:
        if row.parent in there:
            below.setdefault(str(row.parent), []).append(row.id)
    roots = [row.id for row in found.requirements if row.parent not in there]
    yield from _specification("Requirements", _hierarchy("Requirements", roots, below, time), time)
    hazards = [row.id for row in found.hazards]
    yield from _specification("Hazards", _hierarchy("Hazards", hazards, {}, time), time)
    evidence = [row.id for row in found.units] + [row.id for row in found.tests]
    yield from _specification("Code and tests", _hierarchy("Code and tests", evidence, {}, time), time)


def _specification(name: str, children: Iterable[str], time: str) -> Iterator[str]:
    yield f"<SPECIFICATION {_identity('specification', name, time)}>"
    yield f"<TYPE><SPECIFICATION-TYPE-REF>{_id('type', 'Specification')}</SPECIFICATION-TYPE-REF></TYPE>"
    yield from _within("CHILDREN", children)
    yield "</SPECIFICATION>"


def _hierarchy(within: str, ids: Iterable[str], below: Mapping[str, list[str]], time: str) -> Iterator[str]:
    """Each id once, its children below it; ids whose parents run in a circle hang below none and are left out."""
    for name in ids:
        yield f"<SPEC-HIERARCHY {_bare(f'place in {within}', name, time)}>"
        yield f"<OBJECT><SPEC-OBJECT-REF>{_id('object', name)}</SPEC-OBJECT-REF></OBJECT>"
        if name in below:
            yield from _within("CHILDREN", _hierarchy(within, below[name], below, time))
        yield "</SPEC-HIERARCHY>"


# ---- text ----


def _identity(kind: str, name: str, time: str) -> str:
    return f'{_bare(kind, name, time)} LONG-NAME="{_escaped(name)}"'


def _bare(kind: str, name: str, time: str) -> str:
    return f'IDENTIFIER="{_id(kind, name)}" LAST-CHANGE="{_escaped(time)}"'


def _id(kind: str, name: str) -> str:
    """An xsd:ID, the same whenever the same thing is meant."""
    return "_" + sha256(f"{kind}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _level(level: int | None) -> str:
    return "" if level is None else f"L{level}"


def _escaped(value: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", value).translate(_ENTITIES)
