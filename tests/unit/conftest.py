"""What the tests of the audit package are given: `tests.audit_log`, as fixtures."""

import asyncio
import contextlib
import functools

import pytest

from audit import record
from tests.audit_log import Log, a_prediction, an_answer, log_of
from tests.ledger_fakes import World, told
from tests.publishing_fakes import PublishedLog
from tests.witness_fakes import FakeWitness, serving


@pytest.fixture(scope="session")
def log() -> Log:
    answer = an_answer()
    return log_of(record.encode(a_prediction(answer)), answer)


@pytest.fixture(scope="session")
def make_log():
    """`make_log(body, answer)`: a log around any record bytes, for what our own writer would never sign."""
    return log_of


@pytest.fixture
def prediction() -> record.Prediction:
    return a_prediction(an_answer())


@pytest.fixture
def answer() -> dict[str, object]:
    return an_answer()


@pytest.fixture
def story(tmp_path):
    """Runs an async test over a ledger's world in memory."""
    return functools.partial(told, World(tmp_path))


@pytest.fixture
def published(tmp_path, entries):
    """Runs an async test over a published log of one record, bounded in time."""

    def run(test):
        async def whole():
            log = PublishedLog(tmp_path, entries)
            await log.begin()
            await asyncio.wait_for(test(log), 20)

        asyncio.run(whole())

    return run


@pytest.fixture
def witnesses():
    """Three of them on this machine: A, B and C."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(FakeWitness(name.lower(), seed)))
            for seed, name in enumerate("ABC", start=1)
        }
