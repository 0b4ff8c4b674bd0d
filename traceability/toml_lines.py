"""On which line of a TOML file a table or a member stands: `tomllib` does not tell, and an error without one is none.

It reads headers and the keys at the beginning of lines, and passes over strings and arrays of several lines. It is
asked only about text that `tomllib` has read, so that it may be simple.
"""

import re
from typing import Final

from msgspec import Struct

from traceability.marks import implements

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?\s*(?:#.*)?$")
_MEMBER: Final = re.compile(r"^\s*[\"']?([\w.-]+)[\"']?\s*=")
_QUOTES: Final = re.compile(r'"""|' + r"'''" + r'|"(?:\\.|[^"\\])*"' + r"|'[^']*'|#.*|[\[\]]")


class Table(Struct, frozen=True, kw_only=True):
    """One table: the line of its header, and that of each member."""

    line: int
    members: dict[str, int]


def tables(text: str) -> dict[str, list[Table]]:
    """The tables of `text` by the name in their headers, in order; what stands above all headers is under ''."""
    found: dict[str, list[Table]] = {"": [Table(line=1, members={})]}
    current = found[""][0]
    fence, depth = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not fence and depth == 0:
            if header := _HEADER.match(line):
                current = Table(line=number, members={})
                found.setdefault(header.group(2), []).append(current)
                continue
            if member := _MEMBER.match(line):
                current.members.setdefault(member.group(1), number)
        fence, depth = _after(line, fence, depth)
    return found


@implements("REQ-TRC-001")
def first(text: str, name: str) -> int:
    """The line where `name` first stands, as a member above all tables or in a header; 1 where it does not."""
    known = tables(text)
    if name in known[""][0].members:
        return known[""][0].members[name]
    return next((found[0].line for header, found in known.items() if header.split(".")[0] == name), 1)


def _after(line: str, fence: str, depth: int) -> tuple[str, int]:
    """The string of several lines that is still open after `line`, and how many arrays are."""
    position = 0
    while True:
        if fence:
            end = line.find(fence, position)
            if end < 0:
                return fence, depth
            position, fence = end + 3, ""
        token = _QUOTES.search(line, position)
        if token is None:
            return "", depth
        position = token.end()
        if token.group() in ('"""', "'''"):
            fence = token.group()
        elif token.group() == "[":
            depth += 1
        elif token.group() == "]":
            depth -= 1
