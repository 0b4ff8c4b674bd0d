"""Specification items of OpenFastTrace, as it writes them in Markdown, read as requirements. Pure.

    ### Login                      the title, if there is one
    `req~login~2`                  the id: artifact type, name and revision
    Status: approved
    The user logs in.              the description
    Covers:
    - feat~accounts~1              what it is a part of
    Needs: dsn, impl, utest

An item is a requirement with its whole id. What it covers first is its parent. One that is `rejected` is retired. The
format has no safety class and no criterion: the class is the project's `imported_class`. Its tags in code are read by
`remarks`. The format is described in the project's user guide ("Writing a Specification").
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from traceability.marks import implements
from traceability.requirements import Requirement, SafetyClass, Source

_ITEM: Final = re.compile(r"^\s*(?:<a[^>]*>\s*</a>\s*)?`?\s*(?P<id>[A-Za-z]+~[\w.-]+~\d+)\s*`?\s*$")
_HEADING: Final = re.compile(r"^#{1,6}\s+(?P<title>.*?)\s*#*\s*$")
_KEYWORD: Final = re.compile(
    r"^\s*(?P<word>Status|Covers|Needs|Depends|Description|Rationale|Comment|Tags)\s*:\s*(?P<rest>.*)$"
)
_LISTED: Final = re.compile(r"^\s*[-+*]\s*`?(?P<id>[A-Za-z]+~[\w.-]+~\d+)`?")
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")


class _Item(Struct, kw_only=True):
    id: str
    line: int
    title: str
    text: list[str]
    status: str = ""
    covers: list[str]


@implements("REQ-TRC-003")
def parse(text: str, file: str, safety_class: SafetyClass) -> tuple[Requirement, ...]:
    """The items in `text`, the content of `file`."""
    return tuple(_requirement(item, file, safety_class) for item in _items(text.splitlines()))


def _items(lines: Sequence[str]) -> Iterator[_Item]:
    item: _Item | None = None
    heading, section, fenced = "", "Description", False
    for number, line in enumerate(lines, start=1):
        if _FENCE.match(line):
            fenced = not fenced
        if fenced:
            continue
        if found := _ITEM.match(line):
            if item is not None:
                yield item
            item = _Item(id=found["id"], line=number, title=heading, text=[], covers=[])
            section = "Description"
        elif title := _HEADING.match(line):
            if item is not None:
                yield item
            item, heading = None, title["title"]
        elif item is not None:
            section = _told(item, line, section)
    if item is not None:
        yield item


def _told(item: _Item, line: str, section: str) -> str:
    """Take `line` into `item`; which section it is in afterwards."""
    if keyword := _KEYWORD.match(line):
        section, rest = keyword["word"], keyword["rest"].strip()
        if section == "Status":
            item.status, section = rest.lower(), "Description"
        elif section == "Description" and rest:
            item.text.append(rest)
    elif section == "Covers":
        if listed := _LISTED.match(line):
            item.covers.append(listed["id"])
    elif section == "Description" and line.strip():
        item.text.append(line.strip())
    return section


def _requirement(item: _Item, file: str, safety_class: SafetyClass) -> Requirement:
    name = item.id.split("~")[1]
    words = " ".join(item.text) or item.title or name
    return Requirement(
        id=item.id, title=item.title or name, text=words, criterion="as its text says", type="functional",
        safety_class=safety_class, verification="test", sources=(Source(specification=file),),
        parent=item.covers[0] if item.covers else None, status="retired" if item.status == "rejected" else "active",
        file=file, line=item.line,
    )  # fmt: skip
