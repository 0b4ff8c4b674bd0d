"""What is installed, as digests that are the same on every machine: for comparing what runs with what was released.

A distribution's digest is over its RECORD (PEP 376), without the lines that an installation makes by itself: compiled
files, scripts (their first line names the interpreter), and pip's own notes. A package of ours has one over its files.
Standard library only: the service computes these at its start.
"""

import csv
import io
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path
from typing import Final

from sbom.lockfile import normalise
from traceability.marks import implements

OWN: Final = ("audit", "migrations", "sbom", "service", "traceability")
"""The packages of ours that a release binds."""
_NOTES: Final = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


@implements("REQ-REL-004")
def distributions(site: Path | None = None) -> dict[str, tuple[str, str]]:
    """Version and digest of each distribution, by normalised name: of this interpreter, or of another's `site`."""
    found = metadata.distributions(path=[str(site)]) if site else metadata.distributions()
    return {
        normalise(each.metadata["Name"]): (each.version, _digest(text))
        for each in found
        if (text := each.read_text("RECORD")) is not None and "__editable__" not in text
    }


@implements("REQ-REL-004")
def own(root: Path) -> dict[str, str]:
    """The digest of each of our packages under `root`."""
    return {name: tree(root / name)[0] for name in OWN if (root / name).is_dir()}


@implements("REQ-REL-004")
def tree(folder: Path) -> tuple[str, int]:
    """The SHA-256 over `PATH NUL SHA-256 NEWLINE` of each file, by path, and how many files there are. Compiled files
    are left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    lines = (
        f"{path.relative_to(folder).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode() for path in files
    )
    return sha256(b"".join(lines)).hexdigest(), len(files)


@implements("REQ-REL-004")
def altered(site: Path | None = None) -> Iterator[str]:
    """A sentence for each file of a distribution that is not as its own RECORD says, or is gone: whoever swaps a file
    need not touch the RECORD."""
    found = metadata.distributions(path=[str(site)]) if site else metadata.distributions()
    for each in found:
        text = each.read_text("RECORD")
        if text is None or "__editable__" in text:
            continue
        name = normalise(each.metadata["Name"])
        for path, digest in _recorded(text):
            file = Path(str(each.locate_file(path)))
            if not file.is_file():
                yield f"{name}: {path} is gone"
            elif digest.startswith("sha256=") and not _is(file, digest.removeprefix("sha256=")):
                yield f"{name}: {path} is not the file that was installed"


def _is(file: Path, digest: str) -> bool:
    """RECORD holds digests as URL-safe base64 without padding (PEP 376, the wheel specification)."""
    with file.open("rb") as content:
        found = file_digest(content, "sha256").digest()
    return urlsafe_b64encode(found).rstrip(b"=").decode() == digest


def _digest(record: str) -> str:
    kept = sorted(f"{path}\0{digest}" for path, digest in _recorded(record))
    return sha256("\n".join(kept).encode()).hexdigest()


def _recorded(record: str) -> Iterator[tuple[str, str]]:
    """Path and digest of each file that came in the wheel."""
    for row in csv.reader(io.StringIO(record)):
        if len(row) < 2 or row[0].startswith(("../", "/")) or "__pycache__/" in row[0]:
            continue
        if not (".dist-info/" in row[0] and row[0].rsplit("/", 1)[-1] in _NOTES):
            yield row[0], row[1]
