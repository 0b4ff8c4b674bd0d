"""Two services on one PostgreSQL behind a proxy, as pods would be, restarted in turn while clients keep asking."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec import Struct

from audit.note import Verifier
from audit.receipt import Policy, open_checkpoint, parse
from audit.record import Prediction, ServiceStarted, ServiceStopped
from tests.system.balancing import Balancer, balancing
from tests.system.callers import Held, Question, calling
from tests.system.conftest import Entry, entries_at
from tests.system.faults.log import WHOLE, Account, Log
from tests.system.faults.service import account_of, issue_a_token, receipts
from tests.system.running import Server, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # of a machine that is busy: four starts in one fixture

CLIENTS = 4
EACH = 5
"""Findings that each client has before, between and after the restarts."""
LIMIT_S = 90.0


class Story(Struct, frozen=True, kw_only=True):
    """What the clients hold, what the proxy saw, and the log afterwards."""

    held: list[Held]
    unanswered: int
    cut: int
    unserved: int
    sent: dict[int, int]
    exit_codes: list[int]
    entries: list[Entry]
    account: Account
    verified: int
    key: str


def _pods(folder, database) -> list[Server]:
    """Each with a home of its own; key, tokens, pseudonyms and anchors are shared, as a cluster's secrets are."""
    shared = folder / "log"
    settings = {
        "MEDAI_DATABASE_URL": database.writer_url,
        "MEDAI_DATABASE_READER_URL": database.reader_url,
        "MEDAI_SIGNING_KEY_FILE": str(shared / "keys" / "signing.key"),
        "MEDAI_PSEUDONYM_KEY_FILE": str(shared / "keys" / "pseudonym.key"),
        "MEDAI_TOKENS_FILE": str(shared / "tokens.json"),
        "MEDAI_ANCHOR_FOLDER": str(shared / "anchors"),
        "MEDAI_DRAIN_DELAY_MS": "2000",
    }
    return [Server(folder / name, workers=1, settings=settings) for name in ("one", "other")]


@pytest.fixture(scope="module")
def story(module_database, tmp_path_factory, ct_slice) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("rolling")
    servers = _pods(folder, module_database)
    try:
        assert servers[0].medai("ledger", "init").returncode == 0
        issue_a_token(servers[0])
        for server in servers:
            server.start()
        question = Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")
        with balancing(servers) as front, calling(front, [question], CLIENTS) as callers:
            exit_codes = []
            for server in servers:
                _wait_for_findings(callers)
                exit_codes.append(server.stop())
                server.start()
                assert eventually(lambda: len(front.ready) == len(servers), LIMIT_S)
            _wait_for_findings(callers)
        held = callers.held()
        for server in servers:
            assert server.stop() == 0
        yield _told(servers[0], folder, module_database.reader_url, front, held, sum(callers.unanswered), exit_codes)
    finally:
        for server in servers:
            server.clean()


def _wait_for_findings(callers) -> None:
    enough = [count + EACH for count in callers.count(200)]
    assert eventually(lambda: all(have >= want for have, want in zip(callers.count(200), enough, strict=True)), LIMIT_S)


def _told(
    server: Server, folder, reader_url: str, front: Balancer, held: list[Held], unanswered: int, codes: list[int]
) -> Story:
    return Story(
        held=held,
        unanswered=unanswered,
        cut=front.cut,
        unserved=front.unserved,
        sent=dict(front.sent),
        exit_codes=codes,
        entries=entries_at(reader_url),
        account=asyncio.run(account_of(Log(folder / "log", reader_url), receipts(held))),
        verified=server.medai("audit", "verify").returncode,
        key=server.medai("audit", "key").stdout.strip(),
    )


def test_every_request_is_answered(story):
    assert (story.unanswered, story.cut) == (0, 0)


def test_somebody_was_ready_all_the_time(story):
    assert story.unserved == 0


def test_nobody_is_refused_meanwhile(story):
    assert {one.response.status for one in story.held} == {200}


def test_both_services_have_answered(story):
    assert min(story.sent.values()) > EACH
    assert len(story.sent) == 2


def test_each_restart_ends_in_order(story):
    assert story.exit_codes == [0, 0]


def test_the_record_of_every_finding_is_there_exactly_once(story):
    found = Counter(entry.record.correlation_id for entry in story.entries if isinstance(entry.record, Prediction))
    given = [one.correlation_id for one in story.held if one.response.status == 200]
    assert {found[name] for name in given} == {1}


def test_no_finding_is_on_record_that_nobody_was_given(story):
    found = {entry.record.correlation_id for entry in story.entries if isinstance(entry.record, Prediction)}
    assert found == {one.correlation_id for one in story.held if one.response.status == 200}


def test_every_receipt_is_true_and_its_record_in_its_place(story):
    assert story.account == WHOLE


def test_the_ledger_of_both_is_one_and_valid(story):
    assert story.verified == 0


def test_both_services_signed_for_one_log(story):
    policy = Policy(logs=(Verifier.parse(story.key),))
    proofs = [one.response.json()["ledger"]["proof"] for one in story.held if one.response.status == 200]
    assert len({open_checkpoint(parse(proof).checkpoint, policy).signed_by for proof in proofs}) == 1


def test_starts_and_stops_of_all_four_are_on_record(story):
    kinds = Counter(type(entry.record) for entry in story.entries)
    assert (kinds[ServiceStarted], kinds[ServiceStopped]) == (4, 4)
