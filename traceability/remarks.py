"""Marks in words: what a comment says of requirements, in our grammar, StrictDoc's and OpenFastTrace's.

    # implements: REQ-A-1, REQ-A-2
    # implication: REQ-A-3: by construction, since ...
    # exception: REQ-A-4: not met where ..., because ...
    # todo: REQ-A-5: Anna Example, 2027-01-31: waits for ...

    @relation(REQ-A-1, scope=function, role=Implementation)        StrictDoc; braces stand for parentheses too
    [impl->req~login~1]  [impl~name~2->req~a~1, req~b~1>>utest]    OpenFastTrace

An id has a digit and one of "-" and "~": "# implements: the protocol of X" is prose and no mark.
"""

import re
from typing import Final, Literal

from msgspec import Struct

from traceability.citations import Dialect
from traceability.marks import implements
from traceability.rows import CitationKind

Scope = Literal["here", "file", "class", "function", "line", "range_start", "range_end"]

_ID: Final = r"(?=[\w.~-]*\d)(?=[\w.]*[-~])[A-Za-z][\w.~-]*[\w]"
_OURS: Final = re.compile(
    rf"(?:^|\s)(?P<word>implements|implication|exception|todo)\s*:\s*(?P<ids>{_ID}(?:\s*,\s*{_ID})*)\s*(?P<colon>:(?P<rest>.*))?$",
    re.IGNORECASE,
)
_ALMOST: Final = re.compile(
    rf"^\W*(?P<word>implement\w*|implies|satisf\w*|verif\w*)\W+(?P<ids>{_ID})\W*$", re.IGNORECASE
)
_RELATION: Final = re.compile(
    r"@relation[({]\s*(?P<ids>[A-Za-z][\w\s,.~-]*?)\s*,\s*scope\s*=\s*(?P<scope>file|class|function|line|range_start|range_end)"
    r"(?:\s*,\s*role\s*=\s*(?P<role>\w+))?\s*[)}]"
)
_OFT_ID: Final = r"[A-Za-z]+\s*~\s*[\w.-]+\s*~\s*\d+"
_OFT: Final = re.compile(
    rf"\[\s*(?P<artifact>[A-Za-z]+)\s*(?:~\s*[\w.-]*\s*~\s*\d+)?\s*->\s*(?P<ids>{_OFT_ID}(?:\s*,\s*{_OFT_ID})*)\s*(?:>>[\w\s,]*)?\]"
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_KINDS: Final[dict[str, CitationKind]] = {
    "implements": "implementation", "implication": "implication", "exception": "exception", "todo": "todo",
}  # fmt: skip
_TEST_ROLES: Final = ("test", "verif", "valid")
_TEST_ARTIFACTS: Final = ("test", "utest", "itest", "stest")

QUICK: Final = re.compile(
    rb"(?i)#[^\n]*\b(?:implement\w*|implies|implication|exception|todo|satisf\w*|verif\w*)\W{1,3}[a-z][\w.]*[-~]"
)
"""Whether a file may hold a mark of ours in a comment: most do not, and need not be read for it."""
QUICK_FOREIGN: Final = re.compile(rb"@relation[({]|->\s*[A-Za-z]+\s*~")


class Remark(Struct, frozen=True, kw_only=True):
    """What one comment says of one requirement."""

    requirement: str
    kind: CitationKind
    dialect: Dialect = "medai"
    scope: Scope = "here"
    reason: str = ""
    owner: str = ""
    due: str = ""
    fault: str = ""
    """What is missing of it; empty where it is whole."""


@implements("REQ-TRC-002")
def read(text: str, dialects: frozenset[str] = frozenset()) -> list[Remark]:
    """The marks in `text`, one comment without its sign."""
    found = _ours(text)
    if "strictdoc" in dialects:
        found += _strictdoc(text)
    if "openfasttrace" in dialects:
        found += _openfasttrace(text)
    return found


def almost(text: str) -> str | None:
    """The id that a comment seems to be about, where it is meant as a mark and is none."""
    said = _ALMOST.match(text)
    return said["ids"] if said and not _OURS.search(text) else None


def _ours(text: str) -> list[Remark]:
    said = _OURS.search(text)
    if said is None:
        return []
    kind = _KINDS[said["word"].lower()]
    rest = (said["rest"] or "").strip()
    owner = due = fault = ""
    if kind == "todo":
        owner, due, rest, fault = _todo(rest)
    elif kind != "implementation" and not rest:
        fault = f"it gives no reason: write # {said['word']}: {said['ids']}: why"
    names = [name.strip() for name in said["ids"].split(",")]
    return [Remark(requirement=name, kind=kind, reason=rest, owner=owner, due=due, fault=fault) for name in names]


def _todo(rest: str) -> tuple[str, str, str, str]:
    """Owner, date, reason, and what is wrong."""
    who, _, reason = (part.strip() for part in rest.partition(":"))
    owner, _, due = (part.strip() for part in who.rpartition(","))
    if not owner or not _DATE.fullmatch(due) or not reason:
        return owner, due, reason, "a todo needs owner, date and reason: write # todo: ID: OWNER, YYYY-MM-DD: why"
    return owner, due, reason, ""


def _strictdoc(text: str) -> list[Remark]:
    found = []
    for said in _RELATION.finditer(text):
        role = (said["role"] or "").lower()
        kind: CitationKind = "test" if any(word in role for word in _TEST_ROLES) else "implementation"
        for name in re.split(r"\s*,\s*", said["ids"]):
            found.append(Remark(requirement=name, kind=kind, dialect="strictdoc", scope=said["scope"]))  # type: ignore[arg-type] # the pattern admits only these
    return found


def _openfasttrace(text: str) -> list[Remark]:
    found = []
    for said in _OFT.finditer(text):
        kind: CitationKind = "test" if said["artifact"].lower() in _TEST_ARTIFACTS else "implementation"
        for name in said["ids"].split(","):
            found.append(Remark(requirement=re.sub(r"\s", "", name), kind=kind, dialect="openfasttrace"))
    return found
