"""Coverage of a test run, one context for each test's run phase, and the check that it can be believed.

coverage.py calls it "dynamic contexts". Its `sysmon` core, the default of newer Pythons, sees each line only once, so
that the second test over a line would be lost without a word: the core is pinned to `ctrace`. Not to trust a setting,
one line is run in a context of its own twice before the first test and once after the last one; whoever reads the
data requires all three of them (`executed.read`), else there is no level above 1.

Processes that a test starts in its run phase are measured too, with that test's context, by coverage's own start-up
hook; they must be Python, get this process's environment, and come to an orderly end. What a process does that a
fixture started before the run phase cannot be attributed to any one test, and is not.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import coverage

from traceability.results import COVERAGE, RUN_PHASE, Tracing

CORE: Final = "ctrace"
PROBES: Final = ("self-check:first", "self-check:second", "self-check:last")
CONTEXT_VARIABLE: Final = "COVERAGE_TRACE_CONTEXT"
_START_VARIABLE: Final = "COVERAGE_PROCESS_START"  # coverage's own: which configuration a new process takes
_PROBE: Final = "def probe() -> int:\n    return 1\n"
_PROBE_LINE: Final = 2
_NOTHING: Final = ""  # the context of all that proves nothing


class Watch:
    """Coverage for one session: `start`, then `on`, `enter` and `off` as the tests go, `finish`; from one thread."""

    def __init__(self, root: Path, folder: Path, files: Sequence[str], *, children: bool) -> None:
        """To see what runs in `files`, paths from `root`, and in no other: each line that is seen costs time."""
        self._root, self._folder = root, folder
        self._probe_file = folder / "probe.py"
        self._include = [*(str(root / file) for file in files), str(self._probe_file)]
        self._children = folder / "children" if children else None
        self._coverage = coverage.Coverage(
            data_file=str(folder / COVERAGE), branch=True, include=self._include, config_file=False, messages=False
        )
        self._is_on = False
        self._coverage.set_option("run:core", CORE)
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])

    def start(self) -> None:
        """From here on every line of the project's code is seen."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._probe_file.write_text(_PROBE, "utf-8")
        if self._children is not None:
            self._prepare_children(self._children)
        self._coverage.erase()
        self.on()
        self._probe(PROBES[:2])
        self._coverage.switch_context(_NOTHING)
        self.off()

    def on(self) -> None:
        """See what runs, in this thread and in those that begin from now on."""
        if not self._is_on:
            self._coverage.start()
            self._is_on = True

    def off(self) -> None:
        """See nothing, at no cost. Threads that are running are not seen again after it."""
        if self._is_on:
            self._coverage.stop()
            self._is_on = False

    def enter(self, node: str | None) -> None:
        """What runs now is the run phase of `node`; None: it is nobody's."""
        self._coverage.switch_context(_NOTHING if node is None else node + RUN_PHASE)
        if self._children is None:
            return
        if node is None:
            os.environ.pop(_START_VARIABLE, None)
            os.environ.pop(CONTEXT_VARIABLE, None)
        else:
            os.environ[_START_VARIABLE] = str(self._folder / "children.toml")
            os.environ[CONTEXT_VARIABLE] = node + RUN_PHASE

    def is_watching(self) -> bool:
        """Whether coverage is still this thread's trace function; a test may have put another in its place."""
        return type(sys.gettrace()).__name__ == "CTracer"

    def resume(self) -> None:
        """Take the place of the trace function again, after `is_watching` said no."""
        self.off()
        self.on()

    def finish(self) -> Tracing:
        """Write the data, the children's included."""
        self.on()
        self._probe(PROBES[2:])
        self.off()
        self._coverage.save()
        data = self._coverage.get_data()
        for child in sorted(self._children.glob("data.*")) if self._children else ():
            try:
                part = coverage.CoverageData(basename=str(child))
                part.read()
                data.update(part)
            except coverage.CoverageException:
                pass  # a process that was killed while it wrote: what it did is not attributed
            child.unlink()
        data.close()
        found = dict(self._coverage.sys_info())
        return Tracing(
            core=str(found.get("core", "")),
            version=coverage.__version__,
            probe=self._probe_name(),
            probe_line=_PROBE_LINE,
            probes=tuple(name + RUN_PHASE for name in PROBES),
        )

    def _probe_name(self) -> str:
        if self._probe_file.is_relative_to(self._root):
            return self._probe_file.relative_to(self._root).as_posix()
        return str(self._probe_file)

    def _probe(self, names: Sequence[str]) -> None:
        code = compile(_PROBE, str(self._probe_file), "exec")
        namespace: dict[str, object] = {}
        exec(code, namespace)  # nosec B102 # the two lines above, run as a file of their own
        for name in names:
            self._coverage.switch_context(name + RUN_PHASE)
            namespace["probe"]()  # type: ignore[operator] # it is the function of the two lines

    def _prepare_children(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("data.*"):
            stale.unlink()
        lines = [
            "[tool.coverage.run]",
            f'core = "{CORE}"',
            "branch = true",
            "parallel = true",
            f"data_file = '{folder / 'data'}'",
            f'context = "${{{CONTEXT_VARIABLE}}}"',
            "include = [" + ", ".join(f"'{pattern}'" for pattern in self._include) + "]",
            'disable_warnings = ["no-data-collected", "module-not-measured"]',
        ]
        (self._folder / "children.toml").write_text("\n".join(lines) + "\n", "utf-8")
