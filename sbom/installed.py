"""What is installed, as digests that are the same on every machine: for comparing what runs with what was released.

A distribution's digest is over its RECORD (PEP 376), without the lines that an installation makes by itself: compiled
files, scripts (their first line names the interpreter), and pip's own notes. A package of ours has one over its files.
Standard library only: the service computes these at its start.
"""

import csv
import io
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from hashlib import file_digest, sha256
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from sbom.lockfile import normalise
from traceability.marks import implements

OWN: Final = ("audit", "migrations", "sbom", "service", "traceability")
"""The packages of ours that a release binds."""
_NOTES: Final = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


UNTOLD: Final = "not from a wheel"
"""In place of a digest, of what says nothing of its files: without a RECORD, or installed from a folder."""


@implements("REQ-REL-004")
def distributions(site: Path | None = None) -> dict[str, tuple[str, str]]:
    """Version and digest of each distribution, by normalised name: of this interpreter, or of another's `site`. Of two
    with one name it is the one that is imported; what has no digest is there all the same, as `UNTOLD`."""
    found: dict[str, tuple[str, str]] = {}
    for each in _found(site):
        text = _record(each)
        found.setdefault(_name(each), (each.version, UNTOLD if text is None else _digest(text)))
    return found


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
    need not touch the RECORD. And for each module that lies beside them and that no distribution brought."""
    brought: dict[Path, set[str]] = {}
    for each in _found(site):
        text = _record(each)
        folder = Path(str(each.locate_file("")))
        if folder.name in ("site-packages", "dist-packages"):
            rows = csv.reader(io.StringIO(each.read_text("RECORD") or ""))
            brought.setdefault(folder, set()).update(row[0].split("/", 1)[0] for row in rows if row)
        if text is None:
            continue
        name = _name(each)
        for path, digest in _recorded(text):
            file = Path(str(each.locate_file(path)))
            if not file.is_file():
                yield f"{name}: {path} is gone"
            elif digest.startswith("sha256=") and not _is(file, digest.removeprefix("sha256=")):
                yield f"{name}: {path} is not the file that was installed"

    for folder, known in brought.items():
        yield from _strays(folder, known)


@implements("REQ-REL-004")
def shadowed() -> Iterator[str]:
    """A sentence for each package of a distribution that this interpreter would import from elsewhere: a folder that is
    before it on the path takes its place, and no digest would tell."""
    seen: set[str] = set()
    for each in _found(None):
        text = _record(each)
        if text is None or _name(each) in seen:
            continue
        seen.add(_name(each))
        for path, _ in _recorded(text):
            module, _, rest = path.partition("/")
            if rest == "__init__.py" or (not rest and module.endswith(".py")):
                spec = PathFinder.find_spec(module.removesuffix(".py"))
                folder = Path(str(each.locate_file(path))).parent  # there may be a compiled one beside it
                if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != folder.resolve():
                    yield f"{_name(each)}: {module.removesuffix('.py')} is imported from elsewhere"


def _strays(folder: Path, known: set[str]) -> Iterator[str]:
    """What an interpreter would import or run from `folder` (a `.pth` runs at its start) and nobody brought."""
    for path in sorted(folder.iterdir()):
        runs = path.suffix in (".py", ".pth", ".so") or (path.is_dir() and path.suffix == "")
        if runs and path.name not in known and path.name != "__pycache__":
            yield f"{path.name} lies beside what was installed, and no distribution brought it"


def _found(site: Path | None) -> Iterable[metadata.Distribution]:
    return metadata.distributions(path=[str(site)]) if site else metadata.distributions()


def _name(one: metadata.Distribution) -> str:
    return normalise(one.metadata["Name"])


def _record(one: metadata.Distribution) -> str | None:
    """The RECORD of what came in a wheel; None of what did not."""
    text = one.read_text("RECORD")
    return None if text is None or any(path.startswith("__editable__") for path, _ in _recorded(text)) else text


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
