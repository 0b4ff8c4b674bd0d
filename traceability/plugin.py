"""The pytest plugin: `verifies` is strict, and `--evidence` leaves what a matrix can be made of.

    pytest -p traceability.plugin --evidence

`@pytest.mark.verifies("REQ-...")` with an id that is unknown or retired is a usage error, in every run of a project
whose pyproject has a `[tool.medai.trace]`. With `--evidence` the run phase of each test gets a context of its own in
coverage's data, and `results.json`, `coverage.db` and `junit.xml` are written at the end.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import pytest

from traceability import places, project
from traceability.claims import MARK, claims
from traceability.errors import TraceError
from traceability.results import JUNIT

if TYPE_CHECKING:
    from traceability.recorder import Recorder

_RECORDER: "Final[pytest.StashKey[Recorder]]" = pytest.StashKey()
_KNOWN: Final = pytest.StashKey[tuple[frozenset[str], frozenset[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("medai")
    group.addoption("--evidence", action="store_true", help="leave results, coverage by test and JUnit of this run")
    group.addoption(
        "--evidence-folder", metavar="FOLDER", help="leave them there, and not where [tool.medai.trace] says"
    )


@pytest.hookimpl(tryfirst=True)  # before the JUnit plugin looks whether it is wanted
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(*requirements): this test verifies the requirements with these ids")
    folder = config.getoption("evidence_folder")
    wanted = config.getoption("evidence") or folder is not None
    if not project.is_configured(config.rootpath):
        if wanted:
            raise pytest.UsageError("--evidence: the pyproject has no [tool.medai.trace] that says what is traced")
        return
    try:
        chosen = project.settings_of(config.rootpath)
        found = project.requirements_of(config.rootpath, chosen)
        if wanted:
            places.verify(config.rootpath, (*chosen.code, *chosen.tests))
    except TraceError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_KNOWN] = (found.ids(), found.retired())
    if not wanted:
        return
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--evidence: one process has to see all tests: run them without -n")
    from traceability.recorder import Recorder  # it needs coverage, which a run without evidence does not

    place = config.rootpath / (folder or chosen.evidence)
    place.mkdir(parents=True, exist_ok=True)
    config.option.xmlpath = config.option.xmlpath or str(place / JUNIT)
    config.stash[_RECORDER] = recorder = Recorder(config.rootpath, place, chosen)
    config.pluginmanager.register(recorder, "medai-recorder")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Raises a usage error for a claim that cannot be true: no test runs then."""
    if (known := item.config.stash.get(_KNOWN, None)) is None:
        return
    ids, retired = known
    for mark in item.iter_markers(MARK):
        if mark.kwargs or not mark.args or not all(isinstance(name, str) for name in mark.args):
            raise pytest.UsageError(f"{item.nodeid}: {MARK} takes ids of requirements and nothing else: {mark}")
        for name in mark.args:
            if name in retired:
                raise pytest.UsageError(f"{item.nodeid}: {MARK}: {name} is retired: claim what took its place")
            if name not in ids:
                raise pytest.UsageError(f"{item.nodeid}: {MARK}: there is no requirement {name!r}")
    item.user_properties.extend((MARK, name) for name in claims(item))


def pytest_collection_finish(session: pytest.Session) -> None:
    if recorder := session.config.stash.get(_RECORDER, None):
        recorder.collected(session.items)


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items and (recorder := items[0].config.stash.get(_RECORDER, None)):
        recorder.deselected(len(items))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    recorder = session.config.stash.get(_RECORDER, None)
    if recorder and not session.config.option.collectonly:
        recorder.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if recorder := item.config.stash.get(_RECORDER, None):
        recorder.prepared(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    recorder = item.config.stash.get(_RECORDER, None)
    if recorder is None:
        return (yield)
    recorder.entered(item)
    try:
        return (yield)
    finally:
        recorder.left(item)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if recorder := session.config.stash.get(_RECORDER, None):
        recorder.end(session, int(exitstatus))
