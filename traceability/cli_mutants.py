"""`medai trace mutants`: whether the claiming tests notice changed code. `make mutants` runs it."""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from traceability import mutant_plan, mutant_records, mutant_runs, project
from traceability.errors import TraceError
from traceability.inputs import Inputs
from traceability.mutant_plan import Task
from traceability.mutant_records import MutantRecord

EXIT_UNDONE: Final = 3

Records = dict[tuple[str, str], MutantRecord]


def mutants(arguments: Sequence[str]) -> int:
    """Run the mutants of what moved: 0 where all were run, 3 where some could not be. `check` judges the survivors."""
    given = _parsed(arguments)
    root = given.root.absolute()
    try:
        inputs = project.gather(root, given.evidence)
        every = mutant_plan.tasks(inputs, frozenset(given.requirement))
        waiting = every if given.anew else mutant_plan.moved(inputs, every)
        records = _kept(inputs, every, filtered=bool(given.requirement))
        possible = [task for task in waiting if not task.why_not]
        print(f"mutants: {len(every) - len(waiting)} of {len(every)} units are known, {len(possible)} are to be run")
        undone = [f"{task.requirement}: {task.unit.id}: {task.why_not}" for task in waiting if task.why_not]
        if possible:
            undone += _run(root, inputs, possible, records, end=time.monotonic() + given.within)
        _write(root, inputs, records)
    except TraceError as error:
        print(f"medai: {error.code}: {error}", file=sys.stderr)
        return EXIT_UNDONE
    for line in undone:
        print(f"not run: {line}")
    return EXIT_UNDONE if undone else 0


def _run(root: Path, inputs: Inputs, possible: Sequence[Task], records: Records, *, end: float) -> list[str]:
    """What could not be run, and why; nothing is begun after `end`. What is interrupted has lost one requirement's."""
    undone: list[str] = []
    with mutant_runs.opened(root, inputs.settings) as workshop:
        for requirement, own in groupby(possible, key=lambda task: task.requirement):
            if time.monotonic() >= end:
                undone.append(f"{requirement}: the time of this command was up: run it again, and commit what it found")
                continue
            try:
                for record in mutant_plan.run(workshop, root, inputs, list(own)):
                    records[record.requirement, record.unit] = record
                    print(_words(record), flush=True)
            except TraceError as error:
                undone.append(f"{requirement}: {error}")
            _write(root, inputs, records)
    return undone


def _kept(inputs: Inputs, every: Sequence[Task], *, filtered: bool) -> Records:
    """The records so far; where all requirements are looked at, without those that are about no link any more."""
    links = {(task.requirement, task.unit.id) for task in every}
    return {link: record for link, record in inputs.mutants.items() if filtered or link in links}


def _write(root: Path, inputs: Inputs, records: Mapping[tuple[str, str], MutantRecord]) -> None:
    file = root / inputs.settings.mutants
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mutant_records.encode(records.values()))


def _words(record: MutantRecord) -> str:
    time_up = f", the time was up after {record.tried} of {record.total}" if record.exhausted else ""
    survivors = "".join(f"\n    survived: {survivor}" for survivor in record.survivors)
    return f"{record.requirement}: {record.unit}: {record.killed} of {record.tried} killed{time_up}{survivors}"


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="medai trace mutants",
        description="change the code that cites requirements, and see whether their tests notice",
    )
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the project (default: this folder)")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="what a test run left, where it is elsewhere")
    parser.add_argument(
        "--requirement", action="append", default=[], metavar="ID", help="only of these, whatever their class"
    )
    parser.add_argument("--anew", action="store_true", help="also those whose code and tests have not moved")
    parser.add_argument(
        "--within", type=float, default=math.inf, metavar="SECONDS", help="begin no requirement later than this"
    )
    return parser.parse_args(arguments)
