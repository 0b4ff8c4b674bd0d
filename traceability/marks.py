"""`@implements("REQ-...")`: ties a function or class to the requirements it implements, at no cost.

It returns its argument unchanged and imports only `typing`, so that any module may use it.
"""

from typing import Protocol, TypeVar

_Marked = TypeVar("_Marked")


class _Mark(Protocol):
    def __call__(self, marked: _Marked, /) -> _Marked: ...


def implements(*requirements: str) -> _Mark:
    """Mark what follows as implementing `requirements`; read from the source, never by import."""

    def unchanged(marked: _Marked) -> _Marked:
        return marked

    return unchanged
