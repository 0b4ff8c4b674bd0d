"""What a matrix is made of, as values: `project.gather` fills it, and everything that judges only reads it."""

from functools import cached_property

from msgspec import Struct

from traceability.citations import Citation, Fault, Test, Unit
from traceability.mutant_records import MutantRecord
from traceability.requirements import Hazard, Origin, Requirement, SafetyClass
from traceability.results import Node, Results
from traceability.rows import Coverage
from traceability.settings import Settings

Arc = tuple[int, int]
"""From one line to another; negative: into or out of the function that begins at that line."""


class Executed(Struct, frozen=True, kw_only=True):
    """What is known of executions."""

    coverage: Coverage
    ran: dict[str, frozenset[str]] = {}
    """Unit -> the nodes whose run phase ran a line of its bodies."""
    arcs: dict[str, dict[str, frozenset[Arc]]] = {}
    """Unit -> node -> the steps from line to line that it took there, for the units that were asked for."""


class Inputs(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that was read."""

    settings: Settings
    requirements: tuple[Requirement, ...]
    hazards: tuple[Hazard, ...]
    origins: tuple[Origin, ...]
    citations: tuple[Citation, ...]
    units: tuple[Unit, ...]
    public: tuple[Unit, ...]
    tests: tuple[Test, ...]
    faults: tuple[Fault, ...]
    fingerprints: dict[str, str]
    """Of requirements, hazards, units and tests, by their ids."""
    results: Results
    executed: Executed
    branches: dict[str, frozenset[Arc]]
    """Unit -> its branches, for the units that are judged by them."""
    taken: dict[str, dict[str, frozenset[Arc]]]
    """Unit -> node -> those of its branches that the node took."""
    mutants: dict[tuple[str, str], MutantRecord]
    """By requirement and unit."""
    stale: frozenset[str]
    """Files that have changed since the test run, or are new."""
    records: frozenset[str]
    """Which of the records that requirements name are there."""

    @cached_property
    def classes(self) -> dict[str, SafetyClass]:
        return {requirement.id: requirement.safety_class for requirement in self.requirements}

    @cached_property
    def nodes_by_test(self) -> dict[str, tuple[Node, ...]]:
        """The nodes of each test; an inherited test is found where its function stands."""
        named = {test.id: test.id for test in self.tests}
        placed = {(test.file, test.first_line): test.id for test in self.tests}
        found: dict[str, list[Node]] = {}
        for node in self.results.nodes:
            own = f"{node.node.partition('::')[0]}::{node.name}"
            test = named.get(own) or placed.get((node.file, node.line))
            if test is not None:
                found.setdefault(test, []).append(node)
        return {test: tuple(nodes) for test, nodes in found.items()}
