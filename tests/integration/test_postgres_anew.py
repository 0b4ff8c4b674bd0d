"""What a schema and a server are like that were made a moment ago: nothing here rests on what another test left."""

import os
import stat
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from audit.postgres import embedded, migrate
from audit.postgres.logins import READER, WRITER
from audit.postgres.store import APPEND

TABLES = ("records", "nodes", "batches", "checkpoints", "writer_lock")
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WRITERS = {"append", "publish", "ready", "cosign", "lease", "release"}
CHANGES = ("UPDATE ledger.records SET kind = kind", "DELETE FROM ledger.batches", "TRUNCATE ledger.nodes")


def made_anew(database) -> psycopg.Connection:
    """The schema of `database`, taken down and made again, as its administrator sees it."""
    migrate.downgrade(database.admin_url)
    migrate.upgrade(database.admin_url)
    return psycopg.connect(database.admin_url, autocommit=True)


def rights(connection, login) -> set[tuple[str, str]]:
    return {
        (table, right)
        for table in TABLES
        for right in RIGHTS
        if connection.execute("SELECT has_table_privilege(%s, %s, %s)", (login, f"ledger.{table}", right)).fetchone()[0]
    }


@pytest.mark.verifies("REQ-SEC-020")
def test_the_writer_has_no_right_on_any_table_of_a_new_schema(database):
    with made_anew(database) as connection:
        assert rights(connection, WRITER) == set()


@pytest.mark.verifies("REQ-SEC-020")
def test_the_reader_may_read_a_new_schema_and_nothing_else(database):
    with made_anew(database) as connection:
        assert rights(connection, READER) == {(table, "SELECT") for table in TABLES[:4]}


@pytest.mark.verifies("REQ-SEC-020")
def test_of_the_functions_of_a_new_schema_the_writer_calls_what_is_granted_and_the_public_none(database):
    with made_anew(database) as connection:
        calls = connection.execute(
            "SELECT proname, has_function_privilege(%s, p.oid, 'EXECUTE'),"
            " has_function_privilege('public', p.oid, 'EXECUTE')"
            " FROM pg_proc AS p WHERE pronamespace = 'ledger'::regnamespace",
            (WRITER,),
        ).fetchall()
    public = {name for name, _, allowed in calls if allowed}
    granted = {name for name, allowed, _ in calls if allowed}
    kept = {name for name, allowed, _ in calls if not allowed}
    assert (public, granted & kept, granted, {"refuse", "refuse_change"} <= kept) == (set(), set(), WRITERS, True)


@pytest.mark.verifies("REQ-SEC-020")
def test_a_new_schema_belongs_to_an_owner_whom_nobody_logs_in_as(database):
    with made_anew(database) as connection:
        owners = connection.execute(
            "SELECT DISTINCT rolname, rolcanlogin FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner"
            " WHERE relnamespace = 'ledger'::regnamespace"
        ).fetchall()
    assert owners == [("ledger_owner", False)]


@pytest.mark.verifies("REQ-LED-016")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", ["the superuser", "ledger_owner", "replication"])
def test_no_row_of_a_new_schema_changes_whoever_asks(database, entries, change, role):
    with made_anew(database) as connection, psycopg.connect(database.writer_url, autocommit=True) as writer:
        writer.execute(APPEND, (0, *entries.sent(entries.genesis())))
        if role == "ledger_owner":
            connection.execute("SET ROLE ledger_owner")
        elif role == "replication":
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(change)
    assert caught.value.sqlstate == "ML007"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where a server was made and started a moment ago; nothing of it is changed here. It is stopped afterwards."""
    home = tmp_path_factory.mktemp("anew") / "home"
    yield home
    embedded.stop(home)


@pytest.mark.verifies("REQ-DEP-009")
def test_a_new_server_listens_on_no_network_and_asks_every_login_for_its_password(home):
    cluster = embedded.start(home)
    with psycopg.connect(cluster.admin_url) as connection:
        listens = connection.execute("SHOW listen_addresses").fetchone()
        methods = {method for (method,) in connection.execute("SELECT auth_method FROM pg_hba_file_rules")}
    assert (listens, methods) == (("",), {"scram-sha-256", "reject"})


@pytest.mark.parametrize("login", ["admin_url", "writer_url", "reader_url"])
def test_nobody_comes_into_a_new_server_with_another_password(home, login):
    cluster = embedded.start(home)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo.make_conninfo(getattr(cluster, login), password="wrong"), passfile="/dev/null")


def test_the_files_and_the_socket_of_a_new_server_are_closed_to_everyone_else(home):
    cluster = embedded.start(home)
    closed = (home / "postgres", home / "run", Path(cluster.secrets.socket_folder), home / "postgres.json")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in closed]
    assert modes == [0o700, 0o700, 0o700, 0o600]


def test_root_does_not_run_a_new_server(home):
    cluster = embedded.start(home)
    assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0 or os.geteuid() != 0
