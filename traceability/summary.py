"""The matrix on one screen, in Markdown: what a pull request's reader has to know, and no more.

Whether the gate is open, how far each safety class is proved, what fails and where, and, where the matrix of the
branch that it is to be merged into is given, what changes by it.
"""

from typing import Final

from traceability import difference, markdown
from traceability.marks import implements
from traceability.rows import Finding, Matrix

MOST_FINDINGS: Final = 20
"""More are counted; the report has them all."""


@implements("REQ-TRC-009")
def text(found: Matrix, base: Matrix | None = None) -> str:
    """The summary of `found`, compared with `base` where there is one."""
    parts = [_headline(found), _classes(found), _hazards(found), _findings(found)]
    if base is not None:
        changes = difference.between(base, found)
        words = difference.text(changes, "markdown") if changes.changes else "No difference.\n"
        parts.append(f"### What changes\n\n{words}")
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _headline(found: Matrix) -> str:
    summary, evidence = found.summary, found.evidence
    gate = "open: nothing fails" if summary.failing == 0 else f"closed: {_many(summary.failing, 'finding')} to remedy"
    counts = (
        _many(summary.requirements, "requirement"),
        _many(summary.units, "unit") + " of code",
        _many(summary.tests, "claiming test"),
        _many(summary.links, "link"),
    )
    told = [f"{', '.join(counts)}.", f"Reviews open: {summary.reviews_open}."]
    if not evidence.complete:
        told.append("The test run was a part of the suite.")
    if not evidence.coverage.available:
        told.append(f"No link is above L1: {markdown.escaped(evidence.coverage.why)}")
    return f"## Traceability of {markdown.escaped(found.project)}: the gate is {gate}\n\n{' '.join(told)}"


def _classes(found: Matrix) -> str:
    rows = [
        (
            row.safety_class,
            f"L{row.demanded}",
            str(row.requirements),
            str(row.proved),
            *(str(count) for count in row.levels),
            str(row.unlinked),
        )
        for row in found.summary.classes
    ]
    head = ("class", "demanded", "verified by test", "proved", "at L0", "L1", "L2", "L3", "L4", "not linked")
    return markdown.table(head, rows) if rows else ""


def _hazards(found: Matrix) -> str:
    summary = found.summary
    words = f"Hazards: {summary.hazards_controlled} of {summary.hazards} have every control verified"
    bare = [markdown.escaped(row.id) for row in found.hazards if row.status == "active" and not row.controlled]
    return f"{words}; not: {', '.join(bare)}." if bare else f"{words}."


def _findings(found: Matrix) -> str:
    failing = [one for one in found.findings if one.severity == "fail"]
    notes = len(found.findings) - len(failing)
    tail = f"\n\nBesides: {_many(notes, 'note')}." if notes else ""
    if not failing:
        return tail.strip()
    rows = [_row(one) for one in failing[:MOST_FINDINGS]]
    shown = markdown.table(("what", "where", "of", "why", "what to do"), rows)
    more = len(failing) - len(rows)
    rest = f"\n\n... and {more} more: the report has them all." if more else ""
    return f"### What fails\n\n{shown}{rest}{tail}"


def _row(one: Finding) -> tuple[str, ...]:
    place = markdown.code(f"{one.file}:{one.line}") if one.file else ""
    return (one.code, place, markdown.code(one.subject), markdown.escaped(one.text), markdown.escaped(one.remedy))


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
