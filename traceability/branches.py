"""The branches of a unit of Python: which ways there are through it, and which of them were taken.

Where coverage's own analysis says that a line can be followed by more than one line, each of these is a branch. Each
function of the unit adds one: that it is called at all. What is excluded from a coverage report by a comment counts
here like everything else. A branch within one line (`and`, `or`, a conditional expression) is not seen: mutants are.
"""

from collections import defaultdict
from collections.abc import Iterable

from coverage.parser import PythonParser

from traceability.citations import Unit
from traceability.inputs import Arc


class Ways:
    """The ways through one file."""

    def __init__(self, text: str, file: str) -> None:
        self._parser = PythonParser(text=text, filename=file)
        self._parser.parse_source()
        exits: defaultdict[int, set[int]] = defaultdict(set)
        for start, end in self._parser.arcs():
            exits[start].add(end)
        self._forks = {start: ends for start, ends in exits.items() if len(ends) > 1}
        self._only = {start: next(iter(ends)) for start, ends in exits.items() if len(ends) == 1}

    def of(self, unit: Unit) -> frozenset[Arc]:
        """Its branches; (0, n) is that of entering the body that begins at line n."""
        first_line = self._parser.first_line
        found = {(0, first) for first, _ in unit.bodies} | {(0, -line) for line in unit.entries}
        for first, last in unit.bodies:
            for start, ends in self._forks.items():
                if first <= start <= last:
                    found |= {(first_line(start), end) for end in ends}
        return frozenset(found)

    def taken(self, unit: Unit, steps: Iterable[Arc], possible: frozenset[Arc]) -> frozenset[Arc]:
        """Those of `possible`, the branches of `unit`, that these steps took."""
        steps = set(steps)
        # coverage's own rule: a line that follows itself, such as one of several statements, went its only way
        moved = {(start, self._only.get(start, end)) if start == end else (start, end) for start, end in steps}
        found = {arc for arc in self._parser.translate_arcs(moved) if arc in possible}
        lines = {end for _, end in steps if end > 0}
        entered = {start for start, _ in steps if start < 0}
        found |= {(0, first) for first, last in unit.bodies if any(first <= line <= last for line in lines)}
        found |= {(0, -line) for line in unit.entries if -line in entered}
        return frozenset(found & possible)
