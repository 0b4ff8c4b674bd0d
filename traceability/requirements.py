"""Requirements and hazards: what a file of them holds, and reading one.

A file is TOML: `format = "medai.requirements/1"`, then `[[requirement]]`, `[[hazard]]` and `[[source]]` tables whose
members are those of `Requirement`, `Hazard` and `Origin` below. `parse` takes text and reads no file. Whatever is wrong
is said with the line and with what to write instead; all faults of a file are said at once.
"""

import re
import tomllib
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from traceability import toml_lines
from traceability.errors import RequirementInvalid
from traceability.marks import implements

FORMAT: Final = "medai.requirements/1"

SafetyClass = Literal["A", "B", "C"]  # IEC 62304:2006+A1:2015, 4.3
Method = Literal["test", "inspection", "analysis", "demonstration"]
Kind = Literal[
    "functional", "performance", "interface", "data", "safety", "security", "usability", "operation", "regulatory"
]
Status = Literal["active", "retired"]
HarmSeverity = Literal["negligible", "minor", "serious", "critical", "catastrophic"]
SourceKind = Literal["need", "clause", "specification", "hazard", "issue"]

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.~-]{1,99}$")]
Sentence = Annotated[str, Meta(min_length=3, max_length=4_000)]


class Origin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the catalogue of sources, which requirements cite by `id`; a project may do without a catalogue."""

    id: Annotated[str, Meta(pattern=r"^\S[^\r\n]{0,98}\S$")]
    kind: SourceKind
    title: Sentence
    """What it asks for, in one's own words."""
    document: Sentence
    edition: str = ""
    read: str = ""
    """Whether the text itself was read, and how."""
    file: str = ""
    line: int = 0


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a requirement comes from; exactly one member is given: `{ clause = "..." }`."""

    need: str | None = None
    clause: str | None = None
    specification: str | None = None
    hazard: str | None = None
    issue: str | None = None

    @property
    def kind(self) -> SourceKind:
        return next(kind for kind in get_args(SourceKind) if getattr(self, kind) is not None)

    @property
    def text(self) -> str:
        return str(getattr(self, self.kind))


class Requirement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement. `id` never changes and is never given to another one; what is not needed is `retired`."""

    id: Identifier
    title: Sentence
    text: Sentence
    """What the product shall do, in one sentence with "shall"."""
    criterion: Sentence
    """By which observation it is accepted."""
    type: Kind
    safety_class: SafetyClass
    verification: Method
    sources: tuple[Source, ...]
    parent: Identifier | None = None
    record: str | None = None
    """For inspection, analysis and demonstration: the file in the tree that holds the record of it."""
    status: Status = "active"
    replaced_by: Identifier | None = None
    file: str = ""
    """Set by `parse`, as is `line`: where it is written."""
    line: int = 0


