"""A project on disk: its settings, its requirements, and what the matrix is made of. The part that reads files.

`gather` is what `matrix.build` takes. It reads each file once, and only as text.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from traceability import blocks, executed, identifiers, mutant_records, places, reading, results, settings, standing
from traceability.citations import Citation, Fault
from traceability.errors import ConfigurationInvalid, EvidenceMissing
from traceability.inputs import Inputs
from traceability.mutant_records import MutantRecords
from traceability.places import PYPROJECT
from traceability.requirements import Requirements
from traceability.results import COVERAGE, RESULTS, Results
from traceability.settings import Settings
from traceability.standing import Sources

_BY_BRANCHES: Final = 3  # the level from which on branches are looked at


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
    sources = _sources(root, chosen, code=(), tests=())
    return standing.written(sources.requirements, list(standing.foreign(sources, chosen)))


def gather(root: Path, evidence: Path | None = None) -> Inputs:
    """Everything that is known of the project at `root`. Raises `TraceError` where something cannot be read.

    `evidence` is the folder that a test run left, where it is not the one that the settings name.
    """
    chosen = settings_of(root)
    place = evidence or root / chosen.evidence
    sources = _sources(root, chosen, chosen.code, chosen.tests)
    known = standing.known(sources, chosen, place)
    run = results_of(place)
    cited = reading.merged(known.readings, run)
    demanded = _demanded(chosen, known.written, cited.citations)
    stepwise = frozenset(unit for unit, level in demanded.items() if level >= _BY_BRANCHES)
    seen = executed.read(place / COVERAGE, run, cited.units, stepwise)
    possible, taken = reading.branches(sources.code, cited.units, stepwise, seen)
    return Inputs(
        settings=chosen, requirements=known.written.requirements, hazards=known.written.hazards,
        origins=known.written.origins, citations=cited.citations, units=cited.units, public=cited.public,
        tests=cited.tests, faults=(*cited.faults, *ids_outdated(root, chosen, known.written)),
        fingerprints=known.fingerprints, results=run, executed=seen, branches=possible, taken=taken,
        mutants=mutants_of(root, chosen).by_link(), stale=_stale(sources, run),
        records=frozenset(
            item.record for item in known.written.requirements if item.record and (root / item.record).is_file()
        ),
    )  # fmt: skip


def marked(root: Path, chosen: Settings, *, every: bool) -> list[str]:
    """The Python files of the code that hold a mark of ours; all of them where others' marks are read besides."""
    found = places.contents(root, places.names(root, chosen.code, {".py"}))
    return [file for file, body in found.items() if every or b"implements" in body]


def digests(root: Path, chosen: Settings) -> dict[str, str]:
    """SHA-256 of every Python file of code and tests, by its path from `root`."""
    found = places.contents(root, places.names(root, (*chosen.code, *chosen.tests), {".py"}))
    return {file: hashlib.sha256(body).hexdigest() for file, body in found.items()}


def _sources(root: Path, chosen: Settings, code: Iterable[str], tests: Iterable[str]) -> Sources:
    def read(at: Iterable[str], *suffixes: str) -> dict[str, bytes]:
        return places.contents(root, places.names(root, tuple(at), suffixes or None))

    spoken = (name for name in places.names(root, tuple(code)) if name.endswith(".py") or blocks.language(name))
    return Sources(
        requirements=read(chosen.requirements, ".toml"), specifications=read(chosen.specifications, ".md", ".markdown"),
        lobster=read(chosen.lobster), code=places.contents(root, spoken), tests=read(tests, ".py"),
    )  # fmt: skip


def _stale(sources: Sources, run: Results) -> frozenset[str]:
    """The Python files that have changed since the run, or are new."""
    both = {**sources.code, **sources.tests}
    return frozenset(
        file
        for file, body in both.items()
        if file.endswith(".py") and run.files.get(file) != hashlib.sha256(body).hexdigest()
    )


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
