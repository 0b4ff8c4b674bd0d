"""The module of the marks, made for one project: `implements` with a `Literal` of its requirements' ids.

Whoever writes an id that does not exist, or is retired, is told by mypy. The module imports only `typing`, so that any
other may import it, and costs nothing when the product runs. It is made by `medai trace ids` and committed.
"""

from collections.abc import Iterable

from traceability.requirements import Requirement

_HEAD = '''"""`@implements("REQ-...")`: ties a function or class to the requirements it implements, at no cost.

It returns its argument unchanged and imports only `typing`, so that any module may use it.
Made by `medai trace ids` from the requirements: change those, then run it again.
"""

from typing import {names}

_Marked = TypeVar("_Marked")

{ids}


class _Mark(Protocol):
    def __call__(self, marked: _Marked, /) -> _Marked: ...


def implements(*requirements: RequirementId) -> _Mark:
    """Mark what follows as implementing `requirements`; read from the source, never by import."""

    def unchanged(marked: _Marked) -> _Marked:
        return marked

    return unchanged
'''


def render(requirements: Iterable[Requirement]) -> str:
    """The text of the module; the same ids give the same text."""
    ids = sorted({requirement.id for requirement in requirements if requirement.status == "active"})
    if not ids:
        return _HEAD.format(names="Never, Protocol, TypeVar", ids="RequirementId = Never")
    listed = "\n".join(f'    "{name}",' for name in ids)
    return _HEAD.format(names="Literal, Protocol, TypeVar", ids=f"RequirementId = Literal[\n{listed}\n]")