class Hazard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the risk analysis (ISO 14971): what may harm, by which cause, and which requirements control it."""

    id: Identifier
    title: Sentence
    hazard: Sentence
    cause: Sentence
    situation: Sentence | None = None
    """The hazardous situation: how somebody comes to be exposed to the hazard."""
    harm: Sentence
    severity: HarmSeverity | None = None
    controls: tuple[Identifier, ...]
    """The requirements that are its risk controls; it is controlled where each of them is verified."""
    residual: Sentence | None = None
    """What the controls leave."""
    status: Status = "active"
    file: str = ""
    line: int = 0


_Item = TypeVar("_Item", Requirement, Hazard, Origin)


class Document(Struct, frozen=True, kw_only=True):
    """What one file holds."""

    requirements: tuple[Requirement, ...]
    hazards: tuple[Hazard, ...]
    origins: tuple[Origin, ...] = ()


class Requirements(Struct, frozen=True, kw_only=True):
    """All requirements and hazards of a project, in the order of files and lines."""

    requirements: tuple[Requirement, ...]
    hazards: tuple[Hazard, ...]
    origins: tuple[Origin, ...]

    def ids(self) -> frozenset[str]:
        return frozenset(requirement.id for requirement in self.requirements)

    def retired(self) -> frozenset[str]:
        return frozenset(requirement.id for requirement in self.requirements if requirement.status == "retired")


REMEDIES: Final[dict[str, str]] = {
    "id": 'an id that never changes, such as id = "REQ-LED-001"',
    "title": 'a short name, such as title = "Answers carry a receipt"',
    "text": 'one sentence with "shall", such as text = "The service shall ..."',
    "criterion": 'what is observed when it is met, such as criterion = "..."',
    "type": f"one of {', '.join(get_args(Kind))}",
    "safety_class": 'the class of IEC 62304: safety_class = "A", "B" or "C"',
    "verification": 'verification = "test", "inspection", "analysis" or "demonstration"',
    "sources": 'where it comes from: sources = [{ clause = "..." }], or need, specification, hazard, issue',
    "parent": 'the id of the requirement above it, or no "parent" at all',
    "record": "the path of the record of the inspection, analysis or demonstration",
    "status": 'status = "active" or "retired"',
    "replaced_by": "the id of the requirement that takes its place",
    "kind": f"one of {', '.join(get_args(SourceKind))}",
    "document": "the name of the document, such as that of a standard, and where in it",
    "edition": "which edition of the document",
    "read": "whether the text itself was read",
    "hazard": "what may harm somebody",
    "cause": "by what it comes to pass",
    "situation": "how somebody comes to be exposed to it",
    "harm": "what happens to whom",
    "severity": f"how bad the harm is, one of {', '.join(get_args(HarmSeverity))}",
    "residual": "what the controls leave",
    "controls": 'the requirements that control it: controls = ["REQ-..."]',
}


_TABLES: Final[dict[type, str]] = {Requirement: "requirement", Hazard: "hazard", Origin: "source"}


@implements("REQ-TRC-001")
def parse(text: str, file: str) -> Document:
    """What `text`, the content of `file`, holds. Raises `RequirementInvalid` with one line for each fault."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequirementInvalid(f"{file}:{_decode_line(error)}: not TOML: {error}") from error
    faults: list[str] = []
    if content.pop("format", None) != FORMAT:
        faults.append(f'{file}:1: the format is not known: write format = "{FORMAT}" first')
    places = toml_lines.tables(text)
    requirements = _read(content.pop("requirement", []), Requirement, places.get("requirement", []), file, faults)
    hazards = _read(content.pop("hazard", []), Hazard, places.get("hazard", []), file, faults)
    origins = _read(content.pop("source", []), Origin, places.get("source", []), file, faults)
    for name in content:
        line = toml_lines.first(text, name)
        faults.append(
            f"{file}:{line}: {name!r} is not known here: write [[requirement]], [[hazard]] or [[source]] tables"
        )
    if faults:
        raise RequirementInvalid("\n".join(faults))
    return Document(requirements=requirements, hazards=hazards, origins=origins)


def _decode_line(error: tomllib.TOMLDecodeError) -> int:
    found = re.search(r"at line (\d+)", str(error))
    return int(found.group(1)) if found else 1


def _read(
    tables: Any, item: type[_Item], places: list[toml_lines.Table], file: str, faults: list[str]
) -> tuple[_Item, ...]:
    if not isinstance(tables, list) or len(tables) != len(places):
        line = places[0].line if places else 1
        faults.append(f"{file}:{line}: write each as a table of its own, under [[{_TABLES[item]}]]")
        return ()
    read = []
    for table, place in zip(tables, places, strict=True):
        try:
            read.append(msgspec.convert({**table, "file": file, "line": place.line}, item))
        except msgspec.ValidationError as error:
            faults.append(_fault(str(error), file, place, item))
            continue
        faults += _meaning(read[-1], place)
    return tuple(read)


def _fault(said: str, file: str, place: toml_lines.Table, item: type[Struct]) -> str:
    """What msgspec said, at the member's own line, with what to write there."""
    named = re.search(r"(?:field|\$\.)\s*`?(\w+)", said)
    member = named.group(1) if named else ""
    known = [name for name in item.__struct_fields__ if name not in ("file", "line")]
    remedy = f"write {REMEDIES[member]}" if member in known else f"the members are {', '.join(known)}"
    return f"{file}:{place.members.get(member, place.line)}: {said}: {remedy}"


def _meaning(item: Requirement | Hazard | Origin, place: toml_lines.Table) -> list[str]:
    """What the types alone do not say."""
    wrong: list[tuple[str, str]] = []
    if isinstance(item, Requirement):
        if "shall" not in item.text.split():
            wrong.append(("text", f'{item.id} says nothing that "shall" be'))
        if not item.sources or any(_given(source) != 1 for source in item.sources):
            wrong.append(("sources", f"{item.id} needs at least one source, each of one kind"))
        if item.record is not None and item.verification == "test":
            wrong.append(
                ("record", f"{item.id} is verified by test, so that its record is made by the tests: remove it")
            )
        if item.replaced_by is not None and item.status == "active":
            wrong.append(("status", f"{item.id} is replaced and yet active"))
    elif isinstance(item, Hazard) and not item.controls and item.status == "active":
        wrong.append(("controls", f"{item.id} has no risk control"))
    return [
        f"{item.file}:{place.members.get(name, place.line)}: {said}: write {REMEDIES[name]}" for name, said in wrong
    ]


def _given(source: Source) -> int:
    return sum(value is not None for value in msgspec.structs.astuple(source))
