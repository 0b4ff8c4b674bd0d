"""Two whole services start at the same moment: on one home, and with a home each on one database."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import Struct

from tests.system.callers import Question, calling
from tests.system.faults.log import WHOLE, Account, Log
from tests.system.faults.service import account_of, issue_a_token, receipts
from tests.system.running import Server, eventually

pytestmark = pytest.mark.system

LIMIT_S = 120.0
EACH = 5
"""Findings that each service's client has."""


class Shared(Struct, frozen=True, kw_only=True):
    """Two services on one database that was empty."""

    begun: list[int]
    """Exit codes of `medai ledger init`, run by both at once."""
    account: Account
    answers: list[int]
    """How many findings each service gave."""


@pytest.fixture(scope="module")
def on_one_home(tmp_path_factory) -> Iterator[list[Server | str]]:
    """Of two that started at once on a home that was not there: each as it runs, or what it said at its end."""
    folder = tmp_path_factory.mktemp("one_home")
    (folder / "one").mkdir(mode=0o700)
    (folder / "other").symlink_to("one")  # the same home, and a log of its own for what it prints
    servers = [Server(folder / name, workers=1) for name in ("one", "other")]
    try:
        yield _started_at_once(servers)
    finally:
        for server in servers:
            server.clean()


def _started_at_once(servers: Sequence[Server]) -> list[Server | str]:
    def start(server: Server) -> Server | str:
        try:
            server.start()
        except AssertionError:
            assert server.process is not None
            assert server.process.wait(LIMIT_S) == 2
            server.process = None
            return server.said()
        return server

    with ThreadPoolExecutor(len(servers)) as threads:
        return list(threads.map(start, servers))


@pytest.fixture(scope="module")
def shared(module_database, tmp_path_factory, ct_slice) -> Iterator[Shared]:
    """Key and anchors are one log's; all else each service has for itself."""
    folder = tmp_path_factory.mktemp("shared")
    settings = {
        "MEDAI_DATABASE_URL": module_database.writer_url,
        "MEDAI_DATABASE_READER_URL": module_database.reader_url,
        "MEDAI_SIGNING_KEY_FILE": str(folder / "log" / "keys" / "signing.key"),
        "MEDAI_ANCHOR_FOLDER": str(folder / "log" / "anchors"),
    }
    servers = [Server(folder / name, workers=1, settings=settings) for name in ("one", "other")]
    try:
        with ThreadPoolExecutor(len(servers)) as threads:
            begun = [done.returncode for done in threads.map(lambda one: one.medai("ledger", "init"), servers)]
        for server in servers:
            issue_a_token(server)
        assert _started_at_once(servers) == servers
        question = Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")
        with calling(servers[0], [question], 2) as one, calling(servers[1], [question], 2) as other:
            assert eventually(lambda: min(one.count(200) + other.count(200)) >= EACH, LIMIT_S)
        for server in servers:
            assert server.stop() == 0
        log = Log(folder / "log", module_database.reader_url)
        yield Shared(
            begun=begun,
            account=asyncio.run(account_of(log, receipts([*one.held(), *other.held()]))),
            answers=[sum(one.count(200)), sum(other.count(200))],
        )
    finally:
        for server in servers:
            server.clean()


def test_of_two_services_on_one_home_one_serves(on_one_home):
    (serving,) = [one for one in on_one_home if isinstance(one, Server)]
    assert serving.internal("/readyz").status == 200


def test_of_two_services_on_one_home_the_other_says_that_it_is_taken(on_one_home):
    (said,) = [one for one in on_one_home if isinstance(one, str)]
    assert "another `medai serve` runs here" in said


def test_the_ledger_of_a_home_that_two_services_wanted_is_valid(on_one_home):
    (serving,) = [one for one in on_one_home if isinstance(one, Server)]
    assert serving.medai("audit", "verify").returncode == 0


def test_of_two_services_that_begin_one_ledger_at_once_one_does(shared):
    assert sorted(shared.begun) == [0, 2]


def test_two_services_that_start_at_once_on_one_database_both_answer(shared):
    assert min(shared.answers) >= EACH


def test_two_services_that_start_at_once_on_one_database_write_one_log(shared):
    assert shared.account == WHOLE
