"""Which test ran which lines in its run phase, from the data that coverage.py left.

The data is a database of coverage's own format. It is believed only where the self-check holds: the line of the
probe must show the context of each of its runs, those before the first test and the one after the last. Where it does
not, or there is no data, everything is "unavailable": nothing is then known, which is not the same as nothing ran.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from traceability.citations import Unit
from traceability.inputs import Arc, Executed
from traceability.marks import implements
from traceability.results import CORE_CLASS, RUN_PHASE, Results
from traceability.rows import Coverage

_ROOM: Final = 1_000_000  # more lines than a file has: one number holds file and line
_SIGN: Final = 2 * _ROOM


def unavailable(why: str) -> Executed:
    return Executed(coverage=Coverage(available=False, why=why))


@implements("REQ-TRC-004")
def read(database: Path, results: Results, units: Iterable[Unit], stepwise: frozenset[str]) -> Executed:
    """What is known of `units`; of those in `stepwise` also the single steps."""
    if results.tracing.why_not:
        return unavailable(results.tracing.why_not)
    if not database.is_file():
        return unavailable(f"{database.name} is not there")
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            if why := _doubt(connection, results):
                return unavailable(why)
            return _read(connection, results.root, units, stepwise)
    except sqlite3.Error as error:
        return unavailable(f"{database.name} cannot be read: {error}")


def _doubt(connection: sqlite3.Connection, results: Results) -> str:
    """Why the data is not to be believed; empty where the self-check holds."""
    tracing = results.tracing
    if tracing.core != CORE_CLASS:
        return f"coverage ran with the core {tracing.core!r} and not with {CORE_CLASS}, which alone sees each context"
    if ("has_arcs", "1") not in {(key, str(value)) for key, value in connection.execute("SELECT key, value FROM meta")}:
        return "coverage was taken without branches"
    rows = connection.execute(
        "SELECT context FROM context JOIN arc ON arc.context_id = context.id JOIN file ON file.id = arc.file_id "
        "WHERE file.path = ? AND arc.tono = ?",
        (str(Path(results.root) / tracing.probe), tracing.probe_line),
    )
    missing = sorted(set(tracing.probes) - {row[0] for row in rows})
    if missing or len(tracing.probes) < 2:
        return f"the self-check failed: one line was run in several contexts, and {', '.join(missing)} is not seen"
    return ""


def _read(connection: sqlite3.Connection, root: str, units: Iterable[Unit], stepwise: frozenset[str]) -> Executed:
    files = {path: number for number, path in connection.execute("SELECT id, path FROM file")}
    nodes = {
        number: context.removesuffix(RUN_PHASE)
        for number, context in connection.execute("SELECT id, context FROM context")
        if context.endswith(RUN_PHASE)
    }
    lines, entries = _places(units, files, root)
    connection.execute("CREATE TEMP TABLE wanted (place INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO wanted VALUES (?)", ((place,) for place in {*lines, *entries}))
    ran: dict[str, set[int]] = {}
    arcs: dict[str, dict[str, set[Arc]]] = {}
    rows = connection.execute(
        "SELECT context_id, file_id, fromno, tono FROM arc WHERE file_id * ? + tono IN wanted "
        "OR file_id * ? + fromno IN wanted",
        (_SIGN, _SIGN),
    )
    for context, file, start, end in rows:
        node = nodes.get(context)
        if node is None:
            continue
        reached = lines.get(file * _SIGN + end, ()) if end > 0 else ()
        entered = entries.get(file * _SIGN + start, ()) if start < 0 else ()
        for unit in (*reached, *entered):
            ran.setdefault(unit, set()).add(context)
        left = lines.get(file * _SIGN + start, ()) if start > 0 else ()
        for unit in {*reached, *entered, *left}:
            if unit in stepwise:
                arcs.setdefault(unit, {}).setdefault(node, set()).add((start, end))
    return Executed(
        coverage=Coverage(available=True),
        ran={unit: frozenset(nodes[context] for context in contexts) for unit, contexts in ran.items()},
        arcs={unit: {node: frozenset(steps) for node, steps in by.items()} for unit, by in arcs.items()},
    )


def _places(
    units: Iterable[Unit], files: Mapping[str, int], root: str
) -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """The units by the lines of their bodies, and by the lines at which a function that shares its line is entered."""
    lines: dict[int, tuple[str, ...]] = {}
    entries: dict[int, tuple[str, ...]] = {}
    for unit in units:
        file = files.get(f"{root}/{unit.file}")
        if file is None or not unit.executable:
            continue
        for line in unit.entries:
            place = file * _SIGN - line
            entries[place] = (*entries.get(place, ()), unit.id)
        for first, last in unit.bodies:
            for line in range(first, last + 1):
                place = file * _SIGN + line
                lines[place] = (*lines.get(place, ()), unit.id)
    return lines, entries
