"""Azurite, Microsoft's own stand-in for Azure Storage: it speaks the real protocol, takes immutability headers and
drops them in silence. That is exactly the container that must be refused.
"""

import contextlib
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient, ImmutabilityPolicy

from audit import checkpoint, note
from audit.anchors_blob import BlobAnchor
from audit.checkpoint import Checkpoint
from audit.errors import SettingInvalid

pytestmark = pytest.mark.system

INSTALL_LIMIT_S = 120.0
PROGRAM = "azurite-blob"
# The one account that Azurite has, as its documentation prints it.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ORIGIN = "log.example/azurite"
LOG = note.Signer.generate(ORIGIN, bytes(range(32)))
SIGNED = note.sign(checkpoint.format(Checkpoint(origin=ORIGIN, size=5, root=bytes(32))), [LOG])


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """An empty container of a running Azurite."""
    program = shutil.which(PROGRAM) or _installed(tmp_path_factory.mktemp("npm"))
    if program is None:
        pytest.skip(f"no {PROGRAM} on the path (CI installs it with npm, as root)")
    data = tmp_path_factory.mktemp("azurite")
    command = [program, "--blobPort", "0", "--location", str(data), "--skipApiVersionCheck", "--silent"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _container(_port(process))
        finally:
            process.kill()


def _installed(folder) -> str | None:
    """Azurite from npm, in a folder of the test's own. What goes wrong is shown by the skip that follows."""
    if os.environ.get("CI") != "true" or os.geteuid() != 0:
        return None
    if shutil.which("npm") is None and shutil.which("apt-get") is not None:
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "npm"]):
            _run(["apt-get", *words])
    if shutil.which("npm") is None:
        return None
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "azurite"])
    return shutil.which(PROGRAM, path=str(folder / "node_modules" / ".bin"))


def _run(command: list[str]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
            timeout=INSTALL_LIMIT_S,
        )


def _port(process) -> int:
    for line in process.stdout:
        if (found := re.search(r"successfully listens on http://127\.0\.0\.1:(\d+)", line)) is not None:
            return int(found[1])
    raise AssertionError("Azurite ended before it listened")


def _container(port: int) -> ContainerClient:
    made = ContainerClient.from_container_url(
        f"http://127.0.0.1:{port}/{ACCOUNT}/anchors",
        credential={"account_name": ACCOUNT, "account_key": ACCOUNT_KEY},
        retry_total=0,
    )
    made.create_container()
    return made


def anchor_of(container, retention_days=0):
    return BlobAnchor(
        container, (LOG.verifier,), origin=ORIGIN, retention_days=retention_days, now=lambda: datetime.now(UTC)
    )


def test_it_takes_an_immutability_policy_and_drops_it_in_silence(container):
    blob = container.get_blob_client("dropped")
    policy = ImmutabilityPolicy(expiry_time=datetime.now(UTC) + timedelta(days=1), policy_mode="Locked")
    blob.upload_blob(b"anything", immutability_policy=policy)
    kept = blob.get_blob_properties().immutability_policy
    assert (kept.expiry_time, kept.policy_mode) == (None, None)


def test_a_second_blob_of_one_name_is_refused(container):
    blob = container.get_blob_client("twice")
    blob.upload_blob(b"anything", overwrite=False)
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"anything", overwrite=False)


@pytest.mark.parametrize("retention_days", [0, 30])
def test_nothing_is_anchored_there(container, retention_days):
    with pytest.raises(SettingInvalid, match="no immutability policy"):
        anchor_of(container, retention_days).put(SIGNED, system_identifier=None, timeline=1)


def test_nothing_is_read_from_there(container):
    with pytest.raises(SettingInvalid, match="no immutability policy"):
        anchor_of(container).newest()


def test_a_blob_whose_policy_was_dropped_is_noticed_where_its_container_says_that_it_has_one(container, monkeypatch):
    anchor = anchor_of(container, retention_days=30)
    monkeypatch.setattr(anchor, "require_protected", lambda: True)
    with pytest.raises(SettingInvalid, match="without the immutability policy"):
        anchor.put(SIGNED, system_identifier=None, timeline=1)


class TestWhereItsPoliciesAreTakenOnTrust:
    """The rest of the protocol is the real one."""

    @pytest.fixture
    def anchor(self, container, monkeypatch):
        anchor = anchor_of(container)
        monkeypatch.setattr(anchor, "require_protected", lambda: False)
        anchor.put(SIGNED, system_identifier=None, timeline=1)
        return anchor

    def test_what_was_put_is_the_newest(self, anchor):
        newest = anchor.newest()
        assert newest is not None
        assert newest.checkpoint == SIGNED

    def test_what_was_put_is_listed(self, anchor):
        assert [one.size for one in anchor.all()] == [5]

    def test_putting_the_same_again_changes_nothing(self, anchor):
        anchor.put(SIGNED, system_identifier=None, timeline=1)
        assert [one.size for one in anchor.all()] == [5]
