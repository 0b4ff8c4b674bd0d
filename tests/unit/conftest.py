"""What the tests of the audit package are given: `tests.audit_log`, as fixtures."""

import functools

import pytest

from audit import record
from tests.audit_log import Log, a_prediction, an_answer, log_of
from tests.ledger_fakes import World, told


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
