"""The service with a container and witnesses beside it: what is kept where, and what is served.

The witnesses are real ones; the container is a server that keeps policies, as Azure does.
"""

import contextlib
import http.client
import signal

import pytest

from audit import checkpoint, note, receipt
from tests.system import processes
from tests.system.anchored import LIMIT_S, World
from tests.system.running import eventually

pytestmark = pytest.mark.system

EXIT_USAGE, EXIT_UNATTESTED = 2, 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("anchored"), stack)


def test_the_checkpoint_that_is_served_is_cosigned(world):
    assert eventually(lambda: world.served().witnessed_by, LIMIT_S)
    receipt.require_quorum(world.trusted, world.served())


def test_every_key_of_a_witness_cosigns(world):
    def names():
        return {one.name for one in world.served().witnessed_by}

    assert eventually(lambda: names() == {"w1-0", "w1-1", "w2-0", "w2-1"}, LIMIT_S)


def test_a_checkpoint_over_a_new_answer_is_cosigned_soon(world, ct_slice):
    with world.server.client() as client:
        index = client.infer(ct_slice).index
    assert eventually(lambda: world.served().checkpoint.size > index and world.served().witnessed_by, LIMIT_S)


def test_the_container_holds_checkpoints_that_the_log_signed(world):
    assert eventually(world.storage.bodies, LIMIT_S)
    opened = checkpoint.parse(note.open(world.storage.bodies()[-1], [world.key]).text)
    assert opened.origin == world.key.name


def test_an_answer_s_receipt_is_upgraded_to_a_cosigned_one(world, ct_slice):
    with world.server.client() as client:
        index = client.infer(ct_slice).index
    assert eventually(lambda: world.server.medai("audit", "proof", str(index)).returncode == 0, LIMIT_S)
    receipt.verify(world.server.medai("audit", "proof", str(index)).stdout, world.trusted)


def test_a_record_that_is_not_there_has_no_receipt(world):
    done = world.server.medai("audit", "proof", "1000000")
    assert (done.returncode, "not_found" in done.stderr) == (EXIT_USAGE, True)


def test_the_metrics_say_what_anchors_and_witnesses_hold(world):
    assert eventually(lambda: world.metric("medai_attested_size"), LIMIT_S)
    assert eventually(lambda: len(world.metric("medai_anchor_size")) == 2, LIMIT_S)
    assert eventually(lambda: len(world.metric("medai_anchor_timestamp_seconds")) == 2, LIMIT_S)
    assert eventually(lambda: len(world.metric("medai_witness_size")) == 2, LIMIT_S)


def test_the_whole_ledger_verifies_by_folder_container_and_witnesses(world):
    done = world.server.medai("audit", "verify", "--policy", str(world.policy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "witnessed by" in done.stdout


def test_a_job_beside_the_service_says_that_another_leads(world):
    done = world.server.medai("audit", "publish", settings={"MEDAI_PUBLISH_DEADLINE_MS": "1500"})
    assert (done.returncode, "another one leads" in done.stderr) == (EXIT_UNATTESTED, True)


def test_while_the_container_hangs_answers_are_given(world, ct_slice):
    world.storage.silent.set()
    asked = len(world.storage.requests)
    try:
        with world.server.client() as client:
            answers = [client.infer(ct_slice).status]
            assert eventually(lambda: len(world.storage.requests) > asked, LIMIT_S)
            answers += [client.infer(ct_slice).status for _ in range(20)]
    finally:
        world.storage.silent.clear()
    assert answers == [200] * 21


def test_while_a_witness_hangs_the_other_suffices(world, ct_slice):
    stopped = world.witnesses["w1"].process
    stopped.send_signal(signal.SIGSTOP)
    try:
        with world.server.client() as client:
            index = client.infer(ct_slice).index
        assert eventually(lambda: world.served().checkpoint.size > index, LIMIT_S)
    finally:
        stopped.send_signal(signal.SIGCONT)


def test_when_every_worker_is_killed_another_leads_once_the_lease_has_ended(world, ct_slice):
    killed = world.server.worker_processes()
    processes.send(signal.SIGKILL, killed)
    assert eventually(lambda: len(set(world.server.worker_processes()) - set(killed)) == 2, LIMIT_S)
    assert eventually(lambda: _index(world, ct_slice) is not None, LIMIT_S)
    index = _index(world, ct_slice)
    assert eventually(lambda: world.served().checkpoint.size > index, LIMIT_S)


def _index(world, image):
    """Of the record of an answer; None where none comes, as while workers are started."""
    with contextlib.suppress(OSError, http.client.HTTPException), world.server.client() as client:
        return client.infer(image).index
    return None
