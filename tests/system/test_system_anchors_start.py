"""What keeps the service from starting where a container or a policy is configured: whatever cannot be compared."""

from datetime import UTC, datetime

import pytest

from audit import checkpoint, note, signing
from audit.anchors_blob import BlobAnchor, connect
from audit.checkpoint import Checkpoint
from audit.note import Verifier
from tests import blob_fakes
from tests.system.running import serving
from tests.witness_fakes import FakeWitness

pytestmark = pytest.mark.system

EXIT_USAGE = 2


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("begun") / "home", workers=1) as begun:
        begun.stop()
        yield begun


def refused(home, url):
    home.settings = {"MEDAI_ANCHOR_BLOB_URL": url}
    return home.medai("serve", *home.arguments())


def test_a_container_without_an_immutability_policy_is_refused(home):
    with blob_fakes.serving() as storage:
        storage.container_policy = False
        done = refused(home, storage.url)
    assert (done.returncode, "no immutability policy" in done.stderr) == (EXIT_USAGE, True)


def test_a_start_without_the_container_is_refused(home):
    with blob_fakes.serving() as storage:
        url = storage.url
    done = refused(home, url)
    assert (done.returncode, "anchor container: cannot be reached" in done.stderr) == (EXIT_USAGE, True)


def test_a_container_that_has_more_than_the_database_is_refused(home):
    key = Verifier.parse(home.medai("audit", "key").stdout.strip())
    with blob_fakes.serving() as storage:
        signer = signing.load(home.home / "keys" / "signing.key")
        ahead = Checkpoint(origin=key.name, size=1_000, root=bytes(32))
        anchor = BlobAnchor(
            connect(storage.url, timeout_ms=2_000), (key,), origin=key.name, retention_days=0,
            now=lambda: datetime.now(UTC),
        )  # fmt: skip
        anchor.put(note.sign(checkpoint.format(ahead), [signer]), system_identifier=None, timeline=0)
        done = refused(home, storage.url)
    assert (done.returncode, "records are missing" in done.stderr) == (EXIT_USAGE, True)


def test_a_policy_that_names_no_address_for_a_witness_is_refused(home, tmp_path):
    (tmp_path / "policy").write_text(FakeWitness("w").policy_line("W") + "quorum W\n")
    home.settings = {"MEDAI_POLICY_FILE": str(tmp_path / "policy")}
    done = home.medai("serve", *home.arguments())
    assert (done.returncode, "URL" in done.stderr) == (EXIT_USAGE, True)
