"""The self-audit in a process of its own, over PostgreSQL: the service's child, and the command."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import psycopg
import pytest

from audit.anchors import FolderAnchor
from audit.cli_watch import watch
from audit.errors import LedgerUnavailable
from audit.look import ChildEyes
from audit.postgres.store import PostgresStore
from service.adapters.telemetry import Telemetry
from service.watching import running
from tests.tampering import ledger
from tests.tampering.ledger import KEY, NEXT_KEY, SMALL

pytestmark = pytest.mark.verifies("REQ-AUD-019")


@pytest.fixture
def environment(database, tmp_path):
    """Of a process that has the ledger: its database, its anchors, its home; and no signing key."""

    async def write():
        store = PostgresStore(database.writer_url)
        try:
            return await ledger.write(store, SMALL)
        finally:
            await store.close()

    anchor = FolderAnchor(tmp_path / "anchors", (KEY.verifier, NEXT_KEY.verifier))
    for one in asyncio.run(write()).anchors:
        anchor.put(one.checkpoint, system_identifier=None, timeline=1)
    (tmp_path / "log.vkey").write_text(str(NEXT_KEY.verifier))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
    return inherited | {
        "MEDAI_HOME": str(tmp_path),
        "MEDAI_DATABASE_URL": database.writer_url,
        "MEDAI_DATABASE_READER_URL": database.reader_url,
        "MEDAI_WATCH_INTERVAL_S": "1",
    }


@pytest.fixture
def commanded(environment, monkeypatch):
    """`medai audit watch`, in that environment; it may not lower this process's priority for good."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.nice", lambda _: 0)
    home = environment["MEDAI_HOME"]

    def run(*arguments):
        return watch(["--key", f"{home}/log.vkey", *arguments])

    return run


def alter(database):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("ALTER TABLE ledger.records DISABLE TRIGGER never_change")
        connection.execute("UPDATE ledger.records SET route = '/other' WHERE idx = 5")
        connection.execute("ALTER TABLE ledger.records ENABLE ALWAYS TRIGGER never_change")


def children(module):
    """Our own children that run this module."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = f"PPid:\t{os.getpid()}\n" in (folder / "status").read_text()
            if ours and module.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


def eyes_of(environment):
    return ChildEyes(environment, lambda: NEXT_KEY.verifier)


@pytest.mark.verifies("REQ-AUD-020")
def test_a_child_verifies_the_ledger_that_its_environment_names(environment):
    report = asyncio.run(eyes_of(environment).look(None))
    assert (report.exit_code, report.size, report.anchored) == (0, SMALL.size, SMALL.size)


@pytest.mark.verifies("REQ-AUD-020")
def test_a_child_goes_on_from_what_another_verified(environment):
    async def twice():
        first = await eyes_of(environment).look(None)
        return await eyes_of(environment).look(first.verified)

    assert asyncio.run(twice()).exit_code == 0


@pytest.mark.verifies("REQ-AUD-020")
def test_a_child_tells_what_was_altered_and_where(environment, database):
    alter(database)
    report = asyncio.run(eyes_of(environment).look(None))
    assert [(one.fault, one.first) for one in report.found] == [("derived_column", 5)]


@pytest.mark.verifies("REQ-AUD-020")
def test_a_child_tells_what_was_changed_of_the_schema(environment, database):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("ALTER TABLE ledger.records DISABLE TRIGGER never_change")
    report = asyncio.run(eyes_of(environment).look(None))
    assert (report.exit_code, {one.fault for one in report.found}) == (1, {"schema_changed"})


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger.records DROP COLUMN actor",
        "ALTER TABLE ledger.records ALTER COLUMN record TYPE text USING encode(record, 'hex')",
        "ALTER TABLE ledger.nodes RENAME TO elsewhere",
        "REVOKE SELECT ON ledger.records FROM ledger_reader",
    ],
)
def test_a_child_tells_where_tables_are_so_changed_that_they_cannot_be_read(environment, database, statement):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(statement)
    report = asyncio.run(eyes_of(environment).look(None))
    assert (report.exit_code, {one.fault for one in report.found}) == (1, {"schema_changed"})


@pytest.mark.verifies("REQ-AUD-020")
def test_a_child_without_a_database_is_no_verdict(environment):
    nowhere = environment | {"MEDAI_DATABASE_READER_URL": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(LedgerUnavailable):
        asyncio.run(eyes_of(nowhere).look(None))


@pytest.mark.verifies("REQ-AUD-020")
def test_a_look_that_is_given_up_leaves_no_child_behind(environment):
    async def given_up():
        look = asyncio.create_task(eyes_of(environment).look(None))
        await asyncio.sleep(0.2)
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)

    asyncio.run(given_up())
    assert children("audit.look") == []


@pytest.mark.verifies("REQ-AUD-020")
def test_a_worker_exposes_what_its_audit_found(environment, database):
    alter(database)
    metrics = Telemetry()

    async def until_found():
        async with running(
            environment, lambda: NEXT_KEY.verifier, observer=metrics, holder=ledger.HOLDER, contradicted=print
        ):
            async with asyncio.timeout(60):
                while b'medai_ledger_events_total{event="ledger_altered"} 1.0' not in metrics.exposition():
                    await asyncio.sleep(0.05)

    asyncio.run(until_found())
    exposed = metrics.exposition().decode().splitlines()
    assert {"medai_audit_verdict 1.0", 'medai_audit_findings{class="derived_column"} 1.0'} <= set(exposed)


def test_a_worker_that_is_told_not_to_watch_does_not(environment):
    metrics = Telemetry()

    async def a_while():
        quiet = environment | {"MEDAI_WATCH_IN_SERVICE": "no"}
        async with running(
            quiet, lambda: NEXT_KEY.verifier, observer=metrics, holder=ledger.HOLDER, contradicted=print
        ):
            await asyncio.sleep(1.5)

    asyncio.run(a_while())
    assert "medai_audit_verdict 0.0" in metrics.exposition().decode()


# -- the command


def test_one_look_ends_with_the_verdict(commanded, capsys):
    assert (commanded(), "valid up to the anchor: all 13 records" in capsys.readouterr().out) == (0, True)


def test_one_look_ends_with_one_where_something_was_altered(commanded, database):
    alter(database)
    assert commanded() == 1


def test_the_state_lets_the_next_look_begin_where_this_one_ended(commanded, tmp_path, capsys):
    for _ in range(2):
        commanded("--state", str(tmp_path / "state"), "--json")
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [look["whole"] for look in looks] == [True, False]


def test_a_state_that_cannot_be_read_is_not_passed_over(commanded, tmp_path):
    (tmp_path / "state").write_text("{}")
    assert commanded("--state", str(tmp_path / "state")) == 2


def test_the_metrics_are_where_prometheus_reads_them(commanded, tmp_path):
    commanded("--metrics", str(tmp_path / "medai.prom"))
    assert "medai_audit_verdict 0\n" in (tmp_path / "medai.prom").read_text()
