"""LOBSTER's JSON (`lobster-req-trace`, `lobster-imp-trace`, `lobster-act-trace`, versions 3 and 4). Pure.

Requirements become requirements of the project's `imported_class`; what implements and what tests them is found again
in the source by the file and line of its location, so that it is judged like everything else: a status "ok" in the
file counts for nothing. A justification "from the top down" of a requirement is an exception with its reason. The
format is described in LOBSTER's documentation ("LOBSTER JSON Schemas").
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from traceability.errors import EvidenceInvalid
from traceability.marks import implements
from traceability.requirements import Requirement, SafetyClass, Source

_SCHEMAS: Final = ("lobster-req-trace", "lobster-imp-trace", "lobster-act-trace")
_VERSIONS: Final = (3, 4)
_NAMESPACE: Final = "req"


class Placed(Struct, frozen=True, kw_only=True):
    """A citation by the place of what cites."""

    requirement: str
    kind: Literal["implementation", "test", "exception"]
    file: str
    line: int
    reason: str = ""


class Found(Struct, frozen=True, kw_only=True):
    """What one file holds."""

    requirements: tuple[Requirement, ...] = ()
    placed: tuple[Placed, ...] = ()


class _Location(Struct, frozen=True, kw_only=True):
    kind: str
    file: str = ""
    line: int | None = None


class _Item(Struct, frozen=True, kw_only=True):
    tag: str
    location: _Location
    name: str = ""
    refs: tuple[str, ...] = ()
    just_down: tuple[str, ...] = ()
    just_global: tuple[str, ...] = ()
    text: str | None = None
    status: Any = None


class _File(Struct, frozen=True, kw_only=True):
    data: tuple[_Item, ...]
    schema: str
    version: int


_DECODER: Final = msgspec.json.Decoder(_File)


@implements("REQ-TRC-003")
def parse(body: bytes, file: str, safety_class: SafetyClass) -> Found:
    """What `body`, the content of `file`, holds. Raises `EvidenceInvalid` where it is not LOBSTER's."""
    try:
        read = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise EvidenceInvalid(f"{file}: not a LOBSTER file: {error}: make it with LOBSTER's tools") from error
    if read.schema not in _SCHEMAS or read.version not in _VERSIONS:
        said = f"expected one of {', '.join(_SCHEMAS)} in version 3 or 4, got {read.schema} in version {read.version}"
        raise EvidenceInvalid(f"{file}: {said}")
    if read.schema == "lobster-req-trace":
        return Found(
            requirements=tuple(_requirement(item, file, safety_class) for item in read.data),
            placed=tuple(_excepted(item, file) for item in read.data if item.just_down or item.just_global),
        )
    kind: Literal["implementation", "test"] = "implementation" if read.schema == "lobster-imp-trace" else "test"
    return Found(
        placed=tuple(
            Placed(requirement=_id(reference), kind=kind, file=item.location.file, line=item.location.line or 1)
            for item in read.data
            for reference in item.refs
            if reference.startswith(f"{_NAMESPACE} ") and item.location.kind == "file"
        )
    )


def _requirement(item: _Item, file: str, safety_class: SafetyClass) -> Requirement:
    name = _id(item.tag)
    place = item.location
    return Requirement(
        id=name, title=item.name or name, text=item.text or item.name or name, criterion="as its text says",
        type="functional", safety_class=safety_class, verification="test", sources=(Source(specification=file),),
        parent=_id(item.refs[0]) if item.refs and item.refs[0].startswith(f"{_NAMESPACE} ") else None,
        file=place.file or file, line=place.line or 1,
    )  # fmt: skip


def _excepted(item: _Item, file: str) -> Placed:
    place = item.location
    reason = "; ".join((*item.just_down, *item.just_global))
    return Placed(
        requirement=_id(item.tag), kind="exception", file=place.file or file, line=place.line or 1, reason=reason
    )


def _id(tag: str) -> str:
    """The requirement in a tag `req NAME@VERSION`."""
    return tag.partition(" ")[2].partition("@")[0].strip()
