"""Files that are not Python: SQL, YAML, Terraform, Dockerfiles, TOML and whatever else has comments of one line.

A mark stands on a comment line above what it is about. Where that ends depends on the language: an SQL statement at
its semicolon, a YAML entry where the indentation falls back, a Terraform block at its closing brace, a Dockerfile's
instruction where it is not continued, a TOML table at the next header; else at the next empty line. Coverage does not
see such code run: a link to it is never above level 1.
"""

import re
from collections.abc import Sequence
from typing import Final

from traceability import remarks
from traceability.citations import Citation, Fault, Reading, Unit
from traceability.marks import implements

LANGUAGES: Final[dict[str, str]] = {
    ".sql": "sql", ".yaml": "yaml", ".yml": "yaml", ".tf": "terraform", ".hcl": "terraform", ".toml": "toml",
    ".sh": "shell", ".cfg": "ini", ".ini": "ini", ".conf": "ini", ".js": "javascript", ".mako": "template",
}  # fmt: skip
_NAMED: Final = {"Dockerfile": "dockerfile", "Containerfile": "dockerfile", "Makefile": "make"}
_COMMENT: Final = re.compile(r"^\s*(?:#+|--|//)\s?(?P<words>.*?)\s*$")
_BLOCK_COMMENT: Final = re.compile(r"^\s*/\*+(?P<words>.*?)\*/\s*$")
_TRAILING: Final = re.compile(r"\s(?:#|--|//)\s?(?P<words>[^#]*?)\s*$")


def language(file: str) -> str | None:
    """The language of `file` by its name, or None where it is none of these."""
    name = file.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return LANGUAGES.get(dot + suffix) or _NAMED.get((stem or suffix).partition(".")[0])


@implements("REQ-TRC-002")
def read(text: str, file: str, spoken: str, dialects: frozenset[str] = frozenset()) -> Reading:
    """The marks in the comments of `text`, and the blocks that they are about."""
    lines = text.splitlines()
    citations: list[Citation] = []
    units: dict[str, Unit] = {}
    faults: list[Fault] = []
    for number, line in enumerate(lines, start=1):
        own = _COMMENT.match(line) or _BLOCK_COMMENT.match(line)
        words = own or _TRAILING.search(line)
        for said in remarks.read(words["words"], dialects) if words else ():
            if said.scope == "range_end":
                continue
            unit = _unit(lines, number + 1 if own else number, file, spoken)
            units.setdefault(unit.id, unit)
            citations.append(
                Citation(
                    requirement=said.requirement, kind=said.kind, file=file, line=number, target=unit.id,
                    reason=said.reason, owner=said.owner, due=said.due, dialect=said.dialect,
                )
            )  # fmt: skip
            if said.fault:
                faults.append(_fault(file, number, said))
    return Reading(file=file, citations=tuple(citations), units=tuple(units.values()), faults=tuple(faults))


def _unit(lines: Sequence[str], start: int, file: str, spoken: str) -> Unit:
    """The block that begins at line `start` or after the comments and empty lines there."""
    first = start
    while first < len(lines) and (not lines[first - 1].strip() or _COMMENT.match(lines[first - 1])):
        first += 1
    first = min(first, len(lines)) or 1
    last = _END.get(spoken, _paragraph)(lines, first)
    head = lines[first - 1].strip() if lines else ""
    return Unit(
        id=f"{file}::{head[:60]}", file=file, name=head[:60], kind="block", line=first, first_line=first,
        last_line=last, language=spoken, text="\n".join(lines[first - 1 : last]),
    )  # fmt: skip


def _statement(lines: Sequence[str], first: int) -> int:
    """SQL: to the semicolon, not one within `$...$` quotes."""
    quote = ""
    for number in range(first, len(lines) + 1):
        line = lines[number - 1].split("--")[0]
        for tag in re.findall(r"\$\w*\$", line):
            quote = "" if tag == quote else quote or tag
        if not quote and ";" in line:
            return number
    return len(lines)


def _indented(lines: Sequence[str], first: int) -> int:
    """YAML: while lines are indented deeper than the first one."""
    depth = _depth(lines[first - 1])
    last = first
    for number in range(first + 1, len(lines) + 1):
        line = lines[number - 1]
        if line.strip() and not _COMMENT.match(line):
            if _depth(line) <= depth:
                break
            last = number
    return last


def _braced(lines: Sequence[str], first: int) -> int:
    """Terraform: to the brace that closes the first one."""
    open_braces = 0
    for number in range(first, len(lines) + 1):
        line = re.sub(r'"(?:\\.|[^"\\])*"', '""', lines[number - 1])
        open_braces += sum(line.count(sign) for sign in "{[(") - sum(line.count(sign) for sign in "}])")
        if open_braces <= 0:
            return number
    return len(lines)


def _continued(lines: Sequence[str], first: int) -> int:
    """Dockerfile, shell, make: while lines end with a backslash."""
    number = first
    while number < len(lines) and (lines[number - 1].rstrip().endswith("\\") or _COMMENT.match(lines[number - 1])):
        number += 1
    return number


def _table(lines: Sequence[str], first: int) -> int:
    """TOML: a header's table to the next header, a member's value to its end."""
    if not lines[first - 1].lstrip().startswith("["):
        return _braced(lines, first)
    number = first
    while number < len(lines) and not re.match(r"^\s*\[", lines[number]):
        number += 1
    while number > first and not lines[number - 1].strip():
        number -= 1
    return number


def _paragraph(lines: Sequence[str], first: int) -> int:
    number = first
    while number < len(lines) and lines[number].strip():
        number += 1
    return number


_END: Final = {
    "sql": _statement, "yaml": _indented, "terraform": _braced, "dockerfile": _continued, "toml": _table,
    "shell": _paragraph, "make": _paragraph,
}  # fmt: skip


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _fault(file: str, line: int, said: remarks.Remark) -> Fault:
    fault, _, remedy = said.fault.partition(": ")
    return Fault(
        code="mark_unreadable", subject=f"{file}:{line}", file=file, line=line,
        text=f"the {said.kind} of {said.requirement}: {fault}", remedy=remedy,
    )  # fmt: skip
