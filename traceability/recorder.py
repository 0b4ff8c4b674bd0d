"""What happened to each test of a session, and writing it down at the end.

A test that was retried, skipped or expected to fail keeps that as its outcome: nothing here turns it into a pass.
"""

import platform
import sys
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from traceability import project, results
from traceability.claims import claims
from traceability.results import RESULTS, Node, Results
from traceability.rows import Outcome
from traceability.settings import Settings
from traceability.tracing import Watch


class _Course:
    """One test on its way."""

    def __init__(self) -> None:
        self.outcome: Outcome = "not_run"
        self.reason = ""
        self.attempts = 0
        self.seconds = 0.0
        self.traced = False


class Recorder:
    """The record of one session. Its `pytest_` method is a hook; the others are called by `plugin`."""

    def __init__(self, root: Path, folder: Path, chosen: Settings) -> None:
        self._root, self._folder, self._chosen = root, folder, chosen
        every = bool(chosen.readers or chosen.lobster)  # pytest does not see the marks of other tools
        self._trace_every = every
        self._watch = Watch(root, folder, project.marked(root, chosen, every=every), children=chosen.child_processes)
        self._items: Sequence[pytest.Item] = ()
        self._courses: dict[str, _Course] = {}
        self._claiming: set[str] = set()
        self._claiming_files: set[Path] = set()
        self._deselected = 0
        self._digests: dict[str, str] = {}
        self._began: tuple[float, float] | None = None

    def collected(self, items: Sequence[pytest.Item]) -> None:
        self._items = tuple(items)
        self._courses = {item.nodeid: _Course() for item in items}
        claiming = [item for item in items if self._trace_every or claims(item)]
        self._claiming = {item.nodeid for item in claiming}
        self._claiming_files = {item.path for item in claiming}

    def deselected(self, count: int) -> None:
        self._deselected += count

    def begin(self) -> None:
        """The tests run after this."""
        (self._folder / RESULTS).unlink(missing_ok=True)  # old results beside new coverage would be a lie
        self._digests = project.digests(self._root, self._chosen)
        self._began = time.time(), time.monotonic()
        self._watch.start()

    def prepared(self, item: pytest.Item) -> None:
        """Before the set-up of `item`. What its fixtures start is seen later on, if any test of its file claims."""
        if item.path in self._claiming_files:
            self._watch.on()
        else:
            self._watch.off()

    def entered(self, item: pytest.Item) -> None:
        """Before the run phase of `item`. Only claims need to be proved: other tests run at their full speed."""
        if item.nodeid in self._claiming:
            self._watch.on()
            self._watch.enter(item.nodeid)
        elif threading.active_count() == 1:  # a thread that is seen must not be lost, since others may use it
            self._watch.off()

    def left(self, item: pytest.Item) -> None:
        if item.nodeid not in self._claiming:
            return
        course = self._courses[item.nodeid]
        course.traced = self._watch.is_watching()
        if not course.traced:
            self._watch.resume()
        self._watch.enter(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        course = self._courses.get(report.nodeid)
        if course is None:
            return
        course.seconds += report.duration
        if report.when == "call" and type(report) is pytest.TestReport:  # a sub-test is a part of one attempt
            course.attempts += 1
        outcome = _outcome(report)
        if outcome == "retried" or (outcome is not None and course.outcome in ("not_run", "passed")):
            course.outcome = outcome
            course.reason = _reason(report)

    def end(self, session: pytest.Session, exit_code: int) -> None:
        """Write everything. What is interrupted before this leaves no results, which is said as such."""
        if self._began is None:
            return
        tracing = self._watch.finish()
        after = project.digests(self._root, self._chosen)
        written = Results(
            root=self._root.as_posix(),
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began[0])),
            duration_us=int((time.monotonic() - self._began[1]) * 1_000_000),
            complete=self._is_complete(session, exit_code),
            exit_code=exit_code,
            environment=_environment(),
            tracing=tracing,
            files={name: digest if after.get(name) == digest else "" for name, digest in self._digests.items()},
            nodes=tuple(self._node(item) for item in self._items),
        )
        (self._folder / RESULTS).write_bytes(results.encode(written))

    def _is_complete(self, session: pytest.Session, exit_code: int) -> bool:
        chose = session.config.args_source is pytest.Config.ArgsSource.ARGS
        came_to_its_end = exit_code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldstop
        return came_to_its_end and not session.shouldfail and not self._deselected and not chose

    def _node(self, item: pytest.Item) -> Node:
        course = self._courses[item.nodeid]
        file, line, _ = item.location
        name = item.nodeid.partition("::")[2].partition("[")[0].replace("::", ".")
        return Node(
            node=item.nodeid, file=Path(file).as_posix(), name=name, line=(line or 0) + 1, outcome=course.outcome,
            duration_us=int(course.seconds * 1_000_000), verifies=claims(item), reason=course.reason,
            attempts=course.attempts, traced=course.traced,
        )  # fmt: skip


def _outcome(report: pytest.TestReport) -> Outcome | None:
    """What this phase says of the whole test; None where it says nothing."""
    if report.outcome not in ("passed", "failed", "skipped"):
        return "retried"  # "rerun", as the plugins that retry report it
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else None


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    if report.failed:
        return str(report.longrepr).strip().splitlines()[-1][:500]
    return ""


def _environment() -> dict[str, str]:
    """What the outcome hangs on besides the code: the interpreter, the platform, and every package by its version."""
    packages = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    return {
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "platform": platform.system(),
        "python": sys.version.split()[0],
        **{f"package:{name.lower()}": version for name, version in sorted(packages.items()) if name},
    }
