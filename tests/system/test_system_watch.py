"""A service that audits its own ledger, while somebody with every right to the database alters it."""

import psycopg
import pytest

from audit import signing
from audit.postgres import embedded
from tests.held_anchors import signed_by
from tests.system.running import eventually, serving

pytestmark = pytest.mark.system

LIMIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory, ct_slice):
    """Two workers, one of which looks each second; a few answers are on record."""
    settings = {"MEDAI_WATCH_INTERVAL_S": "1"}
    with serving(tmp_path_factory.mktemp("watched") / "home", settings=settings) as running:
        with running.client() as client:
            for _ in range(3):
                client.infer(ct_slice)
        yield running


def metric(server, name):
    """The value that is exposed; None while there is none."""
    lines = server.internal("/metrics").body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), None)


def alter(server, table, change):
    """As somebody who cleans up: the triggers are on again."""
    cluster = embedded.running(server.home)
    assert cluster is not None
    with psycopg.connect(cluster.admin_url) as connection:
        connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER never_change")
        connection.execute(f"UPDATE ledger.{table} SET {change}")
        connection.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER never_change")


def verdict_is(server, wanted):
    return eventually(lambda: metric(server, "medai_audit_verdict") == wanted, LIMIT_S)


def test_a_ledger_that_nobody_altered_is_audited_and_valid(server):
    assert eventually(lambda: (metric(server, "medai_audit_timestamp_seconds") or 0) > 0, LIMIT_S)
    assert metric(server, "medai_audit_verdict") == 0


def test_one_worker_of_all_has_the_turn(server):
    cluster = embedded.running(server.home)
    assert cluster is not None
    with psycopg.connect(cluster.admin_url) as connection:
        holders = connection.execute("SELECT count(*) FROM ledger.leases WHERE name = 'watch'").fetchone()
    assert holders == (1,)


def test_an_altered_column_is_exposed_and_the_service_goes_on(server, ct_slice):
    alter(server, "records", "status = 201 WHERE kind = 'prediction'")
    assert verdict_is(server, 1)
    with server.client() as client:
        assert (server.internal("/readyz").status, client.infer(ct_slice).status) == (200, 200)
    alter(server, "records", "status = 200 WHERE kind = 'prediction'")
    assert verdict_is(server, 0)


def test_two_histories_signed_by_the_key_stop_the_service(server):
    signer = signing.load(server.home / "keys" / "signing.key")
    forged = signed_by(signer, 1, b"\x11" * 32).encode().hex()
    alter(server, "checkpoints", f"checkpoint = '\\x{forged}' WHERE size = 1")
    assert eventually(lambda: server.internal("/readyz").status == 503, LIMIT_S)


def test_what_stopped_it_is_in_its_log(server):
    assert eventually(lambda: "the self-audit found: forked" in server.log.read_text("utf-8"), LIMIT_S)
