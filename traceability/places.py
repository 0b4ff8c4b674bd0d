"""The files at the places that a project names, in one order everywhere, and nothing that is made."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from traceability.errors import ConfigurationInvalid

PYPROJECT: Final = "pyproject.toml"
_PASSED_OVER: Final = frozenset(
    {"__pycache__", ".git", ".venv", "node_modules", "build", ".mypy_cache", ".pytest_cache"}
)


def names(root: Path, places: Sequence[str], suffixes: Iterable[str] | None = None) -> list[str]:
    """The paths from `root` of the files at `places`, each once. A place that is not there is an error."""
    verify(root, places)
    wanted = None if suffixes is None else tuple(suffixes)
    found = (name for place in places for name in _at(str(root), place.rstrip("/")))
    return [name for name in dict.fromkeys(found) if wanted is None or name.endswith(wanted)]


def files(root: Path, places: Sequence[str], suffixes: Iterable[str] | None = None) -> Iterator[Path]:
    """As `names`, as paths."""
    return (root / name for name in names(root, places, suffixes))


def contents(root: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """What is in the files of these names, which are paths from `root`."""
    found = {}
    for name in wanted:
        with open(f"{root}/{name}", "rb") as file:
            found[name] = file.read()
    return found


def verify(root: Path, places: Sequence[str]) -> None:
    """Every one of `places` is there. Raises `ConfigurationInvalid` for the first that is not."""
    for place in places:
        if not (root / place).exists():
            said = f"{PYPROJECT}: [tool.medai.trace] names {place!r}, which is not there: make it, or take it out"
            raise ConfigurationInvalid(said)


def _at(root: str, place: str) -> Iterator[str]:
    if os.path.isfile(f"{root}/{place}"):
        yield place
        return
    with os.scandir(f"{root}/{place}") as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries if entry.name not in _PASSED_OVER)
    for name, is_folder in found:
        path = name if place in ("", ".") else f"{place}/{name}"
        if is_folder:
            yield from _at(root, path)
        else:
            yield path
