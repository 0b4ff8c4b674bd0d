"""An operator with every right restores an old copy of the database and removes all anchors. The witnesses remember."""

import contextlib
import shutil
import subprocess

import pytest

from tests.system.anchored import LIMIT_S, World
from tests.system.running import eventually

pytestmark = pytest.mark.system

EXIT_ALTERED = 1


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory, ct_slice):
    """A service that was started on the copy of a day ago, without anchors, and took more records since."""
    with contextlib.ExitStack() as stack:
        world = World(tmp_path_factory.mktemp("rollback"), stack, {"MEDAI_ANCHOR_BLOB_URL": ""})
        kept = world.server.home.with_name("copy")
        _attested(world, ct_slice)
        world.server.stop()
        _copy(world.server.home / "postgres", kept)
        world.server.start()
        _attested(world, ct_slice)
        world.server.stop()
        shutil.rmtree(world.server.home / "postgres")
        _copy(kept, world.server.home / "postgres")
        shutil.rmtree(world.server.home / "anchors")
        world.server.start()
        yield world


def _attested(world, image):
    """An answer, and a checkpoint over it that the policy's witnesses cosigned."""
    with world.server.client() as client:
        index = client.infer(image).index
    assert eventually(lambda: world.served().checkpoint.size > index and world.served().witnessed_by, LIMIT_S)


def _copy(source, target):
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)  # with its owner, whom PostgreSQL insists on


def test_the_service_takes_no_more_records(rolled_back):
    assert eventually(lambda: rolled_back.server.internal("/readyz").status == 503, LIMIT_S)


def test_the_proof_is_in_the_log_of_the_service(rolled_back):
    assert eventually(lambda: "has a checkpoint over" in rolled_back.server.log.read_text("utf-8"), LIMIT_S)


def test_a_job_says_so_as_well(rolled_back):
    rolled_back.server.stop()
    done = rolled_back.server.medai("audit", "publish")
    assert (done.returncode, "has a checkpoint over" in done.stdout) == (EXIT_ALTERED, True)
