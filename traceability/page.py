"""The matrix as one HTML page that needs nothing else: no network, no server, no other file.

Its rows are plain HTML, so that it can be read, searched and printed by any browser; scripts add filters and the way
from a hazard to the result of a test. What is shown of one thing comes from the canonical JSON within the page. Its
policy lets the one script and the one style sheet run that are in it, by their digests, and nothing be fetched.
"""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from traceability import matrix
from traceability.marks import implements
from traceability.rows import (
    ClassSummary,
    HazardRow,
    Level,
    Link,
    Matrix,
    OriginRow,
    RequirementRow,
    TestRow,
    UnitRow,
)

_FOLDER: Final = Path(__file__).resolve().parent / "templates"
GOOD: Final = frozenset({"proved", "recorded", "excepted", "implied"})
_TONES: Final = {
    **dict.fromkeys(("proved", "passed", "recorded", "controlled", "reviewed"), "good"),
    **dict.fromkeys(("failed", "error", "xpassed", "fail", "uncontrolled", "suspect"), "bad"),
    **dict.fromkeys(("open", "unavailable", "skipped", "xfailed", "retried", "not_run"), "warn"),
    **dict.fromkeys(("excepted", "implied"), "calm"),
}
_BAR: Final = 1000
_PACKAGE: Final = "package:"
"""How a test run calls an installed distribution among what it says of its environment."""
_UNRESERVED: Final = "/!'()*"  # what JavaScript's encodeURIComponent leaves alone besides letters, digits and "-_.~"


class _Requirement(Struct, frozen=True, kw_only=True):
    id: str
    row: RequirementRow
    passed: int
    reviewed: int
    reviewable: int


class _Hazard(Struct, frozen=True, kw_only=True):
    row: HazardRow
    verified: int
    verdict: str


class _Unit(Struct, frozen=True, kw_only=True):
    row: UnitRow
    requirements: tuple[str, ...]
    level: Level | None
    demanded: Level | None
    ran: int


class _Test(Struct, frozen=True, kw_only=True):
    row: TestRow
    requirements: tuple[str, ...]


class _Source(Struct, frozen=True, kw_only=True):
    id: str
    kind: str
    title: str
    document: str
    edition: str
    read: str
    requirements: tuple[str, ...]


class _Part(Struct, frozen=True, kw_only=True):
    """A stretch of a class's bar."""

    tone: str
    x: int
    width: int
    title: str


@implements("REQ-TRC-010")
def text(found: Matrix) -> str:
    """The page. The same matrix gives the same bytes."""
    body = matrix.encode(found)
    style, script = _asset("matrix.css"), _asset("matrix.js")
    by_requirement, by_target = _grouped(found.links)
    active = [row for row in found.requirements if row.status == "active"]
    rows = _requirements(found, by_requirement)
    hazards = _hazards(found)
    sources = _sources(found)
    environment, packages = _environment(found)
    page: str = _template().render(
        environment=environment, packages=packages,
        m=found, s=found.summary, good=sum(row.verdict in GOOD for row in active), rows=rows, hazards=hazards,
        units=[_unit(row, by_target.get(row.id, [])) for row in found.units],
        tests=[_Test(row=row, requirements=_cited(by_target.get(row.id, []))) for row in found.tests],
        sources=sources,
        findings=sorted(enumerate(found.findings), key=lambda numbered: numbered[1].severity != "fail"),
        known=_known(found), tabs=_tabs(found, sources), choices=_choices(found, hazards),
        style=style, style_hash=_policy_hash(style), script=script, script_hash=_policy_hash(script),
        # Only `<` could end a script element or begin a comment in one (HTML, "Restrictions for contents of script").
        json=body.decode("utf-8").replace("<", "\\u003c"), digest=sha256(body).hexdigest(),
    )  # fmt: skip
    return page


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, auto_reload=False,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals.update(
        address=_address,
        place=_place,
        tone=_tone,
        words=_words,
        sentence=_sentence,
        seconds=_seconds,
        bar=_bar,
        told_levels=_told_levels,
    )
    return environment.get_template("matrix.html.j2")


@lru_cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _policy_hash(inline: str) -> str:
    """Content Security Policy, level 3, 2.3.1: a hash-source."""
    return "sha256-" + base64.b64encode(sha256(inline.encode("utf-8")).digest()).decode("ascii")


# ---- what the template is given ----


def _grouped(links: Sequence[Link]) -> tuple[dict[str, list[Link]], dict[str, list[Link]]]:
    by_requirement: dict[str, list[Link]] = {}
    by_target: dict[str, list[Link]] = {}
    for link in links:
        by_requirement.setdefault(link.requirement, []).append(link)
        by_target.setdefault(link.target, []).append(link)
    return by_requirement, by_target


def _requirements(found: Matrix, by_requirement: dict[str, list[Link]]) -> list[_Requirement]:
    passed = {row.id for row in found.tests if row.outcome == "passed"}
    made = []
    for row in found.requirements:
        links = [link for link in by_requirement.get(row.id, ()) if link.kind in ("implementation", "test")]
        made.append(
            _Requirement(
                id=row.id,
                row=row,
                passed=sum(name in passed for name in row.tests),
                reviewed=sum(link.review.status == "reviewed" for link in links),
                reviewable=len(links),
            )
        )
    return made


