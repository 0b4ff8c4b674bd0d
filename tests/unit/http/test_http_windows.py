"""Many alike requests of one peer and minute are folded into two records, and none is answered before the first."""

import asyncio
from uuid import UUID

import pytest

from audit import record as records
from service.http.windows import closing_event_id

MINUTE_US = 60_000_000
GONE = UUID("99999999-2222-4333-8444-555555555555")


async def _flood(running, count, **request):
    return [await running.ask("GET", "/nothing", **request) for _ in range(count)]


def test_public_requests_of_one_peer_and_minute_share_one_record(service, drive):
    async def scenario():
        running = service()
        answers = [await running.ask("GET", target) for target in ("/docs", "/docs/docs.js", "/openapi.json")]
        assert {answer.headers["ledger-index"] for answer in answers} == {"0"}
        assert len(running.ledger.records) == 1

    drive(scenario)


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


def test_a_process_that_stops_closes_the_window_of_the_minute_it_stops_in(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        await running.application.windows.close_all()
        assert running.ledger.records[1].count == 1

    drive(scenario)


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


def test_refusals_are_recorded_singly_up_to_the_rate(service, drive):
    async def scenario():
        running = service(refusals_per_minute=3)
        await _flood(running, 3)
        assert len(running.ledger.of_kind(records.Request)) == 3

    drive(scenario)


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


def test_a_sweep_closes_without_a_count_what_a_process_that_is_gone_left_open(service, drive):
    async def scenario():
        gone, swept_by = service(), service()
        await gone.ask("GET", "/docs")
        swept_by.ledger.records = gone.ledger.records
        swept_by.clock.us += 10 * MINUTE_US
        await swept_by.application.windows.sweep(swept_by.ledger)
        closing = gone.ledger.records[1]
        assert (closing.phase, closing.opens_index, closing.count) == ("closed", 0, None)

    drive(scenario)


def test_a_sweep_leaves_windows_alone_that_their_own_process_may_still_close(service, drive):
    async def scenario():
        other, sweeping = service(), service()
        await other.ask("GET", "/docs")
        sweeping.ledger.records = other.ledger.records
        sweeping.clock.us += MINUTE_US
        await sweeping.application.windows.sweep(sweeping.ledger)
        assert len(other.ledger.records) == 1

    drive(scenario)


def test_a_sweep_leaves_the_windows_of_its_own_process_alone(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/docs")
        running.clock.us += 10 * MINUTE_US
        await running.application.windows.sweep(running.ledger)
        assert len(running.ledger.records) == 1

    drive(scenario)


def test_a_window_of_a_process_that_is_known_to_be_gone_is_closed_at_once(service, drive):
    async def scenario():
        gone, sweeping = service(process_id=GONE), service()
        await gone.ask("GET", "/docs")
        sweeping.ledger.records = gone.ledger.records
        assert await sweeping.application.windows.sweep(sweeping.ledger, {str(GONE)})
        closing = gone.ledger.records[1]
        assert (closing.phase, closing.opens_index, closing.count) == ("closed", 0, None)

    drive(scenario)


def test_a_window_of_another_process_keeps_its_grace_though_one_is_gone(service, drive):
    async def scenario():
        other, sweeping = service(), service()
        await other.ask("GET", "/docs")
        sweeping.ledger.records = other.ledger.records
        await sweeping.application.windows.sweep(sweeping.ledger, {str(GONE)})
        assert len(other.ledger.records) == 1

    drive(scenario)


def test_a_sweep_that_could_not_close_everything_says_so_and_is_made_good_by_the_next(service, drive):
    async def scenario():
        gone, sweeping = service(process_id=GONE), service()
        await gone.ask("GET", "/docs")
        sweeping.ledger.records = gone.ledger.records
        sweeping.ledger.fail_next = 1
        assert not await sweeping.application.windows.sweep(sweeping.ledger, {str(GONE)})
        assert await sweeping.application.windows.sweep(sweeping.ledger, {str(GONE)})
        assert len(gone.ledger.records) == 2

    drive(scenario)


def test_a_sweep_does_not_look_again_at_windows_that_are_closed(service, drive):
    async def scenario():
        running = service()
        for _ in range(3):
            await running.ask("GET", "/docs")
            await running.application.windows.close_all()
        await running.application.windows.sweep(running.ledger)
        await running.ask("GET", "/nothing")
        await running.application.windows.sweep(running.ledger)
        assert running.ledger.looked_from == [0, 6]

    drive(scenario)


def test_a_sweep_looks_again_from_the_first_window_that_is_still_open(service, drive):
    async def scenario():
        other, sweeping = service(), service()
        sweeping.ledger.records = other.ledger.records
        await other.ask("GET", "/nothing")
        await other.ask("GET", "/docs")
        await other.ask("GET", "/nothing")
        await sweeping.application.windows.sweep(sweeping.ledger)
        sweeping.clock.us += 10 * MINUTE_US
        await sweeping.application.windows.sweep(sweeping.ledger)
        assert sweeping.ledger.looked_from == [0, 1]
        assert other.ledger.records[3].opens_index == 1

    drive(scenario)


def test_a_window_whose_minute_is_yet_to_come_is_closed_when_it_is_over(service, drive):
    async def scenario():
        ahead, sweeping = service(), service()
        ahead.clock.us += 10 * MINUTE_US
        sweeping.ledger.records = ahead.ledger.records
        await ahead.ask("GET", "/docs")
        await ahead.ask("GET", "/nothing")
        await sweeping.application.windows.sweep(sweeping.ledger)
        sweeping.clock.us += 20 * MINUTE_US
        await sweeping.application.windows.sweep(sweeping.ledger)
        assert ahead.ledger.records[2].opens_index == 0

    drive(scenario)


def test_a_sweep_goes_through_the_whole_ledger_in_pages(service, drive):
    async def scenario():
        gone, sweeping = service(process_id=GONE), service()
        sweeping.ledger.records = gone.ledger.records
        for last in range(1, 6):
            await gone.ask("GET", "/docs", peer=f"192.0.2.{last}")
        sweeping.ledger.looks_at = 2
        await sweeping.application.windows.sweep(sweeping.ledger, {str(GONE)})
        assert sorted(record.opens_index for record in gone.ledger.records[5:]) == [0, 1, 2, 3, 4]

    drive(scenario)


def test_a_window_is_closed_once_though_two_processes_try(service, drive):
    async def scenario():
        owner, sweeping = service(), service()
        await owner.ask("GET", "/docs")
        sweeping.ledger.records = owner.ledger.records
        sweeping.clock.us += 10 * MINUTE_US
        owner.clock.us += 10 * MINUTE_US
        await sweeping.application.windows.sweep(sweeping.ledger)
        await owner.application.windows.close_past()
        await owner.application.windows.close_past()
        assert len(owner.ledger.records) == 2

    drive(scenario)


def test_the_closing_records_id_is_a_uuid_of_version_eight():
    closing = UUID(closing_event_id(records.new_event_id()))
    assert (closing.version, closing.variant) == (8, "specified in RFC 4122")


def test_two_windows_have_two_closing_ids():
    assert closing_event_id(records.new_event_id()) != closing_event_id(records.new_event_id())


def test_a_window_has_the_same_closing_id_for_whoever_computes_it():
    opening = "0b4f7f4e-6f0e-4a67-9a51-0b1f2d3c4e5f"
    assert closing_event_id(opening) == closing_event_id(opening)
