"""Many alike requests of one peer and minute are folded into two records, and none is answered before the first."""

import asyncio
from uuid import UUID

import pytest

from audit import record as records
from service.http.windows import closing_event_id
from tests.http_fakes import FakePseudonyms

MINUTE_US = 60_000_000


async def _flood(running, count, **request):
    return [await running.ask("GET", "/nothing", **request) for _ in range(count)]


@pytest.mark.verifies("REQ-LED-022")
def test_public_requests_of_one_peer_and_minute_share_one_record(service, drive):
    async def scenario():
        running = service()
        answers = [await running.ask("GET", target) for target in ("/docs", "/docs/docs.js", "/openapi.json")]
        assert {answer.headers["ledger-index"] for answer in answers} == {"0"}
        assert len(running.ledger.records) == 1

    drive(scenario)


@pytest.mark.verifies("REQ-LED-022")
def test_two_peers_have_two_windows(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs", peer="192.0.2.1")
        await running.ask("GET", "/docs", peer="192.0.2.2")
        assert len({record.peer for record in running.ledger.of_kind(records.Window)}) == 2

    drive(scenario)


def test_requests_that_come_together_wait_for_the_one_opening_record(service, drive):
    async def scenario():
        running = service()
        running.ledger.gate = asyncio.Event()
        asked = [asyncio.create_task(running.ask("GET", "/docs")) for _ in range(3)]
        await running.ledger.appending.wait()
        assert running.events == []
        running.ledger.gate.set()
        answers = await asyncio.gather(*asked)
        assert [answer.headers["ledger-index"] for answer in answers] == ["0", "0", "0"]
        assert len(running.ledger.records) == 1

    drive(scenario)


@pytest.mark.verifies("REQ-LED-022")
def test_a_window_is_closed_with_its_count_when_its_minute_is_over(service, drive):
    async def scenario():
        running = service()
        first_us = running.clock.us
        await running.ask("GET", "/docs")
        running.clock.us += 7
        await running.ask("GET", "/docs")
        running.clock.us += MINUTE_US
        await running.application.windows.close_past()
        closing = running.ledger.records[1]
        assert (closing.phase, closing.opens_index, closing.count) == ("closed", 0, 2)
        assert (closing.first_us, closing.last_us) == (first_us, first_us + 7)

    drive(scenario)


def test_a_window_stays_open_while_its_minute_lasts(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        await running.application.windows.close_past()
        assert len(running.ledger.records) == 1

    drive(scenario)


def test_the_next_minute_opens_a_window_of_its_own(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        running.clock.us += MINUTE_US
        answer = await running.ask("GET", "/docs")
        assert answer.headers["ledger-index"] == "1"

    drive(scenario)


def test_a_window_that_cannot_be_closed_now_is_closed_later(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        running.clock.us += MINUTE_US
        running.ledger.fail_next = 1
        await running.application.windows.close_past()
        await running.application.windows.close_past()
        assert [record.phase for record in running.ledger.records] == ["opened", "closed"]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-022", "REQ-DEP-004")
def test_a_process_that_stops_closes_the_window_of_the_minute_it_stops_in(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        await running.application.windows.close_all()
        assert running.ledger.records[1].count == 1

    drive(scenario)


@pytest.mark.verifies("REQ-LED-022")
def test_a_window_that_cannot_be_opened_covers_nobody(service, drive):
    async def scenario():
        running = service()
        running.ledger.fail_next = 1
        refused = await running.ask("GET", "/docs")
        answered = await running.ask("GET", "/docs")
        assert (refused.status, answered.status) == (503, 200)
        assert running.ledger.refused_count == 1

    drive(scenario)


def test_a_caller_that_is_cancelled_does_not_take_the_window_from_the_others(service, drive):
    async def scenario():
        running = service()
        running.ledger.gate = asyncio.Event()
        first, second = (asyncio.create_task(running.ask("GET", "/docs")) for _ in range(2))
        await running.ledger.appending.wait()
        first.cancel()
        await asyncio.sleep(0)
        running.ledger.gate.set()
        index = int((await second).headers["ledger-index"])
        assert type(running.ledger.records[index]) is records.Window
        with pytest.raises(asyncio.CancelledError):
            await first

    drive(scenario)


@pytest.mark.verifies("REQ-LED-023")
def test_refusals_are_recorded_singly_up_to_the_rate(service, drive):
    async def scenario():
        running = service(refusals_per_minute=3)
        await _flood(running, 3)
        assert len(running.ledger.of_kind(records.Request)) == 3

    drive(scenario)


@pytest.mark.verifies("REQ-LED-023")
def test_a_flood_of_refusals_is_folded_beyond_the_rate(service, drive):
    async def scenario():
        running = service(refusals_per_minute=3)
        answers = await _flood(running, 10)
        assert len(running.ledger.records) == 4
        assert running.ledger.records[3].subject == "refusals"
        assert [answer.headers["ledger-index"] for answer in answers] == list("0123333333")

    drive(scenario)


def test_a_folded_refusal_is_a_problem_that_names_the_windows_record(service, drive):
    async def scenario():
        running = service(refusals_per_minute=0)
        answer = (await _flood(running, 1))[0]
        assert (answer.status, answer.json["ledger_index"]) == (404, 0)

    drive(scenario)


def test_a_flood_without_a_token_is_folded_as_well(service, drive):
    async def scenario():
        running = service(refusals_per_minute=2)
        answers = [await running.infer(token=None) for _ in range(5)]
        assert {answer.status for answer in answers} == {401}
        assert len(running.ledger.records) == 3

    drive(scenario)


@pytest.mark.verifies("REQ-LED-023")
def test_the_next_minute_records_refusals_singly_again(service, drive):
    async def scenario():
        running = service(refusals_per_minute=1)
        await _flood(running, 3)
        running.clock.us += MINUTE_US
        await _flood(running, 1)
        assert type(running.ledger.records[-1]) is records.Request

    drive(scenario)


def test_a_flood_of_one_peer_does_not_fold_the_refusals_of_another(service, drive):
    async def scenario():
        running = service(refusals_per_minute=1)
        await _flood(running, 3, peer="192.0.2.1")
        await _flood(running, 1, peer="192.0.2.2")
        assert type(running.ledger.records[-1]) is records.Request

    drive(scenario)


@pytest.mark.verifies("REQ-LED-023")
def test_refusals_of_many_peers_are_folded_together_beyond_the_rate_of_all(service, drive):
    async def scenario():
        running = service(refusals_per_minute_total=3)
        answers = [(await _flood(running, 1, peer=f"192.0.2.{last}"))[0] for last in range(1, 9)]
        assert [answer.headers["ledger-index"] for answer in answers] == list("01233333")
        assert running.ledger.records[3].peer == FakePseudonyms().of("peer", "others")

    drive(scenario)


def test_a_peer_whose_own_window_is_open_stays_in_it_beyond_the_rate_of_all(service, drive):
    async def scenario():
        running = service(refusals_per_minute=1, refusals_per_minute_total=2)
        await _flood(running, 2)
        await _flood(running, 1, peer="192.0.2.9")
        answers = await _flood(running, 2)
        assert [answer.headers["ledger-index"] for answer in answers] == ["1", "1"]

    drive(scenario)


def test_windows_of_floods_count_towards_the_rate_of_all(service, drive):
    async def scenario():
        running = service(refusals_per_minute=0, refusals_per_minute_total=3)
        for last in range(1, 9):
            await _flood(running, 1, peer=f"192.0.2.{last}")
        assert len(running.ledger.records) == 4

    drive(scenario)


def test_the_next_minute_records_refusals_of_many_peers_singly_again(service, drive):
    async def scenario():
        running = service(refusals_per_minute_total=1)
        await _flood(running, 3)
        running.clock.us += MINUTE_US
        await _flood(running, 1)
        assert type(running.ledger.records[-1]) is records.Request

    drive(scenario)


def test_what_is_answered_with_success_does_not_count_as_a_refusal(service, drive):
    async def scenario():
        running = service(refusals_per_minute_total=1)
        await running.ask("GET", "/health")
        await _flood(running, 1)
        assert type(running.ledger.records[-1]) is records.Request

    drive(scenario)


def test_failures_of_ours_are_never_folded(service, drive):
    async def scenario():
        running = service(refusals_per_minute=0)
        running.infer_error = RuntimeError("broken")
        await running.infer()
        assert running.ledger.records[0].code == "internal_error"

    drive(scenario)


def test_peers_beyond_the_bound_share_one_window(service, drive):
    async def scenario():
        running = service(refusals_per_minute=0, max_peers=2)
        for last in range(1, 9):
            await _flood(running, 1, peer=f"192.0.2.{last}")
        assert len(running.ledger.records) == 3

    drive(scenario)


def test_the_closing_records_id_is_a_uuid_of_version_eight():
    closing = UUID(closing_event_id(records.new_event_id()))
    assert (closing.version, closing.variant) == (8, "specified in RFC 4122")


def test_two_windows_have_two_closing_ids():
    assert closing_event_id(records.new_event_id()) != closing_event_id(records.new_event_id())


def test_a_window_has_the_same_closing_id_for_whoever_computes_it():
    opening = "0b4f7f4e-6f0e-4a67-9a51-0b1f2d3c4e5f"
    assert closing_event_id(opening) == closing_event_id(opening)
