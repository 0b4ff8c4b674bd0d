"""The matrix as CSV: a line for each citation of a requirement, and one for each requirement that nothing cites.

    Comma-separated, quoted and ended as RFC 4180 section 2 has it; in UTF-8 with its mark, for spreadsheets.

A spreadsheet takes a cell for a formula where it begins with certain characters. What is written here may come from
anybody who writes a test's name: such a cell begins with an apostrophe, which spreadsheets do not show.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

from traceability.marks import implements
from traceability.rows import Link, Matrix, RequirementRow, TestRow, UnitRow

MARK: Final = "\ufeff"
# OWASP, "CSV Injection": = + - @, tab and carriage return; a line feed as well, since some readers cut
# at it, and the full-width forms, which some take for the plain ones.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

COLUMNS: Final = (
    "requirement", "title", "type", "safety_class", "verification", "status", "verdict", "level", "demanded", "why",
    "parent", "sources", "hazards", "cited_by", "target", "file", "line", "link_level", "link_verdict", "link_why",
    "outcome", "branches", "mutants", "partners", "reason", "review", "reviewer", "reviewed_at", "moved",
)  # fmt: skip


@implements("REQ-TRC-009")
def text(found: Matrix) -> str:
    """The whole table, its first line the names of `COLUMNS`."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_safe(cell) for cell in line] for line in _lines(found))
    return MARK + out.getvalue()


def _lines(found: Matrix) -> Iterator[tuple[str, ...]]:
    targets: dict[str, UnitRow | TestRow] = {row.id: row for row in found.units}
    targets |= {row.id: row for row in found.tests}
    links: dict[str, list[Link]] = {}
    for link in found.links:
        links.setdefault(link.requirement, []).append(link)
    for row in found.requirements:
        head = _head(row)
        cited = links.pop(row.id, [])
        if not cited:
            yield (*head, *[""] * (len(COLUMNS) - len(head)))
        for link in cited:
            yield (*head, *_tail(link, targets.get(link.target)))
    for requirement, cited in sorted(links.items()):  # cites what is not there: a gap is a row
        head = (requirement, *[""] * (COLUMNS.index("cited_by") - 1))
        for link in cited:
            yield (*head, *_tail(link, targets.get(link.target)))


def _head(row: RequirementRow) -> tuple[str, ...]:
    return (
        row.id, row.title, row.type, row.safety_class, row.verification, row.status, row.verdict, _level(row.level),
        _level(row.demanded), row.why, row.parent or "",
        "; ".join(source.text for source in row.sources if source.kind != "hazard"), "; ".join(row.hazards),
    )  # fmt: skip


def _tail(link: Link, target: UnitRow | TestRow | None) -> tuple[str, ...]:
    branches, mutants = link.branches, link.mutants
    return (
        link.kind, link.target, link.file, str(link.line), _level(link.level), link.verdict, link.why,
        target.outcome if isinstance(target, TestRow) else "",
        f"{branches.count} of {branches.total}" if branches is not None else "",
        f"{mutants.killed} of {mutants.tried} killed" if mutants is not None else "",
        "; ".join(link.partners), link.reason, link.review.status, link.review.reviewer, link.review.reviewed_at,
        "; ".join(link.review.moved),
    )  # fmt: skip


def _level(level: int | None) -> str:
    return "" if level is None else f"L{level}"


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
