"""kill -9 of the server, of PostgreSQL, of everything, under load: what a client was given stays true."""

import json
import subprocess
import sys
from collections import Counter
from signal import SIGKILL

import pytest
from msgspec import Struct

from audit import evidence, note, receipt
from audit.anchors import FolderAnchor
from audit.postgres import embedded
from audit.receipt import Policy
from audit.record import Prediction, Request
from tests.system import processes
from tests.system.callers import Callers, Held, Question, calling
from tests.system.conftest import Entry
from tests.system.running import Server, eventually

pytestmark = pytest.mark.system

CLIENTS = 4
BEFORE = 15
"""Findings that each client has when the kill comes."""
AFTER = 5
"""Findings that each has besides, once everything runs again."""
LIMIT_S = 120.0

# Runs the shipped file as `python -I -S audit/verifier.py --key KEY FILE` would, once for each file.
JUDGE_EACH = """
import pathlib, runpy, sys
main = runpy.run_path(sys.argv[1])["main"]
files = sorted(pathlib.Path(sys.argv[3]).iterdir())
print("codes", sorted({main(["--key", sys.argv[2], str(file)]) for file in files}), "of", len(files))
"""


class Story(Struct, frozen=True, kw_only=True):
    """What the clients hold when all is over, and what the recovered ledger has."""

    server: Server
    key: str
    held: list[Held]
    entries: list[Entry]

    @property
    def policy(self) -> Policy:
        return Policy(logs=(note.Verifier.parse(self.key),))


def kill_the_server(server: Server) -> None:
    server.kill()


def kill_the_postmaster(server: Server) -> None:
    database = server.database_tree()
    processes.send(SIGKILL, database[:1])
    assert processes.are_gone(database, within_s=LIMIT_S)


def kill_every_database_process(server: Server) -> None:
    server.kill_database()


def kill_everything(server: Server) -> None:
    server.kill_database()
    server.kill()


def kill_a_worker(server: Server) -> None:
    processes.send(SIGKILL, server.worker_processes()[:1])


def start_the_server(server: Server) -> None:
    server.start()


def restart_the_server(server: Server) -> None:
    assert server.stop() == 0
    server.start()


def start_the_database(server: Server) -> None:
    embedded.start(server.home)


def wait(server: Server) -> None:
    """The supervisor sees to it."""
    assert eventually(lambda: len(server.worker_processes()) == server.workers, LIMIT_S)


SCENES = (
    (kill_the_server, start_the_server),
    (kill_the_postmaster, restart_the_server),
    (kill_every_database_process, start_the_database),
    (kill_everything, start_the_server),
    (kill_a_worker, wait),
)


@pytest.fixture(scope="module", params=SCENES, ids=lambda scene: scene[0].__name__)
def story(request, server, ct_slice, entries_of) -> Story:
    """One kill after the other, of one service with one ledger: what it survived before is in it each time. Each
    refusal is recorded singly there, so that it can be looked for."""
    strike, restore = request.param
    with calling(server, _questions(ct_slice), CLIENTS) as callers:
        assert eventually(lambda: min(callers.count(200)) >= BEFORE, LIMIT_S), callers.count(200)
        strike(server)
        assert eventually(lambda: _is_felt(callers), LIMIT_S), "the kill came when nobody asked"
        restore(server)
        before = callers.count(200)
        assert eventually(lambda: _has_recovered(callers, before), LIMIT_S), server.said()
    return Story(
        server=server,
        key=server.medai("audit", "key").stdout.strip(),
        held=callers.held(),
        entries=entries_of(server),
    )


def _questions(ct_slice: bytes) -> list[Question]:
    infer = Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")
    refused = Question(method="POST", target="/infer", body=b"no image", media_type="image/png")
    return [infer, infer, refused, infer, Question(method="GET", target="/health", scope=None)]


def _is_felt(callers: Callers) -> bool:
    return sum(callers.unanswered) + sum(callers.count(503)) > 0


def _has_recovered(callers: Callers, before: list[int]) -> bool:
    return all(now >= then + AFTER for now, then in zip(callers.count(200), before, strict=True))


def test_every_answer_that_a_client_holds_verifies_offline(story):
    verdicts = [evidence.check_answer(one.response.body, story.policy) for one in _answers(story)]
    assert Counter(verdict.exit_code for verdict in verdicts) == {0: len(verdicts)}


def test_every_answer_passes_the_verifier_that_stands_alone(story, tmp_path, repository):
    for number, answer in enumerate(_answers(story)):
        (tmp_path / f"{number}.json").write_bytes(answer.response.body)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", JUDGE_EACH, repository / "audit" / "verifier.py", story.key, tmp_path],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.stdout.splitlines()[-1:] == [f"codes [0] of {len(_answers(story))}"], done.stdout + done.stderr


def test_every_receipt_is_of_the_record_that_is_at_its_index_after_recovery(story):
    proofs = [receipt.parse(one.response.json()["ledger"]["proof"]) for one in _answers(story)]
    stored = {entry.index: entry.body for entry in story.entries}
    assert [proof.index for proof in proofs if stored.get(proof.index) != proof.extra] == []


def test_every_other_answer_is_on_record_with_its_status(story):
    others = [one for one in story.held if one.response.is_recorded and one not in _answers(story)]
    lost = [one for one in others if not _is_recorded(one, story.entries)]
    assert lost == []


def test_only_an_answer_that_could_not_be_recorded_names_no_record(story):
    nameless = Counter(one.response.code for one in story.held if not one.response.is_recorded)
    assert set(nameless) <= {"ledger_unavailable"}


def test_no_event_is_in_the_ledger_twice(story):
    assert _twice(entry.event_id for entry in story.entries) == []


def test_no_request_is_decided_twice(story):
    decided = [entry.record for entry in story.entries if isinstance(entry.record, Prediction | Request)]
    assert _twice(record.request_id for record in decided) == []


def test_no_two_answers_name_the_same_record(story):
    assert _twice(one.response.index for one in story.held if one.response.is_recorded) == []


def test_the_whole_ledger_is_valid_up_to_the_anchor(story):
    done = story.server.medai("audit", "verify", "--json")
    report = json.loads(done.stdout)
    altered = [one for one in report["found"] if one["altered"]]
    assert (done.returncode, altered, report["words"][:22]) == (0, [], "valid up to the anchor")


def test_the_anchor_reaches_every_receipt_that_a_client_holds(story):
    last = max(one.response.index for one in _answers(story))
    folder = FolderAnchor(story.server.home / "anchors", story.policy.logs)
    assert eventually(lambda: (newest := folder.newest()) is not None and newest.size > last, within_s=LIMIT_S)


def _answers(story: Story) -> list[Held]:
    """The findings; `/health` answers 200 as well."""
    return [one for one in story.held if one.response.status == 200 and b'"finding"' in one.response.body]


def _is_recorded(one: Held, entries: list[Entry]) -> bool:
    found = entries[one.response.index].record if one.response.index < len(entries) else None
    return isinstance(found, Request) and (found.correlation_id, found.status) == (
        one.correlation_id,
        one.response.status,
    )


def _twice(values) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]
