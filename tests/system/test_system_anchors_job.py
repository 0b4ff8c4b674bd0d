"""`medai audit publish` and `medai audit proof`, where the service leaves publishing to a job."""

import contextlib
import re
import shutil

import pytest

from tests.system.anchored import World

pytestmark = pytest.mark.system

EXIT_ALTERED, EXIT_USAGE, EXIT_UNATTESTED = 1, 2, 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("job"), stack, {"MEDAI_PUBLISH_IN_SERVICE": "no"})


def test_the_service_publishes_nothing_by_itself(world, ct_slice):
    with world.server.client() as client:
        client.infer(ct_slice)
    assert world.storage.bodies() == []


def test_a_receipt_cannot_be_upgraded_before_anybody_cosigned(world):
    done = world.server.medai("audit", "proof", "0")
    assert (done.returncode, "not witnessed yet" in done.stderr) == (EXIT_UNATTESTED, True)


def test_it_says_what_it_did(world):
    done = world.server.medai("audit", "publish")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.sub(r"\d+ records", "N records", done.stdout).splitlines() == [
        "checkpoint of N records",
        "  folder: holds it",
        "  container: holds it",
        "  witness w1-0,w1-1: cosigned",
        "  witness w2-0,w2-1: cosigned",
        "the policy's quorum is met",
    ]


def test_afterwards_receipts_can_be_upgraded(world):
    assert world.server.medai("audit", "proof", "0").returncode == 0


@pytest.fixture
def without_the_folder(world):
    """The folder of anchors is elsewhere meanwhile."""
    folder = world.server.home / "anchors"
    folder.rename(folder.with_name("elsewhere"))
    yield
    if folder.exists():
        shutil.rmtree(folder)
    folder.with_name("elsewhere").rename(folder)


def test_the_whole_ledger_verifies_by_the_container_alone(world, without_the_folder):
    done = world.server.medai("audit", "verify")
    assert (done.returncode, "valid up to the anchor" in done.stdout) == (0, True)


def test_a_ledger_is_not_verified_by_a_container_without_a_policy(world):
    world.storage.container_policy = False
    try:
        done = world.server.medai("audit", "verify")
    finally:
        world.storage.container_policy = True
    assert (done.returncode, "no immutability policy" in done.stderr) == (EXIT_USAGE, True)


def test_without_the_container_it_says_so_and_does_the_rest(world):
    world.storage.status = 503
    try:
        done = world.server.medai("audit", "publish")
    finally:
        world.storage.status = None
    assert done.returncode == EXIT_UNATTESTED
    assert "container: does not hold it: anchor container: it answers 503" in done.stdout
    assert "the policy's quorum is met" in done.stdout


def test_a_container_with_other_bytes_is_an_alarm(world, ct_slice):
    for versions in world.storage.blobs.values():
        versions[0].body = b"anything"
    world.server.stop()  # so that the newest checkpoint is the one whose blob was changed
    assert world.server.medai("audit", "publish").returncode == 0
    for versions in world.storage.blobs.values():
        versions[0].body = b"anything"
    done = world.server.medai("audit", "publish")
    assert (done.returncode, "did not sign" in done.stdout) == (EXIT_ALTERED, True)
