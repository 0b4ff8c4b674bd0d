"""What changed between two matrices: between two releases, or between a branch and what it is to be merged into.

found = between(old, new)      pure: what was added, what is gone, what moved, and what it now is
text(found, "markdown")        for people; "plain" for a terminal
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from traceability import markdown
from traceability.marks import implements
from traceability.rows import Finding, Level, Link, Matrix, RequirementRow

FORMAT: Final = "medai.matrix-difference/1"

What = Literal["requirement", "hazard", "code", "test", "link", "finding"]
How = Literal[
    "added",
    "removed",
    "retired",
    "text",
    "moved",
    "verdict",
    "level",
    "demanded",
    "outcome",
    "suspect",
    "reviewed",
    "controlled",
    "uncontrolled",
]


class Change(Struct, frozen=True, kw_only=True):
    """One thing that is not as it was. `worse` where what was proved, passed or controlled is so no more."""

    what: What
    how: How
    subject: str
    """The id of what changed; of a link, `REQUIREMENT <- TARGET`."""
    old: str = ""
    new: str = ""
    worse: bool = False


class Difference(Struct, frozen=True, kw_only=True):
    """All changes, by what changed, how, and the subject's id."""

    old: str
    """The project and when the tests of the old matrix were run."""
    new: str
    changes: tuple[Change, ...]
    format: str = FORMAT

    @property
    def worse(self) -> int:
        return sum(change.worse for change in self.changes)


_GOOD: Final = frozenset({"proved", "recorded", "excepted", "implied"})
_WRITTEN: Final = (
    "title", "text", "criterion", "type", "safety_class", "verification", "sources", "parent", "record",
)  # fmt: skip
_WHATS: Final[tuple[What, ...]] = ("requirement", "hazard", "code", "test", "link", "finding")
_TITLES: Final[Mapping[What, str]] = {
    "requirement": "Requirements",
    "hazard": "Hazards",
    "code": "Code",
    "test": "Tests",
    "link": "Links",
    "finding": "Findings",
}


@implements("REQ-TRC-012")
def between(old: Matrix, new: Matrix) -> Difference:
    """What changed from `old` to `new`."""
    changes = [
        *_requirements(old, new),
        *_hazards(old, new),
        *_code(old, new),
        *_tests(old, new),
        *_links(old, new),
        *_findings(old, new),
    ]
    changes.sort(key=lambda change: (_WHATS.index(change.what), change.subject, change.how))
    return Difference(old=_named(old), new=_named(new), changes=tuple(changes))


@implements("REQ-TRC-012")
def text(found: Difference, form: Literal["plain", "markdown"]) -> str:
    """`found` in words, what is worse first. The same for the same two matrices."""
    head = f"{len(found.changes)} changes, {found.worse} for the worse"
    names = (f"from  {found.old}", f"to    {found.new}")
    if form == "plain":
        lines = [f"{_mark(change)} {change.what:<11} {change.how:<12} {_told(change)}" for change in _ordered(found)]
        return "\n".join([*names, head, *lines]) + "\n"
    parts = [f"**{head}**, from {markdown.escaped(found.old)} to {markdown.escaped(found.new)}"]
    for what in _WHATS:
        of_it = [change for change in _ordered(found) if change.what == what]
        if of_it:
            cells = [(_mark(change), change.how, markdown.code(change.subject), _became(change)) for change in of_it]
            parts.append(f"#### {_TITLES[what]}\n\n{markdown.table(('', 'what', 'which', 'from, to'), cells)}")
    return "\n\n".join(parts) + "\n"


def _ordered(found: Difference) -> list[Change]:
    return sorted(found.changes, key=lambda change: not change.worse)  # the sort is stable


def _mark(change: Change) -> str:
    return "!" if change.worse else " "


def _told(change: Change) -> str:
    return f"{change.subject}: {change.old} -> {change.new}" if change.old or change.new else change.subject


def _became(change: Change) -> str:
    return markdown.escaped(f"{change.old} → {change.new}") if change.old or change.new else ""


def _named(found: Matrix) -> str:
    return " ".join(part for part in (found.project, found.evidence.started_at) if part)


def _present(
    what: What, old: Mapping[str, Any], new: Mapping[str, Any], *, lost_is_worse: Literal["yes", "no"]
) -> list[Change]:
    added = [Change(what=what, how="added", subject=name) for name in new.keys() - old.keys()]
    gone = old.keys() - new.keys()
    return added + [Change(what=what, how="removed", subject=name, worse=lost_is_worse == "yes") for name in gone]


