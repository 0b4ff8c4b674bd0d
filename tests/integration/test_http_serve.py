"""`medai serve` as a process: two workers over one ledger, replaced when they die, ended in order."""

import json
import os
import signal
import stat
import time

import pytest

from tests.system import processes
from tests.system.running import Server, eventually, serving

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("serve") / "home", workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of a service that was begun and stopped: whoever starts here need not make a database first."""
    with serving(tmp_path_factory.mktemp("alone") / "home", workers=1) as begun:
        assert begun.stop() == 0
        yield begun.home


@pytest.fixture
def alone(home):
    """A service of this test's own with one worker."""
    with serving(home, workers=1) as server:
        yield server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def _record(server, index):
    """The record itself; whether a published checkpoint covers it by now is no matter here."""
    return json.JSONDecoder().raw_decode(server.medai("audit", "record", str(index)).stdout)[0]


def test_the_start_prints_where_everything_is(server):
    said = server.said()
    assert f"documentation  http://127.0.0.1:{server.port}/docs" in said
    assert f"internal       http://127.0.0.1:{server.internal_port}" in said


def test_a_development_token_for_each_scope_is_readable_by_its_owner_alone(server):
    folder = server.home / "tokens"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("infer", "audit.read", "release.read", "admin"), 0o600)


def test_each_worker_is_on_record_as_started(server):
    kinds = [_record(server, index)["kind"] for index in range(3)]
    assert kinds == ["genesis", "service_started", "service_started"]


def test_version_names_the_logs_own_key(server, client):
    key = server.medai("audit", "key").stdout.strip()
    assert client.get("/version").json()["ledger"]["verifier_key"] == key


def test_every_worker_counts_into_the_same_metrics(server, client):
    def counted():
        lines = server.internal("/metrics").body.decode().splitlines()
        found = [line for line in lines if line.startswith("medai_requests_total") and 'route="/health"' in line]
        return sum(float(line.split()[-1]) for line in found)

    before = counted()
    for _ in range(12):
        with server.client(None) as other:
            assert other.get("/health").status == 200
    assert counted() == before + 12


def test_a_second_service_on_the_same_home_is_refused(server):
    done = server.medai("serve", "--port", "0", "--internal-port", "0")
    assert done.returncode == 2
    assert "another `medai serve`" in done.stderr


def test_a_token_that_is_issued_works_and_stops_when_it_is_revoked(server, client):
    client.token = server.medai("token", "issue", "gateway", "--scope", "infer").stdout.strip()
    assert eventually(lambda: client.infer(b"", "text/plain").status == 415, within_s=5)
    server.medai("token", "revoke", "gateway")
    assert eventually(lambda: client.infer(b"", "text/plain").status == 401, within_s=5)


def test_a_worker_that_dies_is_replaced(server):
    victim = server.worker_processes()[0]
    os.kill(victim.pid, signal.SIGKILL)
    assert processes.are_gone((victim,), within_s=10)
    assert eventually(lambda: len(server.worker_processes()) == 2, within_s=30)
    assert eventually(lambda: server.internal("/readyz").status == 200, within_s=30)


def test_the_workers_end_with_a_supervisor_that_is_killed_and_the_next_start_takes_over(alone):
    workers = alone.worker_processes()
    alone.process.kill()
    alone.process.wait()
    alone.process = None
    assert processes.are_gone(workers, within_s=10)
    alone.start()
    with alone.client(None) as client:
        assert client.get("/health").status == 200


def test_a_service_that_is_told_to_stop_records_its_end_and_leaves_nothing_running(alone):
    with alone.client(None) as client:
        opened = client.get("/docs").index
    assert alone.stop() == 0
    assert opened is not None
    closed, stopped = _record(alone, opened + 1), _record(alone, opened + 2)
    assert (closed["kind"], closed["phase"], closed["count"]) == ("window", "closed", 1)
    assert (stopped["kind"], stopped["requests"]) == ("service_stopped", 1)
    assert alone.left_running() == []


def test_a_second_signal_ends_it_at_once(alone):
    worker = alone.worker_processes()[0]
    os.kill(worker.pid, signal.SIGSTOP)
    alone.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    alone.process.send_signal(signal.SIGINT)
    assert alone.process.wait(30) == 0
    alone.process = None
    assert not worker.is_alive()


def test_a_database_of_ones_own_is_neither_migrated_nor_begun_behind_its_owners_back(tmp_path):
    from audit.postgres import embedded

    cluster = embedded.start(tmp_path / "database")
    try:
        own = Server(
            tmp_path / "home",
            workers=1,
            settings={
                "MEDAI_DATABASE_URL": cluster.writer_url,
                "MEDAI_DATABASE_READER_URL": cluster.reader_url,
                "MEDAI_DATABASE_ADMIN_URL": cluster.admin_url,
            },
        )
        refused = own.medai("serve", *own.arguments())
        assert refused.returncode == 2
        for words in (("migrate",), ("ledger", "init", "--origin", "hospital.example/log")):
            done = own.medai(*words)
            assert done.returncode == 0, done.stderr
        try:
            own.start()
            with own.client(None) as client:
                assert client.get("/version").json()["ledger"]["origin"] == "hospital.example/log"
            assert not (tmp_path / "home" / "tokens").exists()
        finally:
            own.clean()
    finally:
        embedded.stop(tmp_path / "database")
