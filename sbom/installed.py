"""What is installed, as digests that are the same on every machine: for comparing what runs with what was released.

A distribution's digest is over its RECORD (PEP 376), without the lines that an installation makes by itself: compiled
files, scripts (their first line names the interpreter), and pip's own notes. A package of ours has one over its files.
Standard library only: the service computes these at its start.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Final

from sbom.lockfile import normalise

OWN: Final = ("audit", "migrations", "sbom", "service", "traceability")
"""The packages of ours that a release binds."""
_NOTES: Final = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


def distributions(site: Path | None = None) -> dict[str, tuple[str, str]]:
    """Version and digest of each distribution, by normalised name: of this interpreter, or of another's `site`."""
    found = metadata.distributions(path=[str(site)]) if site else metadata.distributions()
    return {
        normalise(each.metadata["Name"]): (each.version, _digest(text))
        for each in found
        if (text := each.read_text("RECORD")) is not None and "__editable__" not in text
    }


def own(root: Path) -> dict[str, str]:
    """The digest of each of our packages under `root`."""
    return {name: tree(root / name)[0] for name in OWN if (root / name).is_dir()}


def tree(folder: Path) -> tuple[str, int]:
    """The SHA-256 over `PATH NUL SHA-256 NEWLINE` of each file, by path, and how many files there are. Compiled files
    are left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    lines = (
        f"{path.relative_to(folder).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode() for path in files
    )
    return sha256(b"".join(lines)).hexdigest(), len(files)


def differences(
    bound: Mapping[str, tuple[str, str]], there: Mapping[str, tuple[str, str]], *, extra_allowed: bool
) -> Iterator[str]:
    """A sentence for each distribution that is not as it was bound. Those besides may be `extra_allowed`: tools."""
    for name in sorted(bound.keys() | there.keys()):
        wanted, found = bound.get(name), there.get(name)
        if wanted is None:
            if not extra_allowed:
                yield f"{name} is installed and not of the release"
        elif found is None:
            yield f"{name} {wanted[0]} is of the release and not installed"
        elif found[0] != wanted[0]:
            yield f"{name} is {found[0]}, in the release {wanted[0]}"
        elif found[1] != wanted[1]:
            yield f"{name} {found[0]} has other files than in the release"


def _digest(record: str) -> str:
    kept = sorted(
        row[0] + "\0" + row[1]
        for row in csv.reader(io.StringIO(record))
        if row
        and not row[0].startswith(("../", "/"))
        and "__pycache__/" not in row[0]
        and not (".dist-info/" in row[0] and row[0].rsplit("/", 1)[-1] in _NOTES)
    )
    return sha256("\n".join(kept).encode()).hexdigest()
