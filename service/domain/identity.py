"""How models are named and their versions ordered. (The ids of a request: `service.http.correlation`.)"""

import re

from msgspec import Struct

from service.errors import RequestInvalid
from traceability.marks import implements

_MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?:@([0-9]{1,9}(?:\.[0-9]{1,9}){0,3}))?", re.ASCII)


class ModelReference(Struct, frozen=True, kw_only=True):
    """A model as a caller names it; without a version, the newest is meant."""

    name: str
    version: str | None


@implements("REQ-INF-020")
def model_reference(text: str) -> ModelReference:
    """`NAME` or `NAME@VERSION`. Raises `RequestInvalid` for anything else."""
    match = _MODEL.fullmatch(text)
    if match is None:
        raise RequestInvalid("model: expected NAME or NAME@VERSION, a version being numbers between dots")
    return ModelReference(name=match[1], version=match[2])


@implements("REQ-INF-020")
def version_order(version: str) -> tuple[int, ...]:
    """What versions are compared by: 1.10 is newer than 1.9, and 1.0 equals 1."""
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
