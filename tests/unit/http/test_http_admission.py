"""Who may come in now: a rate for each caller, a bounded number inside, and nobody while the process drains."""

import asyncio

import pytest

from service.errors import RateLimited
from service.http.admission import Rates
from service.http.shares import is_within
from tests.http_fakes import OTHER_TOKEN, TOKEN, FakePrincipal


class Time:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


def _taken(rates, caller, times):
    for _ in range(times):
        rates.take(caller)


@pytest.mark.verifies("REQ-SEC-013")
def test_a_caller_may_ask_as_often_as_the_burst_allows(time):
    _taken(Rates(per_s=1, burst=3, max_callers=10, now=time), "a", 3)


@pytest.mark.verifies("REQ-SEC-013")
def test_one_request_more_is_refused_with_when_to_come_back(time):
    rates = Rates(per_s=1, burst=3, max_callers=10, now=time)
    _taken(rates, "a", 3)
    with pytest.raises(RateLimited) as refused:
        rates.take("a")
    assert refused.value.retry_after_s == 1


@pytest.mark.verifies("REQ-SEC-013")
def test_time_gives_the_caller_new_requests(time):
    rates = Rates(per_s=2, burst=3, max_callers=10, now=time)
    _taken(rates, "a", 3)
    time.now += 1
    _taken(rates, "a", 2)
    with pytest.raises(RateLimited):
        rates.take("a")


@pytest.mark.verifies("REQ-SEC-013")
def test_one_caller_does_not_spend_what_is_anothers(time):
    rates = Rates(per_s=1, burst=1, max_callers=10, now=time)
    rates.take("a")
    rates.take("b")


def test_the_callers_that_are_remembered_are_bounded(time):
    rates = Rates(per_s=1, burst=1, max_callers=2, now=time)
    for caller in "abc":
        rates.take(caller)
    rates.take("a")
    with pytest.raises(RateLimited):
        rates.take("c")


def test_a_caller_that_asks_too_often_is_answered_429(service, drive):
    async def scenario():
        running = service(caller_burst=1, caller_rate_per_s=1)
        await running.infer()
        answer = await running.infer()
        assert (answer.status, answer.json["code"]) == (429, "rate_limited")
        assert answer.headers["retry-after"] == "1"

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-013")
def test_an_address_without_a_token_that_asks_too_often_is_answered_429(service, drive):
    async def scenario():
        running = service(peer_burst=1, peer_rate_per_s=1)
        await running.ask("GET", "/health")
        assert (await running.ask("GET", "/health")).status == 429
        assert (await running.ask("GET", "/health", peer="192.0.2.9")).status == 200

    drive(scenario)


@pytest.mark.parametrize("target", ["/docs", "/docs/docs.js", "/openapi.json"])
def test_what_is_folded_has_the_rate_of_an_address_too(service, drive, target):
    async def scenario():
        running = service(peer_burst=1, peer_rate_per_s=1)
        await running.ask("GET", target)
        assert (await running.ask("GET", target)).status == 429
        assert (await running.ask("GET", target, peer="192.0.2.9")).status == 200

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-014")
def test_a_full_queue_is_answered_503_with_when_to_come_back(service, drive):
    async def scenario():
        running = service(max_admitted=1)
        running.infer_gate = asyncio.Event()
        inside = asyncio.create_task(running.infer())
        while not running.requests:
            await asyncio.sleep(0)
        answer = await running.infer()
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        running.infer_gate.set()
        assert (await inside).status == 200

    drive(scenario)


def _slow(running, token=TOKEN):
    """One request whose body begins and does not go on, as a task and the client to end it with."""
    headers = {"authorization": f"Bearer {token}", "content-type": "image/png", "content-length": "10"}
    exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x", None])
    return asyncio.create_task(exchange.run()), exchange


async def _slow_ones(running, count):
    """So many requests of one caller, each waiting for its body or refused."""
    begun = [_slow(running) for _ in range(count)]
    while not all(exchange.read_chunks or exchange.sent for _, exchange in begun):
        await asyncio.sleep(0)
    return begun


