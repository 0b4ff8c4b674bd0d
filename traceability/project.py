"""A project on disk: its settings, its requirements, and what the matrix is made of. The part that reads files."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from traceability import requirements, settings
from traceability.errors import ConfigurationInvalid, RequirementInvalid
from traceability.requirements import Document, Hazard, Origin, Requirement
from traceability.settings import Settings

PYPROJECT: Final = "pyproject.toml"
_PASSED_OVER: Final = frozenset(
    {"__pycache__", ".git", ".venv", "node_modules", "build", ".mypy_cache", ".pytest_cache"}
)


class Requirements(Struct, frozen=True, kw_only=True):
    """All requirements and hazards of a project, in the order of files and lines."""

    requirements: tuple[Requirement, ...]
    hazards: tuple[Hazard, ...]
    origins: tuple[Origin, ...]

    def ids(self) -> frozenset[str]:
        return frozenset(requirement.id for requirement in self.requirements)

    def retired(self) -> frozenset[str]:
        return frozenset(requirement.id for requirement in self.requirements if requirement.status == "retired")


def settings_of(root: Path) -> Settings:
    """The settings of the project at `root`. Raises `ConfigurationInvalid` where it has none."""
    file = root / PYPROJECT
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigurationInvalid(f"{file}: cannot be read: {error.strerror}: name the project with --root") from error
    return settings.parse(text, PYPROJECT)


def is_configured(root: Path) -> bool:
    """Whether the project at `root` asks for traceability."""
    file = root / PYPROJECT
    return file.is_file() and settings.is_configured(file.read_text("utf-8"))


def requirements_of(root: Path, chosen: Settings) -> Requirements:
    """Raises `RequirementInvalid` with every fault of every file."""
    documents: list[Document] = []
    faults: list[str] = []
    for path in files(root, chosen.requirements, {".toml"}):
        try:
            documents.append(requirements.parse(path.read_text("utf-8"), path.relative_to(root).as_posix()))
        except RequirementInvalid as error:
            faults.append(str(error))
    if faults:
        raise RequirementInvalid("\n".join(faults))
    return Requirements(
        requirements=tuple(item for document in documents for item in document.requirements),
        hazards=tuple(item for document in documents for item in document.hazards),
        origins=tuple(item for document in documents for item in document.origins),
    )


def files(root: Path, places: Sequence[str], suffixes: Iterable[str] | None = None) -> Iterator[Path]:
    """Every file at `places`, sorted; made things are passed over. A place that is not there is an error."""
    wanted = None if suffixes is None else frozenset(suffixes)
    for place in places:
        start = root / place
        if not start.exists():
            raise ConfigurationInvalid(f"{PYPROJECT}: [{settings.TABLE}] names {place!r}, which is not there")
        found = [start] if start.is_file() else sorted(start.rglob("*"))
        for path in found:
            if path.is_file() and (wanted is None or path.suffix in wanted) and not _is_made(path.relative_to(root)):
                yield path


def digests(root: Path, chosen: Settings) -> dict[str, str]:
    """SHA-256 of every Python file of code and tests, by its path from `root`."""
    found = files(root, (*chosen.code, *chosen.tests), {".py"})
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _is_made(path: Path) -> bool:
    return not _PASSED_OVER.isdisjoint(path.parts)