def _requirements(old: Matrix, new: Matrix) -> list[Change]:
    before, after = ({row.id: row for row in found.requirements} for found in (old, new))
    changes = _present("requirement", before, after, lost_is_worse="yes")
    for name in before.keys() & after.keys():
        changes += _requirement(before[name], after[name])
    return changes


def _requirement(old: RequirementRow, new: RequirementRow) -> list[Change]:
    changes = []
    if old.status == "active" and new.status == "retired":
        changes.append(Change(what="requirement", how="retired", subject=new.id))
    moved = [name for name in _WRITTEN if _differs(old, new, name)]
    if moved or old.fingerprint != new.fingerprint:
        changes.append(Change(what="requirement", how="text", subject=new.id, new=", ".join(moved)))
    if old.demanded != new.demanded:
        changes.append(
            Change(what="requirement", how="demanded", subject=new.id, old=_named_level(old.demanded),
                   new=_named_level(new.demanded), worse=_lower(old.demanded, new.demanded))
        )  # fmt: skip
    if old.verdict != new.verdict:
        worse = old.verdict in _GOOD and new.verdict not in _GOOD and new.verdict != "retired"
        changes.append(
            Change(what="requirement", how="verdict", subject=new.id, old=old.verdict, new=new.verdict, worse=worse)
        )
    if old.level != new.level:
        changes.append(
            Change(what="requirement", how="level", subject=new.id, old=_named_level(old.level),
                   new=_named_level(new.level), worse=_lower(old.level, new.level))
        )  # fmt: skip
    return changes


def _hazards(old: Matrix, new: Matrix) -> list[Change]:
    before, after = ({row.id: row for row in found.hazards} for found in (old, new))
    changes = _present("hazard", before, after, lost_is_worse="yes")
    for name in before.keys() & after.keys():
        if before[name].fingerprint != after[name].fingerprint:
            changes.append(Change(what="hazard", how="text", subject=name))
        if before[name].controlled != after[name].controlled:
            lost = before[name].controlled
            changes.append(
                Change(what="hazard", how="uncontrolled" if lost else "controlled", subject=name, new=after[name].why,
                       worse=lost)
            )  # fmt: skip
    return changes


def _code(old: Matrix, new: Matrix) -> list[Change]:
    before, after = ({row.id: row for row in found.units} for found in (old, new))
    moved = [name for name in before.keys() & after.keys() if before[name].fingerprint != after[name].fingerprint]
    changes = _present("code", before, after, lost_is_worse="no")
    return changes + [Change(what="code", how="moved", subject=name) for name in moved]


def _tests(old: Matrix, new: Matrix) -> list[Change]:
    before, after = ({row.id: row for row in found.tests} for found in (old, new))
    changes = _present("test", before, after, lost_is_worse="yes")
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        if was.fingerprint != now.fingerprint:
            changes.append(Change(what="test", how="moved", subject=name))
        if was.outcome != now.outcome:
            worse = was.outcome == "passed"
            changes.append(
                Change(what="test", how="outcome", subject=name, old=was.outcome, new=now.outcome, worse=worse)
            )
    return changes


def _links(old: Matrix, new: Matrix) -> list[Change]:
    before, after = ({_link(link): link for link in found.links} for found in (old, new))
    changes = _present("link", before, after, lost_is_worse="yes")
    for name in before.keys() & after.keys():
        was, now = before[name].review.status, after[name].review
        if was != "suspect" and now.status == "suspect":
            changes.append(Change(what="link", how="suspect", subject=name, new=", ".join(now.moved), worse=True))
        elif was != "reviewed" and now.status == "reviewed":
            changes.append(Change(what="link", how="reviewed", subject=name, new=now.reviewer))
    return changes


def _findings(old: Matrix, new: Matrix) -> list[Change]:
    before, after = _numbered(old), _numbered(new)
    return [
        *(
            Change(
                what="finding", how="added", subject=name, new=after[name].text, worse=after[name].severity == "fail"
            )
            for name in after.keys() - before.keys()
        ),
        *(Change(what="finding", how="removed", subject=name) for name in before.keys() - after.keys()),
    ]


def _numbered(found: Matrix) -> dict[str, Finding]:
    """By code and subject; a second finding of both is one more, not the same."""
    seen: Counter[str] = Counter()
    named: dict[str, Finding] = {}
    for one in found.findings:
        name = f"{one.code} {one.subject}"
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name} ({seen[name]})"] = one
    return named


def _link(link: Link) -> str:
    return f"{link.requirement} <- {link.target} ({link.kind})"


def _differs(old: RequirementRow, new: RequirementRow, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))


def _lower(old: Level | None, new: Level | None) -> bool:
    return (-1 if new is None else new) < (-1 if old is None else old)


def _named_level(level: Level | None) -> str:
    return "none" if level is None else f"L{level}"
