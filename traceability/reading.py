"""All files of a project, each read once and only as text, and what they say together."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from traceability import blocks, fingerprints, python_source
from traceability.citations import Citation, Fault, Reading, Test, Unit
from traceability.errors import SourceInvalid
from traceability.inputs import Arc, Executed
from traceability.lobster import Placed
from traceability.python_source import MODULE_NAME
from traceability.requirements import Hazard, Requirement
from traceability.results import Results


class Tree:
    """The files of code and tests, by their paths from the root, parsed."""

    def __init__(self, code: Mapping[str, bytes], tests: Mapping[str, bytes], dialects: frozenset[str]) -> None:
        self._dialects = dialects
        self.readings: list[Reading] = []
        self.texts: dict[str, str] = {}
        self.parsed: dict[str, ast.Module] = {}
        faults: list[str] = []
        roles: list[tuple[Mapping[str, bytes], python_source.Role]] = [(tests, "tests"), (code, "code")]
        for contents, role in roles:
            for file, raw in contents.items():
                if role == "code" and file in tests:
                    continue  # tests among the code are tests
                try:
                    self._read(file, raw, role)
                except SourceInvalid as error:
                    faults.append(str(error))
        if faults:
            raise SourceInvalid("\n".join(faults))

    def _read(self, file: str, raw: bytes, role: python_source.Role) -> None:
        spoken = "python" if file.endswith(".py") else blocks.language(file)
        if spoken is None:
            return
        text = decoded(file, raw)
        if spoken != "python":
            self.readings.append(blocks.read(text, file, spoken, self._dialects))
            return
        self.texts[file] = text
        self.parsed[file] = python_source.parse(text, file)
        self.readings.append(python_source.read(self.parsed[file], text, file, role, self._dialects))


def decoded(file: str, raw: bytes) -> str:
    """The text of a file. Raises `SourceInvalid` where it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceInvalid(f"{file}:1: not UTF-8: {error}: save it as UTF-8, or take it out of the code") from error


def located(tree: Tree, placed: Iterable[Placed]) -> Iterator[Reading]:
    """What other tools say of places in the source, as if a mark stood there."""
    for place in placed:
        parsed = tree.parsed.get(place.file)
        found = python_source.at(parsed, place.file, place.line) if parsed is not None else None
        target = found.id if found else f"{place.file}:{place.line}"
        citation = Citation(
            requirement=place.requirement, kind=place.kind, file=place.file, line=place.line, target=target,
            reason=place.reason, dialect="lobster",
        )  # fmt: skip
        if place.kind == "test":
            test = Test(
                id=target, file=place.file, name=found.name if found else target, line=place.line,
                first_line=found.first_line if found else place.line,
                last_line=found.last_line if found else place.line,
            )  # fmt: skip
            yield Reading(file=place.file, citations=(citation,), tests=(test,))
        elif place.kind == "implementation":
            unit = found or _elsewhere(place, target)
            yield Reading(file=place.file, citations=(citation,), units=(unit,))
        else:
            yield Reading(file=place.file, citations=(citation,))


def _elsewhere(place: Placed, name: str) -> Unit:
    """A unit in a file that is not read: nothing is known of it but its place."""
    line = place.line
    return Unit(
        id=name, file=place.file, name=name, kind="block", line=line, first_line=line, last_line=line,
        language="unknown", text=name,
    )  # fmt: skip


class Cited(Struct, frozen=True, kw_only=True):
    """What the readings say together."""

    citations: tuple[Citation, ...]
    units: tuple[Unit, ...]
    public: tuple[Unit, ...]
    tests: tuple[Test, ...]
    faults: tuple[Fault, ...]


def merged(readings: Iterable[Reading], run: Results) -> Cited:
    """All readings, and the claims that pytest saw and no file shows, such as those of a class's parent elsewhere."""
    readings = list(readings)
    tests = {test.id: test for reading in readings for test in reading.tests}
    citations = [citation for reading in readings for citation in reading.citations]
    claimed = {(mark.target, mark.requirement) for mark in citations if mark.kind == "test"}
    placed = {(test.file, test.first_line): test.id for test in tests.values()}
    for node in run.nodes:
        own = f"{node.node.partition('::')[0]}::{node.name}"
        target = own if own in tests else placed.get((node.file, node.line), own)
        for requirement in node.verifies:
            if (target, requirement) in claimed:
                continue
            claimed.add((target, requirement))
            tests.setdefault(
                target,
                Test(
                    id=target, file=node.file, name=node.name, line=node.line, first_line=node.line, last_line=node.line
                ),
            )
            citations.append(
                Citation(requirement=requirement, kind="test", file=node.file, line=node.line, target=target)
            )
    return Cited(
        citations=tuple(citations),
        units=tuple({unit.id: unit for reading in readings for unit in reading.units}.values()),
        public=tuple(unit for reading in readings for unit in reading.public),
        tests=tuple(tests.values()),
        faults=tuple(fault for reading in readings for fault in reading.faults),
    )


