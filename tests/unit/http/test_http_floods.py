"""What strangers write together in a minute is bounded, whatever they ask for and from however many addresses."""

from ipaddress import ip_network
from typing import Any

import pytest

from audit import record as records
from service.http.policy import Policy
from tests.http_fakes import FakePseudonyms

MINUTE_US = 60_000_000
SMALL = {
    "refusals_per_minute": 2, "refusals_per_minute_total": 6, "answers_per_minute": 3, "answers_per_minute_total": 5,
    "windows_per_minute": 4,
}  # fmt: skip
"""Bounds that a test reaches soon."""
TARGETS = ["/health", "/version", "/docs", "/openapi.json", "/nothing", "/docs/nothing", "/checkpoint"]


def address(number):
    return f"203.0.{number // 250}.{number % 250 + 1}"


async def minute(running, requests):
    """`requests` of (method, target, peer, headers) in one minute, and the records of it, closings included."""
    before = len(running.ledger.records)
    for method, target, peer, headers in requests:
        await running.ask(method, target, peer=peer, headers=headers)
    running.clock.us += MINUTE_US
    await running.application.windows.close_past()
    return running.ledger.records[before:]


FLOODS: dict[str, list[Any]] = {
    "one_address": [("GET", target, address(0), {}) for _ in range(60) for target in TARGETS],
    "many_addresses": [("GET", target, address(number), {}) for number in range(60) for target in TARGETS],
    "many_addresses_each_often": [("GET", TARGETS[n % 7], address(n % 20), {}) for n in range(400)],
    "many_networks": [("GET", "/health", f"2001:db8:{number:x}::1", {}) for number in range(300)],
    "wrong_tokens": [("POST", "/infer", address(n), {"authorization": f"Bearer wrong-{n}"}) for n in range(300)],
    "odd_methods": [("BREW", "/health", address(number), {}) for number in range(300)],
    "through_a_trusted_proxy": [
        ("GET", TARGETS[n % 7], "10.0.0.1", {"x-forwarded-for": address(n)}) for n in range(300)
    ],
}