def _hazards(found: Matrix) -> list[_Hazard]:
    verdicts = {row.id: row.verdict for row in found.requirements}
    return [
        _Hazard(
            row=row,
            verified=sum(verdicts.get(name) in GOOD for name in row.controls),
            verdict="retired" if row.status == "retired" else "controlled" if row.controlled else "uncontrolled",
        )
        for row in found.hazards
    ]


def _unit(row: UnitRow, links: Sequence[Link]) -> _Unit:
    judged = [link for link in links if link.kind == "implementation"]
    levels = [link.level for link in judged if link.level is not None]
    demanded = [link.demanded for link in judged if link.demanded is not None]
    return _Unit(
        row=row,
        requirements=_cited(links),
        level=min(levels, default=None),
        demanded=max(demanded, default=None),
        ran=len({name for link in judged for name in link.partners}),
    )


def _cited(links: Sequence[Link]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(link.requirement for link in links))


def _sources(found: Matrix) -> list[_Source]:
    """The catalogue, and after it whatever else requirements name as a source; hazards have their own list."""
    cited: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for row in found.requirements:
        for source in row.sources:
            if source.kind != "hazard":
                cited.setdefault(source.text, []).append(row.id)
                kinds[source.text] = source.kind
    known = {row.id: row for row in found.origins}
    free = (
        OriginRow(id=name, kind=found_kind, title="", document="", edition="", read="", file="", line=0)  # type: ignore[arg-type]  # the kind of a source is one of an origin
        for name, found_kind in kinds.items()
        if name not in known
    )
    return [
        _Source(
            id=row.id, kind=row.kind, title=row.title, document=row.document, edition=row.edition, read=row.read,
            requirements=tuple(cited.get(row.id, ())),
        )
        for row in (*found.origins, *free)
    ]  # fmt: skip


def _environment(found: Matrix) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What the tests were run with: the few things that the head names, and the packages."""
    items = sorted(found.evidence.environment.items())
    packages = [(name.removeprefix(_PACKAGE), value) for name, value in items if name.startswith(_PACKAGE)]
    return [item for item in items if not item[0].startswith(_PACKAGE)], packages


def _known(found: Matrix) -> dict[str, str]:
    """What an id is the id of, for links."""
    return {
        **{row.id: "test" for row in found.tests},
        **{row.id: "code" for row in found.units},
        **{row.id: "hazard" for row in found.hazards},
        **{row.id: "requirement" for row in found.requirements},
    }


def _tabs(found: Matrix, sources: Sequence[_Source]) -> list[tuple[str, str, int]]:
    return [
        ("requirements", "Requirements", len(found.requirements)),
        ("hazards", "Hazards", len(found.hazards)),
        ("code", "Code", len(found.units)),
        ("tests", "Tests", len(found.tests)),
        ("findings", "Findings", len(found.findings)),
        ("sources", "Sources", len(sources)),
    ]


def _choices(found: Matrix, hazards: Sequence[_Hazard]) -> list[tuple[str, str, list[str], str]]:
    """Attribute of the rows, what no choice is called, the values there are, and in which list."""
    given: list[tuple[str, str, set[str], str]] = [
        ("class", "Any class", {str(row.safety_class) for row in found.requirements}, "requirements"),
        ("verdict", "Any verdict", {str(row.verdict) for row in found.requirements}, "requirements"),
        ("method", "Any method", {str(row.verification) for row in found.requirements}, "requirements"),
        ("control", "Controlled or not", {row.verdict for row in hazards}, "hazards"),
        ("outcome", "Any outcome", {str(row.outcome) for row in found.tests}, "tests"),
        ("severity", "Findings and notes", {str(one.severity) for one in found.findings}, "findings"),
        ("code", "Any kind", {one.code for one in found.findings}, "findings"),
    ]
    return [(name, title, sorted(values), where) for name, title, values, where in given if len(values) > 1]


def _bar(row: ClassSummary) -> Iterator[_Part]:
    """How many requirements of a class have reached which level, as parts of a bar; the least proved come first."""
    counts = [("fn", row.unlinked, "not linked"), *((f"f{at}", row.levels[at], f"L{at}") for at in range(5))]
    total = sum(count for _, count, _ in counts) or 1
    done = 0
    for tone, count, name in counts:
        if count:
            start, end = done * _BAR // total, (done + count) * _BAR // total
            yield _Part(tone=tone, x=start, width=end - start, title=f"{count} at {name}")
            done += count


def _told_levels(row: ClassSummary) -> str:
    counts = Counter({"not linked": row.unlinked} | {f"L{at}": row.levels[at] for at in range(5)})
    return ", ".join(f"{count} at {name}" for name, count in counts.items() if count)


def _address(kind: str, name: str) -> str:
    return f"{kind}/{quote(name, safe=_UNRESERVED)}"


def _place(file: str, line: int) -> Markup:
    """Where something is written; a long path may break after a stroke."""
    told = f"{file}:{line}" if line else file
    return Markup("/<wbr>").join(told.split("/"))  # what is joined is escaped, the constant alone is not


def _tone(word: str) -> str:
    return _TONES.get(word, "")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _sentence(name: str) -> str:
    """A test's name as the sentence that it is: `TestX.test_it_holds` is `TestX: it holds`."""
    return ": ".join(_words(part.removeprefix("test_")) for part in name.split("."))


def _seconds(duration_us: int) -> str:
    return f"{duration_us / 1_000_000:.1f} s"
