"""What processes that are gone left open is closed for them, once, without a count, and never overlooked."""

from uuid import UUID

import pytest

MINUTE_US = 60_000_000
GONE = UUID("99999999-2222-4333-8444-555555555555")


@pytest.mark.verifies("REQ-LED-024")
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


@pytest.mark.verifies("REQ-LED-024")
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


@pytest.mark.verifies("REQ-LED-024")
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