@pytest.mark.verifies("REQ-SEC-023")
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_makes_no_more_records_in_a_minute_than_the_policy_says(service, drive, flood):
    async def scenario():
        running = service(**SMALL, peer_burst=1_000_000, trusted_proxies=(ip_network("10.0.0.0/8"),))
        made = await minute(running, flood)
        assert len(made) <= running.policy.flood_records_per_minute

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_everything_at_once_makes_no_more_records_than_the_policy_says(service, drive):
    async def scenario():
        running = service(**SMALL, peer_burst=1_000_000, trusted_proxies=(ip_network("10.0.0.0/8"),))
        made = await minute(running, [request for flood in FLOODS.values() for request in flood])
        assert len(made) <= running.policy.flood_records_per_minute

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_every_request_of_a_flood_is_covered_by_a_record(service, drive):
    async def scenario():
        running = service(**SMALL)
        for method, target, peer, headers in FLOODS["many_addresses"]:
            answer = await running.ask(method, target, peer=peer, headers=headers)
            assert int(answer.headers["ledger-index"]) < len(running.ledger.records)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_the_counts_of_windows_and_the_single_records_are_all_the_requests(service, drive):
    async def scenario():
        running = service(**SMALL)
        flood = FLOODS["many_addresses"]
        made = await minute(running, flood)
        closed = sum(one.count or 0 for one in made if type(one) is records.Window and one.phase == "closed")
        assert closed + sum(type(one) is records.Request for one in made) == len(flood)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_clients_that_leave_before_their_answer_write_no_more_than_that(service, drive):
    async def scenario():
        running = service(**SMALL)
        for number in range(60):
            exchange = running.exchange("GET", "/health", peer=address(number))
            exchange.on_send = lambda message, exchange=exchange: exchange.leave()
            await exchange.run()
        assert len(running.ledger.records) <= running.policy.flood_records_per_minute

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_answers_to_one_address_are_recorded_singly_up_to_its_share(service, drive):
    async def scenario():
        running = service(answers_per_minute=3)
        made = await minute(running, [("GET", "/health", address(0), {})] * 8)
        assert [type(one) for one in made] == [records.Request] * 3 + [records.Window] * 2
        assert (made[3].subject, made[4].count) == ("public", 5)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_answers_to_many_addresses_are_folded_together_beyond_the_share_of_all(service, drive):
    async def scenario():
        running = service(answers_per_minute_total=3)
        made = await minute(running, [("GET", "/version", address(number), {}) for number in range(9)])
        assert (len(made), made[3].peer) == (5, FakePseudonyms().of("peer", "others"))

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_a_folded_answer_is_the_same_answer(service, drive):
    async def scenario():
        running = service(answers_per_minute=1)
        first, second = [await running.ask("GET", "/health") for _ in range(2)]
        assert (first.status, first.json) == (second.status, second.json) == (200, {"status": "ok"})

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_what_a_caller_with_a_token_is_given_is_never_folded(service, drive):
    async def scenario():
        running = service(**{**SMALL, "answers_per_minute_total": 0})
        for _ in range(5):
            await running.infer()
        assert [type(one) for one in running.ledger.records] == [records.Prediction] * 5

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_a_flood_of_strangers_folds_nothing_of_a_caller_with_a_token(service, drive):
    async def scenario():
        running = service(**SMALL)
        await minute(running, FLOODS["many_addresses"])
        await running.infer()
        assert type(running.ledger.records[-1]) is records.Prediction

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_failures_of_ours_that_strangers_meet_are_folded_as_refusals_are(service, drive):
    async def scenario():
        running = service(refusals_per_minute=1)
        running.read_from(None)
        for _ in range(4):
            assert (await running.ask("GET", "/checkpoint")).status == 500
        assert [type(one) for one in running.ledger.records] == [records.Request, records.Window]

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_addresses_beyond_those_with_windows_of_their_own_share_one(service, drive):
    async def scenario():
        running = service(windows_per_minute=3)
        for number in range(8):
            await running.ask("GET", "/docs", peer=address(number))
        peers = [one.peer for one in running.ledger.records]
        assert (len(peers), peers[3]) == (4, FakePseudonyms().of("peer", "others"))

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_the_next_minute_gives_windows_of_their_own_again(service, drive):
    async def scenario():
        running = service(windows_per_minute=1)
        await minute(running, [("GET", "/docs", address(number), {}) for number in range(3)])
        made = await minute(running, [("GET", "/docs", address(9), {})])
        assert made[0].peer == FakePseudonyms().of("peer", address(9))

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_an_untrusted_peer_cannot_be_many(service, drive):
    async def scenario():
        running = service(answers_per_minute=2, trusted_proxies=(ip_network("10.0.0.0/8"),))
        flood = [("GET", "/health", address(0), {"x-forwarded-for": address(n)}) for n in range(1, 20)]
        made = await minute(running, flood)
        assert (len(made), {one.peer for one in made}) == (4, {FakePseudonyms().of("peer", address(0))})

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-023")
def test_the_addresses_that_are_remembered_are_bounded(service, drive):
    async def scenario():
        running = service(max_peers=50, answers_per_minute_total=1_000_000, refusals_per_minute_total=1_000_000)
        for number in range(400):
            for target in ("/health", "/nothing", "/docs"):
                await running.ask("GET", target, peer=address(number))
        windows = running.application.windows
        remembered = [len(windows._open), len(windows._answers._spent), len(windows._refusals._spent)]
        assert max(remembered) <= 52

    drive(scenario)


def test_by_default_a_flood_makes_at_most_two_megabytes_of_records_a_minute():
    """The largest record that a request without a token can make of itself, as often as that may be."""
    peer, request = f"{'k' * 32}:{'0' * 64}", records.new_event_id()
    largest = records.Request(
        format=records.FORMAT, event_id=request, recorded_at_us=2**53 - 1, request_id=request, correlation_id=request,
        traceparent="00-" + "0" * 32 + "-" + "0" * 16 + "-00", method="PROPFIND", route="/" + "r" * 95, status=200,
        peer=peer, release=None, code="c" * 64,
    )  # fmt: skip
    assert Policy().flood_records_per_minute * len(records.encode(largest)) <= 2 * 2**20
