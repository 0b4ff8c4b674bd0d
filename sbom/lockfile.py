"""The hashed locks, read strictly: what is not a pinned, hashed requirement is refused.

A lock is what pip-compile writes with `--generate-hashes`, when told to name no index and no folder of files:

    name==version \\
        --hash=sha256:<64 hex> \\
        --hash=sha256:<64 hex>
        # via who asked for it

Anything that would make pip look elsewhere, or install what was not pinned, has no place in one.
"""

import re
from typing import Final

from msgspec import Struct

from sbom.errors import LockInvalid
from traceability.marks import implements

# PEP 508 names; PEP 440 versions as pip-compile writes them (public, with a local part at most).
_PIN: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[0-9][0-9A-Za-z.!+]*)"
    r"(?P<marker>\s*;[^\\]*?)?(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)"
)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pin(Struct, frozen=True, kw_only=True):
    """One distribution at one version; any file of it must have one of `sha256`."""

    name: str
    """Normalised as PEP 503 has it: lower case, runs of `-_.` as one `-`."""
    version: str
    marker: str | None = None
    sha256: frozenset[str]


@implements("REQ-DEP-002")
def parse(text: str) -> tuple[Pin, ...]:
    """The pins of a lock, in its order. Raises `LockInvalid` for any line that is not one, and for a name twice."""
    pins: dict[str, Pin] = {}
    for number, logical in _logical_lines(text):
        pin = _pin(number, logical)
        if pin.name in pins:
            raise LockInvalid(f"line {number}: {pin.name} is pinned a second time; keep one")
        pins[pin.name] = pin
    return tuple(pins.values())


def normalise(name: str) -> str:
    """PEP 503: two spellings of one distribution's name are the same string."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuations joined and comments dropped, each with the number it begins at."""
    lines: list[tuple[int, str]] = []
    begun: int | None = None
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and begun is None):
            continue
        begun = begun if begun is not None else number
        parts.append(stripped.removesuffix("\\").strip())
        if not stripped.endswith("\\"):
            lines.append((begun, " ".join(parts)))
            begun, parts = None, []
    if begun is not None:
        raise LockInvalid(f"line {begun}: the lock ends in the middle of a requirement")
    return lines


@implements("REQ-DEP-002")
def _pin(number: int, logical: str) -> Pin:
    match = _PIN.fullmatch(logical)
    if match is None:
        raise LockInvalid(f"line {number}: expected NAME==VERSION with at least one --hash=sha256, and no option")
    marker = match["marker"]
    return Pin(
        name=normalise(match["name"]),
        version=match["version"],
        marker=marker.strip().removeprefix(";").strip() if marker else None,
        sha256=frozenset(_HASH.findall(match["hashes"])),
    )
