"""The database is away: every request is refused, no finding leaves; it is back: so is the service, and says so."""

import json
from collections.abc import Callable, Iterator, Sequence
from signal import SIGCONT, SIGSTOP

import pytest
from msgspec import Struct

from audit.postgres import embedded
from audit.record import Outage
from tests.system import processes
from tests.system.callers import Held, Question, calling
from tests.system.conftest import Entry
from tests.system.running import Response, Server, eventually, serving

pytestmark = pytest.mark.system

CLIENTS = 4
EACH = 60
"""Answers of each client while the database is away."""
PROBES = 12
"""Connections to the internal port; several, since each worker answers for itself."""
LIMIT_S = 60.0


class Away(Struct, frozen=True, kw_only=True):
    """What was seen from before the database went until after it had come back."""

    server: Server
    answers: list[Held]
    """To requests that were sent while it was away; none of them in the moment of its going or coming."""
    around: list[Response]
    """Answers to the requests that were under way when it went."""
    livez: list[int]
    readyz: list[int]
    refused: int
    """503 `ledger_unavailable`, counted by the clients, in the whole story."""
    entries: list[Entry]
    workers_before: list[int]

    @property
    def outages(self) -> list[Outage]:
        return [entry.record for entry in self.entries if isinstance(entry.record, Outage)]


def pause(server: Server) -> None:
    """Every process of PostgreSQL stands still: connections stay, nothing answers."""
    processes.send(SIGSTOP, server.database_tree())


def go_on(server: Server) -> None:
    processes.send(SIGCONT, server.database_tree())


def stop(server: Server) -> None:
    embedded.stop(server.home)


def start(server: Server) -> None:
    embedded.start(server.home)


def kill(server: Server) -> None:
    server.kill_database()


@pytest.fixture(scope="module", params=[(stop, start), (pause, go_on), (kill, start)], ids=lambda way: way[0].__name__)
def away(request, tmp_path_factory, ct_slice, entries_of) -> Iterator[Away]:
    leave, come_back = request.param
    with serving(tmp_path_factory.mktemp("outage") / "home") as server:
        workers = [process.pid for process in server.worker_processes()]
        infer = Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")
        with calling(server, [infer], CLIENTS) as first:
            assert eventually(lambda: min(first.count(200)) > 2, LIMIT_S)
            leave(server)
            assert eventually(lambda: _statuses(server, "/readyz") == {503}, LIMIT_S)
        with calling(server, _questions(infer), CLIENTS) as second:
            assert eventually(lambda: min(second.count(503)) >= EACH, LIMIT_S), second.held()[-1]
            livez = [server.internal("/livez").status for _ in range(PROBES)]
            readyz = [server.internal("/readyz").status for _ in range(PROBES)]
        come_back(server)
        assert eventually(lambda: _statuses(server, "/readyz") == {200}, LIMIT_S), server.said()
        _wait_for_outages(server, entries_of)
        yield Away(
            server=server,
            answers=second.held(),
            around=[one.response for one in first.held()],
            livez=livez,
            readyz=readyz,
            refused=_refusals(first.held()) + _refusals(second.held()),
            entries=entries_of(server),
            workers_before=workers,
        )


def _questions(infer: Question) -> list[Question]:
    """One of each kind of path: recorded singly, folded, refused, and not there."""
    gets = [
        Question(method="GET", target=path, scope=None) for path in ("/health", "/version", "/openapi.json", "/docs")
    ]
    refused = Question(method="POST", target="/infer", body=b"no image", media_type="image/png")
    unknown = Question(method="GET", target="/nothing", scope=None)
    return [infer, *gets, refused, Question(method="DELETE", target="/infer", scope=None), unknown]


def _statuses(server: Server, path: str) -> set[int]:
    return {server.internal(path).status for _ in range(PROBES)}


def _refusals(held: Sequence[Held]) -> int:
    return sum(one.response.code == "ledger_unavailable" for one in held)


def _wait_for_outages(server: Server, entries_of: Callable[[Server], list[Entry]]) -> None:
    """Each worker has said what it missed: the outage is queued when the first append succeeds, not in it."""

    def said() -> bool:
        outages = [entry.record for entry in entries_of(server) if isinstance(entry.record, Outage)]
        return len({outage.process_id for outage in outages}) == server.workers

    assert eventually(said, LIMIT_S), server.said()


def test_every_request_is_answered_with_503(away):
    assert {one.response.status for one in away.answers} == {503}


def test_every_refusal_is_a_problem_that_names_the_ledger(away):
    assert {one.response.code for one in away.answers} == {"ledger_unavailable"}


def test_every_refusal_says_when_to_come_back(away):
    assert all(int(one.response.headers["retry-after"]) >= 1 for one in away.answers)


def test_every_refusal_carries_the_callers_correlation_id(away):
    assert all(one.response.headers["x-correlation-id"] == one.correlation_id for one in away.answers)


def test_no_refusal_names_a_record_that_was_not_written(away):
    assert [one for one in away.answers if one.response.is_recorded] == []


def test_no_refusal_holds_anything_of_a_finding(away):
    words = (b"finding", b"probability", b"positive", b"negative", b"abstain", b"proof")
    bodies = [one.response.body for one in away.answers]
    assert [body for body in bodies if any(word in body for word in words)] == []


def test_what_was_under_way_has_a_proof_or_no_finding(away):
    unproved = [
        answer
        for answer in away.around
        if (answer.status == 200) != (b'"proof"' in answer.body) or answer.status not in (200, 503)
    ]
    assert unproved == []


def test_every_worker_stays_alive_without_a_database(away):
    assert set(away.livez) == {200}


def test_no_worker_says_that_it_is_ready_without_a_database(away):
    assert set(away.readyz) == {503}


def test_findings_come_again_without_a_restart(away, ct_slice):
    with away.server.client() as client:
        status = client.infer(ct_slice).status
    assert (status, [process.pid for process in away.server.worker_processes()]) == (200, away.workers_before)


def test_the_outage_is_on_record_with_every_request_that_was_refused(away):
    assert sum(outage.refused for outage in away.outages) == away.refused


def test_each_worker_records_when_its_outage_began_and_ended(away):
    assert all(0 < outage.from_us < outage.to_us for outage in away.outages)


def test_the_metrics_count_as_many_unrecorded_answers(away):
    wanted = f'medai_unrecorded_total{{reason="ledger_unavailable"}} {away.refused}.0'
    assert wanted in away.server.internal("/metrics").body.decode()


def test_the_ledger_with_the_outage_in_it_is_valid(away):
    done = away.server.medai("audit", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["found"]) == (0, [])
