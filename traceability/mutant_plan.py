"""Which mutants are to be run, and running them within the time of each requirement. Every result is a record."""

import ast
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from traceability import mutations
from traceability.citations import Unit
from traceability.inputs import Inputs
from traceability.levels import unfit
from traceability.marks import implements
from traceability.mutant_records import MutantRecord
from traceability.mutant_runs import Baseline, Fate
from traceability.mutations import Mutant
from traceability.results import Node

LEVEL = 4


class Bench(Protocol):
    """Where mutants are run; `mutant_runs.Workshop` is one."""

    def baseline(self, tests: Sequence[str], seed: int) -> Baseline: ...

    def fate(self, file: str, mutant: Mutant, known: Baseline) -> Fate: ...

    def confirm(self, known: Baseline) -> None: ...


class Task(Struct, frozen=True, kw_only=True):
    """The mutants of one unit, for one requirement. `arguments` are what pytest is given to run its claims."""

    requirement: str
    unit: Unit
    tests: dict[str, str]
    arguments: tuple[str, ...]
    why_not: str = ""
    """Why they cannot be run; empty where they can."""


@implements("REQ-TRC-006")
def tasks(inputs: Inputs, chosen: frozenset[str] = frozenset()) -> list[Task]:
    """The tasks of all requirements whose class demands mutants, or of `chosen` alone."""
    units = {unit.id: unit for unit in inputs.units}
    found: list[Task] = []
    for requirement in sorted(inputs.requirements, key=lambda item: item.id):
        if requirement.status != "active" or requirement.verification != "test":
            continue
        demands = inputs.settings.levels[requirement.safety_class] >= LEVEL
        if requirement.id not in chosen if chosen else not demands:
            continue
        marks = [mark for mark in inputs.citations if mark.requirement == requirement.id]
        claims = sorted({mark.target for mark in marks if mark.kind == "test"})
        cited = sorted({mark.target for mark in marks if mark.kind == "implementation"})
        found += [
            _task(inputs, requirement.id, units[name], claims) for name in cited if units[name].language == "python"
        ]
    return found


@implements("REQ-TRC-006")
def moved(inputs: Inputs, found: Iterable[Task]) -> list[Task]:
    """Those of which no record holds."""
    fresh = []
    for task in found:
        record = inputs.mutants.get((task.requirement, task.unit.id))
        if record is None or not record.holds(inputs.fingerprints[task.unit.id], task.tests):
            fresh.append(task)
    return fresh


@implements("REQ-TRC-006")
def run(bench: Bench, root: Path, inputs: Inputs, own: Sequence[Task]) -> Iterator[MutantRecord]:
    """The records of `own`, the tasks of one requirement: their mutants take turns until the time is up."""
    settings = inputs.settings
    runs = [_Run(bench, root, inputs, task) for task in own]
    end = time.monotonic() + settings.mutants_budget_s
    while waiting := [one for one in runs if one.waiting]:
        for one in waiting:
            if time.monotonic() >= end:
                break
            one.step()
        else:
            continue
        break
    for one in runs:
        yield one.record()


class _Run:
    """One task under way."""

    def __init__(self, bench: Bench, root: Path, inputs: Inputs, task: Task) -> None:
        source = (root / task.unit.file).read_bytes()
        settings = inputs.settings
        self._bench, self._task, self._inputs = bench, task, inputs
        self.waiting = mutations.of(source, ast.parse(source), task.unit, settings.mutants_seed)
        self.waiting.reverse()  # so that the next one is the last
        self._baseline = bench.baseline(task.arguments, settings.mutants_seed) if self.waiting else None
        self._total, self._killed = len(self.waiting), 0
        self._survivors: list[Mutant] = []

    def step(self) -> None:
        mutant = self.waiting.pop()
        assert self._baseline is not None
        fate = self._bench.fate(self._task.unit.file, mutant, self._baseline)
        if fate == "killed":
            self._killed += 1
        elif fate == "survived":
            self._survivors.append(mutant)
        else:
            self._total -= 1

    def record(self) -> MutantRecord:
        if self._baseline is not None and self._killed:
            self._bench.confirm(self._baseline)
        settings, unit = self._inputs.settings, self._task.unit
        survivors = sorted(self._survivors, key=lambda mutant: (mutant.start, mutant.end, mutant.text))
        return MutantRecord(
            requirement=self._task.requirement, unit=unit.id, unit_fingerprint=self._inputs.fingerprints[unit.id],
            tests=self._task.tests, total=self._total, tried=self._total - len(self.waiting), killed=self._killed,
            survivors=tuple(f"{unit.file}:{mutant.line}: {mutant.what}" for mutant in survivors),
            exhausted=bool(self.waiting), seed=settings.mutants_seed, budget_s=settings.mutants_budget_s,
        )  # fmt: skip


def _task(inputs: Inputs, requirement: str, unit: Unit, claims: Sequence[str]) -> Task:
    nodes = [node for claim in claims for node in _claiming(inputs, requirement, claim)]
    ran = inputs.executed.ran.get(unit.id, frozenset())
    chosen = [node for node in nodes if node.node in ran] if unit.executable else nodes
    why_not = next((why for claim in claims if (why := unfit(_claiming(inputs, requirement, claim)))), "")
    if not claims:
        why_not = "no test claims the requirement"
    elif not chosen and not why_not:
        why_not = "no test that claims the requirement ran it"
    return Task(
        requirement=requirement, unit=unit, tests={claim: inputs.fingerprints.get(claim, "") for claim in claims},
        arguments=_arguments(inputs.nodes_by_test, chosen), why_not=why_not,
    )  # fmt: skip


def _claiming(inputs: Inputs, requirement: str, test: str) -> tuple[Node, ...]:
    nodes = inputs.nodes_by_test.get(test, ())
    return tuple(node for node in nodes if requirement in node.verifies) or nodes


def _arguments(by_test: Mapping[str, Sequence[Node]], nodes: Sequence[Node]) -> tuple[str, ...]:
    """What pytest is given: whole functions where all their nodes are meant; the quickest first."""
    quickest = sorted(nodes, key=lambda node: node.duration_us)
    meant = {node.node for node in nodes}
    whole = {
        node.node: node.node.partition("[")[0]
        for own in by_test.values()
        if all(other.node in meant for other in own)
        for node in own
    }
    return tuple(dict.fromkeys(whole.get(node.node, node.node) for node in quickest))
