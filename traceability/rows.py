"""The rows of the matrix: requirements, hazards, units of code, tests, the links between them, and findings.

Every row says where it stands (`file`, `line`), so that a gap can be opened in an editor. Nothing here is a float: a
share is two integers, a duration is in microseconds.
"""

from typing import Final, Literal

from msgspec import Struct

from traceability.requirements import Kind, Method, SafetyClass, Source, SourceKind, Status

FORMAT: Final = "medai.matrix/1"

Level = Literal[0, 1, 2, 3, 4]
"""0 linked; 1 every claiming test passed; 2 they ran the code; 3 they ran its branches; 4 they kill its mutants."""

CitationKind = Literal["implementation", "test", "implication", "exception", "todo"]
LinkVerdict = Literal["reached", "below", "disproved", "unavailable", "retired", "stated"]
"""`reached` the level that the class demands; `below` it; `disproved`: the claiming test passed and the code never ran;
`unavailable`: the evidence for the next level could not be had; `retired`: it cites what is no longer asked;
`stated`: an implication, an exception or a todo, which has no level."""
Verdict = Literal["proved", "open", "failed", "unavailable", "excepted", "implied", "recorded", "retired"]
Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "retried", "not_run"]
UnitKind = Literal["function", "method", "class", "constant", "module", "block"]
Severity = Literal["fail", "note"]
ReviewStatus = Literal["not_reviewed", "reviewed", "suspect"]


class Share(Struct, frozen=True, kw_only=True):
    """`count` of `total`."""

    count: int
    total: int


class Mutants(Struct, frozen=True, kw_only=True):
    """What the claiming tests, alone, did with the mutants of a unit."""

    total: int
    """How many there are."""
    tried: int
    """How many were run before the time was used up."""
    killed: int
    survivors: tuple[str, ...]
    """Each as `FILE:LINE: what was changed`."""
    exhausted: bool
    """Whether the time was used up before all were tried."""


class Review(Struct, frozen=True, kw_only=True):
    """What a person has said about a link; `moved` names what has changed since."""

    status: ReviewStatus = "not_reviewed"
    reviewer: str = ""
    reviewed_at: str = ""
    meaning: str = ""
    moved: tuple[str, ...] = ()


NOT_REVIEWED: Final = Review()


class Link(Struct, frozen=True, kw_only=True):
    """One citation of a requirement, by code or by a test, and how far it is proved."""

    requirement: str
    kind: CitationKind
    target: str
    """The id of the unit or test that cites: `FILE::NAME`."""
    file: str
    line: int
    """Where the mark stands."""
    level: Level | None
    """The highest level of which all below are reached too; None for what is only stated."""
    demanded: Level | None
    verdict: LinkVerdict
    why: str
    """What keeps it from the next level; empty where it has the highest."""
    partners: tuple[str, ...] = ()
    """For code: the claiming tests that ran it in their run phase. For a test: the units that it ran."""
    branches: Share | None = None
    mutants: Mutants | None = None
    reason: str = ""
    """The words of an implication, an exception or a todo."""
    owner: str = ""
    due: str = ""
    review: Review = NOT_REVIEWED


class UnitRow(Struct, frozen=True, kw_only=True):
    """A piece of code that cites a requirement."""

    id: str
    file: str
    line: int
    last_line: int
    name: str
    kind: UnitKind
    language: str
    executable: bool
    """Whether coverage can see it run: a function or a class with a body that does something."""
    fingerprint: str
    """SHA-256 over its syntax without docstrings and comments, with the constants that it reads."""


class TestNode(Struct, frozen=True, kw_only=True):
    """One run of a test: a test function has one for each of its parameters."""

    node: str
    outcome: Outcome
    duration_us: int
    reason: str = ""


class TestRow(Struct, frozen=True, kw_only=True):
    """A test function that claims to verify requirements; its outcome is the worst of its nodes'."""

    id: str
    file: str
    line: int
    last_line: int
    name: str
    outcome: Outcome
    nodes: tuple[TestNode, ...]
    fingerprint: str
    """SHA-256 over its syntax, and over the fixtures, functions and constants of its file that it uses."""


class RequirementRow(Struct, frozen=True, kw_only=True):
    """A requirement with what was found of it."""

    id: str
    title: str
    text: str
    criterion: str
    type: Kind
    safety_class: SafetyClass
    verification: Method
    sources: tuple[Source, ...]
    parent: str | None
    record: str | None
    status: Status
    file: str
    line: int
    fingerprint: str
    level: Level | None
    """The lowest level of its implementation and test links; None where either is missing."""
    demanded: Level | None
    """What its class demands; None where it is not verified by test."""
    verdict: Verdict
    why: str
    units: tuple[str, ...]
    tests: tuple[str, ...]
    hazards: tuple[str, ...]
    children: tuple[str, ...]


class HazardRow(Struct, frozen=True, kw_only=True):
    """A hazard; `controlled` where every one of its risk controls is verified as its class demands."""

    id: str
    title: str
    hazard: str
    cause: str
    harm: str
    situation: str
    severity: str
    residual: str
    controls: tuple[str, ...]
    status: Status
    file: str
    line: int
    fingerprint: str
    controlled: bool
    why: str


class OriginRow(Struct, frozen=True, kw_only=True):
    """An entry of the project's catalogue of sources, which requirements cite by its id."""

    id: str
    kind: SourceKind
    title: str
    document: str
    edition: str
    read: str
    file: str
    line: int


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is not as it should be: where, what, and what to do."""

    code: str
    severity: Severity
    subject: str
    """The id of the requirement, hazard, unit or test that it is about."""
    file: str
    line: int
    text: str
    remedy: str


class Coverage(Struct, frozen=True, kw_only=True):
    """Whether it is known which test ran which line; where not, no link is above level 1, and `why` says so."""

    available: bool
    why: str = ""


class Evidence(Struct, frozen=True, kw_only=True):
    """From which test run the matrix was made."""

    started_at: str
    complete: bool
    """Whether the whole suite was asked for, rather than a part of it."""
    coverage: Coverage
    environment: dict[str, str]
    tests_run: int
    duration_us: int


class ClassSummary(Struct, frozen=True, kw_only=True):
    """The active requirements of one safety class that are verified by test."""

    safety_class: SafetyClass
    demanded: Level
    requirements: int
    proved: int
    levels: tuple[int, int, int, int, int]
    """How many have reached exactly level 0, 1, 2, 3, 4."""
    unlinked: int


class Summary(Struct, frozen=True, kw_only=True):
    """The numbers on the first page."""

    requirements: int
    retired: int
    hazards: int
    hazards_controlled: int
    units: int
    tests: int
    links: int
    verdicts: dict[str, int]
    classes: tuple[ClassSummary, ...]
    findings: dict[str, int]
    failing: int
    """Findings of severity `fail`: the gate is open where there are none."""
    reviews_open: int


class Matrix(Struct, frozen=True, kw_only=True):
    """Everything that is known, in one value."""

    project: str
    evidence: Evidence
    requirements: tuple[RequirementRow, ...]
    hazards: tuple[HazardRow, ...]
    units: tuple[UnitRow, ...]
    tests: tuple[TestRow, ...]
    links: tuple[Link, ...]
    findings: tuple[Finding, ...]
    summary: Summary
    origins: tuple[OriginRow, ...] = ()
    format: str = FORMAT
