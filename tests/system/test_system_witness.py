"""A witness from its first command to its policy, killed at any moment, and two of them on one state."""

import contextlib
import http.client
import itertools
import subprocess
import sys
import threading

import pytest

from audit import checkpoint, merkle, note, receipt, record, submission
from audit.checkpoint import Checkpoint
from audit.cosignature import Verifier
from audit.errors import ConsistencyInvalid
from audit.witness.logs import origin_hash
from tests.audit_log import a_prediction, an_answer, log_of
from tests.system.witnessing import Home, home
from tests.witness_log import Tree, tree

pytestmark = pytest.mark.system

LOG, OTHER, FORKED = tree(), tree("log.example/b", b"b" * 32), tree(salt="forked")
QUICK = {"MEDAI_WITNESS_LOG_RATE_PER_S": "10000", "MEDAI_WITNESS_PEER_RATE_PER_S": "100000"}
STATE = f"{origin_hash(LOG.origin)}.checkpoint"


@pytest.fixture
def begun(tmp_path) -> Home:
    made = home(tmp_path / "witness")
    made.know(LOG, OTHER)
    return made


def sizes(held: list[str]) -> list[Checkpoint]:
    return sorted((checkpoint.parse(note.split(one)[0]) for one in held), key=lambda one: one.size)


def test_a_witness_is_begun_run_and_asked_by_its_commands(begun):
    key = Verifier.parse(begun.vkeys()[0])
    with begun.running() as witness:
        status, lines = witness.add(LOG.body(0, 5))
        assert status == 200
        assert note.open(LOG.signed(5).encode() + lines, [key]).verified[0].name == "witness.example/w1"


def test_a_witness_can_have_a_key_of_each_kind(tmp_path):
    both = home(tmp_path / "witness", "--ml-dsa")
    both.know(LOG)
    keys = [Verifier.parse(vkey) for vkey in both.vkeys()]
    with both.running() as witness:
        _, lines = witness.add(LOG.body(0, 5))
    assert {one.key_id for one in note.open(LOG.signed(5).encode() + lines, keys).verified} == {
        key.key_hash for key in keys
    }


def test_the_second_kind_of_key_can_be_added_later(begun):
    with begun.running() as witness:
        witness.add(LOG.body(0, 5))
    begun.medai("init", "--name", "witness.example/w1", "--ml-dsa")
    with begun.running() as witness:
        assert witness.add(LOG.body(5, 9))[1].count(b"\n") == 2


def test_its_keys_are_made_once(begun):
    before = begun.vkeys()
    begun.medai("init", "--name", "witness.example/w1")
    assert begun.vkeys() == before


def test_keys_that_lost_their_state_begin_nothing_anew(begun):
    (begun.path / "state" / "witness").unlink()
    found = begun.medai("init", "--name", "witness.example/w1")
    assert (found.returncode, "would sign a second history" in found.stderr) == (2, True)


def test_a_beginning_that_was_cut_before_its_key_was_there_is_begun_again(begun):
    (begun.path / "keys" / "ed25519.key").unlink()
    begun.medai("init", "--name", "witness.example/w1")
    with begun.running() as witness:
        assert witness.add(LOG.body(0, 5))[0] == 200


def test_a_port_that_is_taken_is_told(begun):
    with begun.running() as witness:
        found = begun.medai("run", "--port", str(witness.port))
    assert (found.returncode, "cannot listen on 127.0.0.1" in found.stderr) == (2, True)


def test_another_name_for_the_same_keys_is_refused(begun):
    assert begun.medai("init", "--name", "witness.example/w2").returncode == 2


def test_the_answers_over_http_are_those_of_the_specification(begun):
    with begun.running() as witness:
        found = [
            witness.add(body)[0]
            for body in (
                LOG.body(0, 5), LOG.body(5, 9), LOG.body(5, 9), LOG.body(9, 9), FORKED.body(9, 9), FORKED.body(9, 12),
                tree("log.example/unknown").body(0, 5), LOG.body(9, 12, signed=note.sign(LOG.text(12), [OTHER.signer])),
                LOG.body(12, 9, proof=()), b"hello", OTHER.body(0, 3),
            )
        ]  # fmt: skip
    assert found == [200, 200, 409, 200, 422, 422, 404, 403, 400, 400, 200]


def test_a_conflict_says_the_size_as_the_specification_has_it(begun):
    with begun.running() as witness:
        witness.add(LOG.body(0, 5))
        assert witness.request("POST", "/add-checkpoint", LOG.body(0, 9)) == (409, "text/x.tlog.size", b"5\n")


def test_a_monitor_reads_what_was_cosigned(begun):
    with begun.running() as witness:
        _, lines = witness.add(LOG.body(0, 5))
        status, _, body = witness.request("GET", f"/{origin_hash(LOG.origin)}/checkpoint")
    assert (status, body) == (200, LOG.signed(5).encode() + lines)


def test_it_says_that_it_is_well_and_ends_when_it_is_told(begun):
    with begun.running() as witness:
        assert witness.request("GET", "/health")[2] == b"ok\n"
        assert witness.end() == 0


def test_a_restart_forgets_nothing(begun):
    with begun.running() as witness:
        witness.add(LOG.body(0, 5))
        witness.end()
    with begun.running() as witness:
        assert witness.add(FORKED.body(0, 7)) == (409, b"5\n")


