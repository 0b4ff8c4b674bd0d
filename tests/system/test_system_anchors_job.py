"""`medai audit publish` and `medai audit proof`, where the service leaves publishing to a job."""

import contextlib
import re

import pytest

from tests.system.anchored import World

pytestmark = pytest.mark.system

EXIT_ALTERED, EXIT_UNATTESTED = 1, 3


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
