"""A project on disk: its settings, its requirements, and what the matrix is made of. The part that reads files.

`gather` is what `matrix.build` takes. It reads each file once, and only as text.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from traceability import (
    executed,
    identifiers,
    lobster,
    mutant_records,
    openfasttrace,
    reading,
    requirements,
    results,
    settings,
)
from traceability.citations import Citation, Fault
from traceability.errors import ConfigurationInvalid, EvidenceMissing, RequirementInvalid
from traceability.inputs import Inputs
from traceability.mutant_records import MutantRecords
from traceability.requirements import Document, Hazard, Origin, Requirement
from traceability.results import COVERAGE, RESULTS, Results
from traceability.settings import Settings

PYPROJECT: Final = "pyproject.toml"
_BY_BRANCHES: Final = 3  # the level from which on branches are looked at
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
    imported = [
        *(item for found in _lobster(root, chosen) for item in found.requirements),
        *_specified(root, chosen),
    ]
    return Requirements(
        requirements=(*(item for document in documents for item in document.requirements), *imported),
        hazards=tuple(item for document in documents for item in document.hazards),
        origins=tuple(item for document in documents for item in document.origins),
    )


def _specified(root: Path, chosen: Settings) -> Iterator[Requirement]:
    for path in files(root, chosen.specifications, {".md", ".markdown"}):
        file = path.relative_to(root).as_posix()
        yield from openfasttrace.parse(path.read_text("utf-8"), file, chosen.imported_class)


def _lobster(root: Path, chosen: Settings) -> list[lobster.Found]:
    found = files(root, chosen.lobster)
    return [
        lobster.parse(path.read_bytes(), path.relative_to(root).as_posix(), chosen.imported_class) for path in found
    ]


def gather(root: Path, evidence: Path | None = None) -> Inputs:
    """Everything that is known of the project at `root`. Raises `TraceError` where something cannot be read.

    `evidence` is the folder that a test run left, where it is not the one that the settings name.
    """
    chosen = settings_of(root)
    written = requirements_of(root, chosen)
    place = evidence or root / chosen.evidence
    run = results_of(place)
    code, tests = list(files(root, chosen.code)), list(files(root, chosen.tests, {".py"}))
    tree = reading.Tree(root, code, tests, frozenset(chosen.readers))
    foreign = [place for found in _lobster(root, chosen) for place in found.placed]
    cited = reading.merged([*tree.readings, *reading.located(tree, foreign)], run)
    demanded = _demanded(chosen, written, cited.citations)
    stepwise = frozenset(unit for unit, level in demanded.items() if level >= _BY_BRANCHES)
    seen = executed.read(place / COVERAGE, run, cited.units, stepwise)
    possible, taken = reading.branches(tree, cited.units, stepwise, seen)
    return Inputs(
        settings=chosen, requirements=written.requirements, hazards=written.hazards, origins=written.origins,
        citations=cited.citations, units=cited.units, public=cited.public, tests=cited.tests,
        faults=(*cited.faults, *ids_outdated(root, chosen, written)),
        fingerprints=reading.fingerprinted(tree, cited, written.requirements, written.hazards),
        results=run, executed=seen, branches=possible, taken=taken,
        mutants=mutants_of(root, chosen).by_link(),
        stale=frozenset(file for file, digest in tree.digests.items() if run.files.get(file) != digest),
        records=frozenset(
            item.record for item in written.requirements if item.record and (root / item.record).is_file()
        ),
    )  # fmt: skip


def ids_outdated(root: Path, chosen: Settings, written: Requirements) -> tuple[Fault, ...]:
    """A fault where the module of the marks was made from other requirements."""
    if not chosen.marks:
        return ()
    file = root / chosen.marks
    if file.is_file() and file.read_text("utf-8") == identifiers.render(written.requirements):
        return ()
    said = "the ids in it are not those of the requirements"
    return (
        Fault(
            code="outdated", subject=chosen.marks, file=chosen.marks, line=1, text=said, remedy="run `medai trace ids`"
        ),
    )


def _demanded(chosen: Settings, written: Requirements, citations: Iterable[Citation]) -> dict[str, int]:
    """The highest level that any requirement demands of each unit."""
    levels = {item.id: chosen.levels[item.safety_class] for item in written.requirements if item.status == "active"}
    found: dict[str, int] = {}
    for citation in citations:
        if citation.kind == "implementation":
            level = levels.get(citation.requirement, 0)
            found[citation.target] = max(found.get(citation.target, 0), level)
    return found


def results_of(evidence: Path) -> Results:
    """What the last test run left. Raises `EvidenceMissing` where none has."""
    file = evidence / RESULTS
    try:
        return results.decode(file.read_bytes(), str(file))
    except FileNotFoundError as error:
        said = f"{file} is not there: run the tests with `pytest -p traceability.plugin --evidence`"
        raise EvidenceMissing(said) from error


def mutants_of(root: Path, chosen: Settings) -> MutantRecords:
    """What is known of mutants; nothing where they were never tried."""
    file = root / chosen.mutants
    return mutant_records.decode(file.read_bytes(), chosen.mutants) if file.is_file() else mutant_records.NOTHING


def files(root: Path, places: Sequence[str], suffixes: Iterable[str] | None = None) -> Iterator[Path]:
    """Every file at `places`, sorted; made things are passed over. A place that is not there is an error."""
    wanted = None if suffixes is None else frozenset(suffixes)
    verify_places(root, places)
    for place in places:
        start = root / place
        found = [start] if start.is_file() else sorted(start.rglob("*"))
        for path in found:
            if path.is_file() and (wanted is None or path.suffix in wanted) and not _is_made(path.relative_to(root)):
                yield path


def verify_places(root: Path, places: Sequence[str]) -> None:
    """Every one of `places` is there. Raises `ConfigurationInvalid` for the first that is not."""
    for place in places:
        if not (root / place).exists():
            said = f"{PYPROJECT}: [{settings.TABLE}] names {place!r}, which is not there: make it, or take it out"
            raise ConfigurationInvalid(said)


def digests(root: Path, chosen: Settings) -> dict[str, str]:
    """SHA-256 of every Python file of code and tests, by its path from `root`."""
    found = files(root, (*chosen.code, *chosen.tests), {".py"})
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _is_made(path: Path) -> bool:
    return not _PASSED_OVER.isdisjoint(path.parts)