def test_without_its_state_it_does_not_start(begun):
    (begun.path / "state" / "witness").unlink()
    with begun.running() as witness:
        assert witness.process.wait(60) == 2


def test_with_a_state_that_was_altered_it_does_not_start(begun):
    with begun.running() as witness:
        witness.add(LOG.body(0, 5))
        witness.end()
    path = begun.path / "state" / STATE
    path.write_text(path.read_text("utf-8").replace("\n5\n", "\n4\n"), "utf-8")
    with begun.running() as witness:
        assert witness.process.wait(60) == 1


def test_with_a_setting_out_of_its_bounds_it_does_not_start(begun):
    with begun.running(MEDAI_WITNESS_MAX_AT_WORK="0") as witness:
        assert witness.process.wait(60) == 2


def test_killed_at_any_moment_it_never_signs_two_histories(begun):
    held: list[str] = []
    for round_ in range(6):
        with begun.running(**QUICK) as witness:
            _besiege(witness, held, killed_after=3 + 2 * round_)
    found = sizes(held)
    assert len(found) > 6
    for one, other in itertools.pairwise(found):
        assert _in_one_history(one, other)


def test_what_it_answered_before_it_was_killed_it_remembers(begun):
    held: list[str] = []
    with begun.running(**QUICK) as witness:
        _besiege(witness, held, killed_after=12)
    kept = checkpoint.parse(note.split((begun.path / "state" / STATE).read_bytes())[0])
    assert kept.size >= sizes(held)[-1].size


def test_two_processes_on_one_state_sign_one_history(begun):
    held: list[str] = []
    with begun.running(**QUICK) as one, begun.running(**QUICK) as two:
        clients = [
            threading.Thread(target=_climb, args=(witness, history, held))
            for witness in (one, two)
            for history in (LOG, FORKED)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    found = sizes(held)
    assert found[-1].size == 64
    for before, after in itertools.pairwise(found):
        assert _in_one_history(before, after)


def test_it_needs_no_web_framework_no_database_and_no_model_runtime():
    listed = "import sys, audit.witness.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, timeout=60)
    heavy = {"litestar", "uvicorn", "starlette", "psycopg", "sqlalchemy", "onnxruntime", "numpy", "service"}
    assert set(loaded.stdout.split()) & heavy == set()


def test_a_receipt_that_it_cosigned_is_witnessed_to_the_stand_alone_verifier(begun, tmp_path, repository):
    log = log_of(record.encode(a_prediction(an_answer())), an_answer())
    begun.know(Tree(signer=log.signer))
    made = submission.format(submission.AddCheckpoint(old_size=0, proof=(), signed=log.checkpoint))
    with begun.running() as witness:
        _, lines = witness.add(made)
    proof, policy = tmp_path / "answer.tlog-proof", tmp_path / "policy"
    proof.write_text(receipt.format(_cosigned(log.receipt, lines)), "utf-8")
    policy.write_text(f"log {log.signer.verifier}\nwitness W1 {begun.vkeys()[0]}\nquorum W1\n", "utf-8")
    verifier = [sys.executable, "-I", "-S", repository / "audit" / "verifier.py"]
    found = subprocess.run([*verifier, "--policy", policy, proof], capture_output=True, text=True, timeout=60)
    assert (found.returncode, "; witnessed by W1 (1 of 1)." in found.stdout) == (0, True)


def _cosigned(proof: receipt.Receipt, lines: bytes) -> receipt.Receipt:
    return receipt.Receipt(
        index=proof.index, path=proof.path, checkpoint=proof.checkpoint + lines.decode(), extra=proof.extra
    )


def _besiege(witness, held: list[str], *, killed_after: int) -> None:
    """Two histories of one log are sent at once, and the process is killed while they are."""
    target, enough = len(held) + killed_after, threading.Event()
    clients = [
        threading.Thread(target=_climb, args=(witness, history, held), kwargs={"target": target, "enough": enough})
        for history in (LOG, FORKED, LOG)
    ]
    for client in clients:
        client.start()
    enough.wait(60)
    witness.kill()
    for client in clients:
        client.join()


def _climb(witness, history: Tree, held: list[str], *, target: int = 0, enough: threading.Event | None = None) -> None:
    """Size after size of one history, from wherever the witness says that it is, until it is gone or at the end."""
    at = 0
    with contextlib.suppress(OSError, http.client.HTTPException):
        while at < history.leaves:
            new = at + 1
            status, answer = witness.add(history.body(at, new))
            if status == 200:
                held.append(history.signed(new) + answer.decode())
                at = new
            elif status == 409:
                at = int(answer)
            elif status == 422:
                break  # the witness is along the other history
            if enough is not None and len(held) >= target:
                enough.set()
    if enough is not None and at >= history.leaves:
        enough.set()


def _in_one_history(before: Checkpoint, after: Checkpoint) -> bool:
    """Whether the trees are one log's: proved as a witness would, for either history that they may be of."""
    for history in (LOG, FORKED):
        if merkle.root(history.hashes(before.size)) == before.root:
            with contextlib.suppress(ConsistencyInvalid):
                proof = history.proof(before.size, after.size)
                merkle.verify_consistency(before.size, before.root, after.size, after.root, proof)
                return True
    return False
