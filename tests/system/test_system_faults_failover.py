"""The whole service on a PostgreSQL with a streaming replica, whose primary is lost under load."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct
from psycopg import conninfo

from audit.ports import Proven
from tests.system.callers import Callers, Question, calling
from tests.system.faults.log import WHOLE, Account, Log
from tests.system.faults.replicas import Pair, pair
from tests.system.faults.service import account_of, issue_a_token, receipts
from tests.system.running import Response, Server, eventually

pytestmark = pytest.mark.system

CLIENTS = 4
BEFORE = 5
"""Findings that each client has when the standby falls behind, or the primary is lost."""
AFTER = 5
"""Findings that each has besides."""
LIMIT_S = 120.0
PROBES = 8
"""Connections to the internal port; several, since each worker answers for itself."""


class Kept(Struct, frozen=True, kw_only=True):
    """A failover to a synchronous standby."""

    account: Account
    exit_code: int
    """Of `medai audit verify`."""


class Lost(Struct, frozen=True, kw_only=True):
    """A failover to an asynchronous standby that was behind."""

    size: int
    """What the standby had."""
    anchored: int
    held: list[Proven]
    answers: list[Response]
    """To requests after the failover."""
    readyz: list[Response]
    log: str
    verified: "subprocess.CompletedProcess[str]"
    restarted: "subprocess.CompletedProcess[str]"


@contextmanager
def serving_from(both: Pair, home: Path) -> Iterator[Server]:
    """The service knows both servers, and writes to whichever takes writes (libpq, target_session_attrs)."""
    hosts = ",".join(one.secrets.socket_folder for one in (both.primary, both.standby))
    either = {"host": hosts, "target_session_attrs": "read-write"}
    settings = {
        "MEDAI_DATABASE_URL": conninfo.make_conninfo(both.primary.writer_url, **either),
        "MEDAI_DATABASE_READER_URL": conninfo.make_conninfo(both.primary.reader_url, **either),
    }
    server = Server(home, workers=2, settings=settings)
    try:
        assert server.medai("ledger", "init", "--origin", "log.example/failover").returncode == 0
        issue_a_token(server)
        server.start()
        yield server
    finally:
        server.clean()


def _have(callers: Callers, than: list[int], more: int) -> Callable[[], bool]:
    return lambda: all(now >= then + more for now, then in zip(callers.count(200), than, strict=True))


@pytest.fixture(scope="module")
def question(ct_slice) -> Question:
    return Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")


@pytest.fixture(scope="module")
def kept(tmp_path_factory, question) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    with pair(folder) as both, serving_from(both, folder / "home") as server:
        both.make_synchronous()
        with calling(server, [question], CLIENTS) as callers:
            assert eventually(_have(callers, [0] * CLIENTS, BEFORE), LIMIT_S), server.said()
            both.lose_the_primary()
            both.promote_the_standby()
            assert eventually(_have(callers, callers.count(200), AFTER), LIMIT_S), server.said()
        verified = server.medai("audit", "verify")
        assert server.stop() == 0
        yield Kept(
            account=asyncio.run(account_of(Log(server.home, both.standby.reader_url), receipts(callers.held()))),
            exit_code=verified.returncode,
        )


@pytest.fixture(scope="module")
def lost(tmp_path_factory, question) -> Iterator[Lost]:
    folder = tmp_path_factory.mktemp("lost")
    with pair(folder) as both, serving_from(both, folder / "home") as server:
        with calling(server, [question], CLIENTS) as callers:
            assert eventually(_have(callers, [0] * CLIENTS, BEFORE), LIMIT_S), server.said()
        both.wait_for_the_standby()
        both.hold_the_standby_back()
        with calling(server, [question], CLIENTS) as more:
            assert eventually(_have(more, [0] * CLIENTS, AFTER), LIMIT_S), server.said()
        held = receipts([*callers.held(), *more.held()])
        log = Log(server.home, both.standby.reader_url)
        last = max(one.index for one in held)
        assert eventually(lambda: (newest := log.anchor.newest()) is not None and newest.size > last, LIMIT_S)
        both.lose_the_primary()
        both.promote_the_standby()
        assert eventually(lambda: _reasons(server) == {"ledger_forked"}, LIMIT_S), server.said()
        with server.client() as client:
            answers = [client.send(question.method, question.target, question.body) for _ in range(PROBES)]
        readyz = [server.internal("/readyz") for _ in range(PROBES)]
        verified = server.medai("audit", "verify", "--json")
        server.stop()
        newest = log.anchor.newest()
        assert newest is not None
        yield Lost(
            size=asyncio.run(_size(log)),
            anchored=newest.size,
            held=held,
            answers=answers,
            readyz=readyz,
            log=server.log.read_text("utf-8", "replace"),
            verified=verified,
            restarted=server.medai("serve", *server.arguments()),
        )


def _reasons(server: Server) -> set[str]:
    return {server.internal("/readyz").body.decode().partition(":")[0] for _ in range(PROBES)}


async def _size(log: Log) -> int:
    try:
        return (await log.reader.head()).size
    finally:
        await log.close()


def test_no_receipt_is_lost_with_a_primary_whose_standby_is_synchronous(kept):
    assert kept.account == WHOLE


def test_a_ledger_that_moved_to_its_synchronous_standby_is_valid(kept):
    assert kept.exit_code == 0


def test_a_service_whose_records_were_lost_answers_nothing_more(lost):
    assert {(answer.status, answer.code) for answer in lost.answers} == {(503, "ledger_unavailable")}


def test_readiness_says_that_records_were_lost(lost):
    words = "records are missing"
    assert [(answer.status, words in answer.body.decode()) for answer in lost.readyz] == [(503, True)] * PROBES


def test_the_log_says_that_records_were_lost(lost):
    lines = [json.loads(line) for line in lost.log.splitlines() if line.startswith("{")]
    assert any(line.get("code") == "forked" and "records are missing" in line["message"] for line in lines)


def test_a_service_whose_records_were_lost_does_not_start_again(lost):
    assert (lost.restarted.returncode, "medai: ledger_forked: " in lost.restarted.stderr) == (2, True)


def test_what_it_says_at_the_start_names_the_loss(lost):
    words = f"{lost.size} records, but the newest anchor covers {lost.anchored}: records are missing"
    assert words in lost.restarted.stderr


def test_verification_says_truncated_and_how_far(lost):
    found = json.loads(lost.verified.stdout)["found"]
    assert (lost.verified.returncode, [(one["class"], one["end"]) for one in found]) == (
        1,
        [("truncated", lost.anchored)],
    )


def test_every_lost_receipt_is_within_what_verification_names(lost):
    (found,) = json.loads(lost.verified.stdout)["found"]
    missing = [one.index for one in lost.held if one.index >= lost.size]
    assert missing
    assert [index for index in missing if not found["first"] <= index < found["end"]] == []