@pytest.mark.verifies("REQ-SEC-014")
def test_slow_bodies_of_one_caller_take_no_more_than_its_share(service, drive):
    async def scenario():
        running = service(max_admitted=8, caller_share_percent=50)
        await _slow_ones(running, 4)
        answer = await running.infer()
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (429, "rate_limited", "1")

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-014")
def test_slow_bodies_of_one_caller_do_not_keep_another_out(service, drive):
    async def scenario():
        running = service(max_admitted=8, caller_share_percent=50)
        await _slow_ones(running, 140)
        assert (await running.infer(token=OTHER_TOKEN)).status == 200

    drive(scenario)


@pytest.mark.parametrize("greedy", [1, 2, 3, 7])
def test_slow_bodies_of_any_number_of_callers_leave_room_for_one_more(service, drive, greedy):
    async def scenario():
        running = service(max_admitted=24, caller_share_percent=50)
        for number in range(greedy):
            running.tokens.known[f"token-{number}"] = FakePrincipal(f"greedy-{number}", ["infer"])
        begun = []
        for turn in range(24 * greedy):  # each takes what it is given, in turn
            begun.append(_slow(running, f"token-{turn % greedy}"))
            while not (begun[-1][1].read_chunks or begun[-1][1].sent):
                await asyncio.sleep(0)
        assert (await running.infer()).status == 200

    drive(scenario)


@pytest.mark.parametrize(("callers", "each"), [(1, 12), (2, 8), (3, 6), (5, 4)])
def test_greedy_callers_share_what_there_is_and_leave_one_share_free(callers, each):
    held = [0] * callers
    for _ in range(24):
        for number in range(callers):
            held[number] += is_within(held[number] + 1, 24 - sum(held) - 1, 50)
    assert held == [each] * callers


def test_a_caller_gets_its_share_back_when_its_requests_end(service, drive):
    async def scenario():
        running = service(max_admitted=8, caller_share_percent=50)
        begun = await _slow_ones(running, 4)
        for _, exchange in begun:
            exchange.leave()
        await asyncio.gather(*(task for task, _ in begun))
        assert (await running.infer()).status == 200

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-014")
def test_the_smallest_share_is_one_request(service, drive):
    async def scenario():
        running = service(max_admitted=2, caller_share_percent=1)
        assert (await running.infer()).status == 200

    drive(scenario)


def test_more_do_not_run_at_once_than_may(service, drive):
    async def scenario():
        running = service(max_running=2)
        running.infer_gate = asyncio.Event()
        inside = [asyncio.create_task(running.infer()) for _ in range(5)]
        while len(running.requests) < 2:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(running.requests) == 2
        running.infer_gate.set()
        assert [answer.status for answer in await asyncio.gather(*inside)] == [200] * 5

    drive(scenario)


def test_one_that_waits_too_long_to_run_is_told_to_come_back(service, drive):
    async def scenario():
        running = service(max_running=1, queue_timeout_ms=1)
        running.infer_gate = asyncio.Event()
        inside = asyncio.create_task(running.infer())
        while not running.requests:
            await asyncio.sleep(0)
        answer = await running.infer()
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        running.infer_gate.set()
        await inside

    drive(scenario)


@pytest.mark.verifies("REQ-DEP-004")
def test_a_draining_process_takes_no_new_image_and_says_so(service, drive):
    async def scenario():
        running = service()
        running.application.admission.draining = True
        answer = await running.infer()
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "draining", "1")

    drive(scenario)


@pytest.mark.verifies("REQ-DEP-004")
def test_a_draining_process_finishes_what_is_inside(service, drive):
    async def scenario():
        running = service()
        running.infer_gate = asyncio.Event()
        inside = asyncio.create_task(running.infer())
        while not running.requests:
            await asyncio.sleep(0)
        running.application.admission.draining = True
        running.infer_gate.set()
        assert (await inside).status == 200

    drive(scenario)


def test_health_says_that_the_process_drains(service, drive):
    async def scenario():
        running = service()
        running.draining = "draining"
        assert (await running.ask("GET", "/health")).status == 503

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-014")
def test_every_place_is_given_back_whatever_happens(service, drive):
    async def scenario():
        running = service()
        running.infer_error = RuntimeError("broken")
        await running.infer()
        task = asyncio.create_task(running.infer())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (running.application.admission.admitted, running.application.admission.running) == (0, 0)

    drive(scenario)
