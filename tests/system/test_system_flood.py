"""A flood of strangers against the whole service: what it writes is bounded, and all of it is covered."""

import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import Struct

from audit.postgres import embedded
from audit.record import Prediction, Record, Request, ServiceStarted, ServiceStopped, Window
from service.http.policy import Policy
from tests.system import processes
from tests.system.running import HOST, Server, serving

pytestmark = pytest.mark.system

WORKERS = 2
MINUTE_US = 60_000_000
BOUNDS: dict[str, Any] = {
    "refusals_per_minute": 3, "refusals_per_minute_total": 20, "answers_per_minute": 3, "answers_per_minute_total": 20,
    "windows_per_minute": 10,
}  # fmt: skip
"""Bounds that a small flood reaches."""
ALIKE = 5
"""Log lines of one kind in a minute and worker."""
SETTINGS = {
    **{f"MEDAI_{name.upper()}": str(value) for name, value in BOUNDS.items()},
    "MEDAI_REFUSAL_DELAY_MS": "0",
    "MEDAI_PEER_RATE_PER_S": "100000",
    "MEDAI_PEER_BURST": "100000",
    "MEDAI_TRUSTED_PROXIES": "127.0.0.1/32",
    "MEDAI_LOG_ALIKE_PER_MINUTE": str(ALIKE),
}
Requests = Sequence[tuple[str, str, dict[str, str]]]
REQUESTS: Requests = [
    ("GET", "/health", {}), ("GET", "/version", {}), ("GET", "/docs", {}), ("GET", "/checkpoint", {}),
    ("GET", "/nothing", {}), ("DELETE", "/health", {}), ("POST", "/infer", {"Authorization": "Bearer of-nobody"}),
    ("GET", "/audit/proof/inclusion?index=0", {}),
]  # fmt: skip
UPGRADE = {"Connection": "upgrade", "Upgrade": "websocket"}
SHOUTED = 200
"""Requests for another protocol, and as many that are not HTTP: the server's library writes a line of each."""
DIRECT, BEHIND, ONE = 60, 60, 40
"""Addresses that ask by themselves, that a trusted proxy names, and how often one address asks everything."""
FINDINGS = 5
MOST_MIB = 96
"""What a worker may hold more after a flood than before: far less than one request of it is kept for."""


class Flooded(Struct, frozen=True, kw_only=True):
    """What was seen, and what is on record of it afterwards."""

    server: Server
    statuses: list[int]
    indices: list[int]
    findings: list[int]
    grown_mib: int
    records: list[Record]

    @property
    def of_strangers(self) -> list[Record]:
        return [one for one in self.records if isinstance(one, Request | Window)]


@pytest.fixture(scope="module")
def flooded(tmp_path_factory, ct_slice, entries_of) -> Iterator[Flooded]:
    with serving(tmp_path_factory.mktemp("flooded") / "home", workers=WORKERS, settings=SETTINGS) as server:
        callers: list[tuple[str, str | None]] = [(f"127.1.0.{number}", None) for number in range(1, DIRECT + 1)]
        callers += [(HOST, f"203.0.113.{number}") for number in range(1, BEHIND + 1)]
        callers += [("127.2.0.1", f"198.51.100.{number}") for number in range(1, ONE + 1)]  # not trusted: all are one
        before = processes.resident_mib(server.worker_processes())
        with ThreadPoolExecutor(8) as threads, server.client() as caller:
            answers = threads.map(lambda one: _asks(server.port, *one), callers)
            shouts = threads.map(lambda _: _shouts(server.port), range(SHOUTED))
            findings = [caller.infer(ct_slice).status for _ in range(FINDINGS)]
            answered = [answer for each in (*answers, *shouts) for answer in each]
        grown = processes.resident_mib(server.worker_processes()) - before
        assert server.stop() == 0
        with embedded.using(server.home):
            records = [entry.record for entry in entries_of(server)]
        yield Flooded(
            server=server, statuses=[status for status, _ in answered], indices=[index for _, index in answered],
            findings=findings, grown_mib=grown, records=records,
        )  # fmt: skip


def _asks(port: int, source: str, named: str | None, requests: Requests = REQUESTS) -> Sequence[tuple[int, int]]:
    """Status and ledger index of each answer to one stranger."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60, source_address=(source, 0))
    answers = []
    for method, target, headers in requests:
        forwarded = {} if named is None else {"X-Forwarded-For": named}
        connection.request(method, target, headers={**headers, **forwarded})
        answer = connection.getresponse()
        answer.read()
        answers.append((answer.status, int(answer.headers["Ledger-Index"])))
    connection.close()
    return answers


def _shouts(port: int) -> Sequence[tuple[int, int]]:
    """The answer to one request for another protocol; what is not HTTP has none that is on record."""
    with socket.create_connection((HOST, port), timeout=60) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 400 ")
    return _asks(port, "127.3.0.1", None, [("GET", "/health", UPGRADE)])


def test_every_request_of_the_flood_is_answered_as_alone(flooded):
    assert set(flooded.statuses) == {200, 401, 404, 405}


def test_every_answer_names_the_record_that_covers_it(flooded):
    covering = {type(flooded.records[index]) for index in flooded.indices}
    assert covering == {Request, Window}


def test_what_the_flood_wrote_is_within_the_bound_of_the_policy(flooded):
    minutes = {one.recorded_at_us // MINUTE_US for one in flooded.of_strangers}
    bound = Policy(**BOUNDS).flood_records_per_minute
    assert len(flooded.of_strangers) <= bound * WORKERS * len(minutes)
    assert len(flooded.of_strangers) < len(flooded.statuses) / 2


def test_nothing_of_the_flood_is_uncounted(flooded):
    singles = sum(isinstance(one, Request) for one in flooded.records)
    folded = sum(one.count or 0 for one in flooded.records if isinstance(one, Window) and one.phase == "closed")
    assert singles + folded == len(flooded.statuses)


def test_a_caller_with_a_token_is_given_its_findings_meanwhile(flooded):
    assert flooded.findings == [200] * FINDINGS
    assert sum(isinstance(one, Prediction) for one in flooded.records) == FINDINGS


def test_addresses_that_an_untrusted_peer_names_are_one_caller(flooded):
    """Of the 40 that it claimed to be, none has a record of its own: besides those that asked by themselves or behind a
    proxy there are that peer, the one that shouted, and all others as one."""
    peers = {one.peer for one in flooded.of_strangers}
    assert len(peers) <= DIRECT + BEHIND + 3


def test_the_flood_writes_no_more_lines_of_one_kind_than_the_setting_names(flooded):
    written = [line for line in map(_parsed, flooded.server.log.read_text().splitlines()) if line is not None]
    kinds = Counter((line["timestamp"][:16], line["event"], line.get("logger")) for line in written)
    # A worker's minute is not the clock's: two of its minutes may begin within one of these.
    assert max(kinds.values()) <= 2 * ALIKE * WORKERS
    assert sum(line.get("logger") == "uvicorn.error" for line in written) >= ALIKE


def _parsed(line: str) -> dict[str, Any] | None:
    return json.loads(line) if line.startswith("{") else None


def test_the_workers_hold_no_more_memory_than_before(flooded):
    assert flooded.grown_mib < MOST_MIB * WORKERS


def test_the_ledger_is_valid_after_the_flood(flooded):
    assert flooded.server.medai("audit", "verify").returncode == 0


def test_besides_the_flood_only_the_service_itself_wrote(flooded):
    others = {type(one) for one in flooded.records[1:] if not isinstance(one, Request | Window | Prediction)}
    assert others == {ServiceStarted, ServiceStopped}