def branches(
    sources: Mapping[str, bytes], units: Iterable[Unit], stepwise: frozenset[str], seen: Executed
) -> tuple[dict[str, frozenset[Arc]], dict[str, dict[str, frozenset[Arc]]]]:
    """The branches of the units in `stepwise`, and which node took which of them."""
    by_file: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.id in stepwise and unit.executable:
            by_file.setdefault(unit.file, []).append(unit)
    if not by_file:
        return {}, {}
    from traceability.branches import Ways  # coverage's parser is slow to import, and not always asked for

    possible: dict[str, frozenset[Arc]] = {}
    taken: dict[str, dict[str, frozenset[Arc]]] = {}
    for file, own in by_file.items():
        ways = Ways(decoded(file, sources[file]), file)
        for unit in own:
            possible[unit.id] = ways.of(unit)
            steps = seen.arcs.get(unit.id, {})
            taken[unit.id] = {node: ways.taken(unit, arcs, possible[unit.id]) for node, arcs in steps.items()}
    return possible, taken


def fingerprinted(
    tree: Tree, readings: Iterable[Reading], requirements: Iterable[Requirement], hazards: Iterable[Hazard]
) -> dict[str, str]:
    """The fingerprints of all that a review or a record of mutants is about."""
    modules = _Modules(tree.parsed)
    found = {item.id: fingerprints.of_requirement(item) for item in requirements}
    found |= {item.id: fingerprints.of_hazard(item) for item in hazards}
    for reading in readings:
        module = modules.of_file(reading.file)
        for unit in reading.units:
            found[unit.id] = _of_unit(unit, module, modules, tree)
        for test in reading.tests:
            is_there = module is not None and test.name in module.units
            found[test.id] = fingerprints.of_test(module, test.name, modules) if module and is_there else ""
    return found


def _of_unit(unit: Unit, module: fingerprints.Module | None, modules: "_Modules", tree: Tree) -> str:
    if module is None:
        return fingerprints.of_block(unit.text)
    if unit.name == MODULE_NAME:
        names = [*(name for name in module.units if "." not in name), *module.constants]
    else:
        names = unit.name.split(", ")
    if names and all(name in module.units or name in module.constants for name in names):
        digests = [fingerprints.of_unit(module, name, modules) for name in sorted(set(names))]
        return digests[0] if len(digests) == 1 else fingerprints.of_block("\n".join(digests))
    lines = tree.texts[unit.file].splitlines()[unit.first_line - 1 : unit.last_line]
    return fingerprints.of_block("\n".join(lines))


class _Modules(Mapping[str, fingerprints.Module]):
    """The modules by their dotted names, each read when it is first asked for."""

    def __init__(self, parsed: Mapping[str, ast.Module]) -> None:
        self._parsed = parsed
        packages = {file.rpartition("/")[0] for file in parsed if file.rpartition("/")[2] == "__init__.py"}
        self._files: Final = {_dotted(file, packages): file for file in parsed}
        self._packages = packages
        self._read: dict[str, fingerprints.Module] = {}

    def of_file(self, file: str) -> fingerprints.Module | None:
        """Two files may have one name, as tests in two folders do: each is read for itself."""
        if file not in self._read and file in self._parsed:
            name = _dotted(file, self._packages)
            package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
            self._read[file] = fingerprints.read(self._parsed[file], package)
        return self._read.get(file)

    def __getitem__(self, name: str) -> fingerprints.Module:
        found = self.of_file(self._files[name])
        assert found is not None
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _dotted(file: str, packages: set[str]) -> str:
    """The name by which `file` is imported: from the outermost folder that is a package."""
    folder, _, name = file.rpartition("/")
    parts = [] if name == "__init__.py" else [name.removesuffix(".py")]
    while folder in packages and folder:
        folder, _, part = folder.rpartition("/")
        parts.insert(0, part)
    return ".".join(parts) if parts else file
