"""Who may do what to the ledger's tables and functions, and what an append makes sure of by itself."""

import psycopg
import pytest
from psycopg import errors

from audit.postgres.store import APPEND

TABLES = ("records", "nodes", "batches", "checkpoints", "cosigned", "policies", "writer_lock")
CHANGES = ("UPDATE ledger.{} SET {} = {}", "DELETE FROM ledger.{}", "TRUNCATE ledger.{} CASCADE")
COLUMN = {
    "records": "kind",
    "nodes": "hash",
    "batches": "chain",
    "checkpoints": "checkpoint",
    "cosigned": "checkpoint",
    "policies": "policy",
    "writer_lock": "only_row",
}
NEVER_CHANGE = "ML007"
FUNCTIONS = ("append", "cosign", "lease", "publish", "ready", "release")
HOLDER = "11111111-1111-4111-8111-111111111111"
COSIGN = f"ledger.cosign('publisher', '{HOLDER}', 1, 301, 'cosigned', 'quorum none', false)"


@pytest.fixture
def filled(database, entries):
    """A ledger of 301 records with a row in each of its tables."""
    return fill(database, entries)


@pytest.fixture(scope="module")
def standing(module_database, entries):
    """The same, for those who change nothing."""
    return fill(module_database, entries)


def fill(database, entries):
    with psycopg.connect(database.writer_url, autocommit=True) as connection:
        connection.execute(APPEND, (0, *entries.sent(entries.genesis())))
        connection.execute(APPEND, (0, *entries.batch(300)))
        connection.execute("SELECT ledger.publish(301, 'signed')")
        connection.execute(f"SELECT ledger.lease('publisher', '{HOLDER}', 60000)")
        connection.execute(f"SELECT {COSIGN}")
    return database


def refusal(url: str, statement: str, parameters: tuple[object, ...] = ()) -> str | None:
    """The SQLSTATE that this statement, alone in a transaction, ends with; None where it is carried out."""
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(statement, parameters or None)
        except psycopg.Error as error:
            return error.sqlstate
    return None


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES, ids=["update", "delete", "truncate"])
def test_not_even_a_superuser_changes_a_row_by_accident(standing, table, change):
    column = COLUMN[table]
    assert refusal(standing.admin_url, change.format(table, column, column)) == NEVER_CHANGE


@pytest.mark.parametrize("table", TABLES)
def test_the_guards_also_stand_where_replication_applies_rows(standing, table):
    with psycopg.connect(standing.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(f"DELETE FROM ledger.{table}")
    assert caught.value.sqlstate == NEVER_CHANGE


def test_the_owner_is_held_to_the_guards_as_well(standing):
    with psycopg.connect(standing.admin_url, autocommit=True) as connection:
        connection.execute("SET ROLE ledger_owner")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("DELETE FROM ledger.records")
    assert caught.value.sqlstate == NEVER_CHANGE


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM ledger.{}", "INSERT INTO ledger.{} DEFAULT VALUES", *CHANGES],
    ids=["select", "insert", "update", "delete", "truncate"],
)
def test_the_writer_reaches_no_table_directly(standing, table, statement):
    statement = statement.format(table, COLUMN[table], COLUMN[table])
    assert refusal(standing.writer_url, statement) == errors.InsufficientPrivilege.sqlstate


@pytest.mark.parametrize("table", TABLES[:-1])
def test_the_reader_reads_every_table_of_the_ledger(standing, table):
    assert refusal(standing.reader_url, f"SELECT * FROM ledger.{table}") is None


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement", ["INSERT INTO ledger.{} DEFAULT VALUES", *CHANGES], ids=["insert", "update", "delete", "truncate"]
)
def test_the_reader_writes_no_table(standing, table, statement):
    statement = statement.format(table, COLUMN[table], COLUMN[table])
    assert refusal(standing.reader_url, statement) == errors.InsufficientPrivilege.sqlstate


@pytest.mark.parametrize(
    "call",
    [
        "SELECT ledger.append(0, ARRAY[gen_random_uuid()], ARRAY['x'::bytea])",
        "SELECT ledger.publish(1, 'x')",
        f"SELECT ledger.lease('publisher', '{HOLDER}', 60000)",
        f"SELECT ledger.release('publisher', '{HOLDER}')",
        f"SELECT {COSIGN}",
        "SELECT ledger.ready()",
        "SELECT ledger.refuse('x')",
    ],
)
def test_whoever_only_reads_calls_none_of_the_functions(standing, call):
    assert refusal(standing.reader_url, call) == errors.InsufficientPrivilege.sqlstate


def test_the_writer_does_not_call_the_functions_that_are_the_ledger_s_own(standing):
    assert refusal(standing.writer_url, "SELECT ledger.refuse('x')") == errors.InsufficientPrivilege.sqlstate


def test_no_function_of_the_ledger_is_public(standing):
    with psycopg.connect(standing.admin_url) as connection:
        granted = connection.execute(
            "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace, aclexplode(proacl) AS acl"
            " WHERE nspname = 'ledger' AND acl.grantee = 0"
        ).fetchall()
        without_acl = connection.execute(
            "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE nspname = 'ledger' AND proacl IS NULL"
        ).fetchall()
    assert (granted, without_acl) == ([], [])


def test_everything_in_the_schema_belongs_to_the_owner_whom_nobody_logs_in_as(standing):
    with psycopg.connect(standing.admin_url) as connection:
        owners = connection.execute(
            "SELECT DISTINCT rolname, rolcanlogin FROM pg_roles JOIN"
            " (SELECT relowner AS owner FROM pg_class WHERE relnamespace = 'ledger'::regnamespace"
            " UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
            " UNION SELECT nspowner FROM pg_namespace WHERE nspname = 'ledger') AS o ON owner = pg_roles.oid"
        ).fetchall()
    assert owners == [("ledger_owner", False)]


def test_the_functions_that_act_for_the_owner_look_nowhere_but_where_they_say(standing):
    with psycopg.connect(standing.admin_url) as connection:
        paths = connection.execute(
            "SELECT proname, prosecdef, 'search_path=pg_catalog, pg_temp' = ANY (proconfig), provolatile::text"
            " FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prosecdef ORDER BY 1"
        ).fetchall()
    assert paths == [(name, True, True, "v") for name in FUNCTIONS]


def test_a_writer_s_own_temporary_objects_do_not_deceive_an_append(filled, entries):
    with psycopg.connect(filled.writer_url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE batches (size bigint, chain bytea, frontier bytea[])")
        connection.execute(
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT ''forged''::bytea'"
        )
        connection.execute("SET search_path = pg_temp, public")
        row = connection.execute(APPEND, (301, *entries.batch(1))).fetchone()
    assert row is not None
    assert row[0] == 301
    assert row[5] != [b"forged"]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
def test_an_append_is_at_least_durable_whatever_its_session_asked_for(filled, entries, asked, kept):
    with psycopg.connect(filled.writer_url) as connection:
        connection.execute(f"SET synchronous_commit = {asked}")
        connection.execute(APPEND, (301, *entries.batch(1)))
        assert connection.execute("SHOW synchronous_commit").fetchone() == (kept,)


def test_a_retry_is_as_durable_as_the_append_it_repeats(filled, entries):
    batch = entries.batch(1)
    with psycopg.connect(filled.writer_url, autocommit=True) as connection:
        connection.execute(APPEND, (301, *batch))
        connection.execute("SET synchronous_commit = off")
        before = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        connection.execute(APPEND, (301, *batch))
        after = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    assert after != before


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_append_that_would_see_an_old_snapshot_is_refused(filled, entries, isolation):
    with psycopg.connect(filled.writer_url) as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(APPEND, (301, *entries.batch(1)))
    assert caught.value.sqlstate == "ML006"


def test_an_append_waits_for_the_one_before_it_and_sees_its_end(filled, entries):
    with (
        psycopg.connect(filled.writer_url) as first,
        psycopg.connect(filled.writer_url, autocommit=True) as second,
    ):
        first.execute(APPEND, (301, *entries.batch(2)))
        second.execute("SET lock_timeout = '100ms'")
        with pytest.raises(errors.LockNotAvailable):
            second.execute(APPEND, (301, *entries.batch(1)))
        first.commit()
        row = second.execute(APPEND, (301, *entries.batch(1))).fetchone()
    assert row is not None
    assert row[0] == 303


def test_an_append_uses_its_indexes_however_small_the_ledger_was_when_it_was_planned(database, entries):
    with psycopg.connect(database.writer_url, autocommit=True) as connection:
        connection.execute(APPEND, (0, *entries.sent(entries.genesis())))
        for _ in range(20):
            connection.execute(APPEND, (1, *entries.batch(100)))
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        scans = connection.execute(
            "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'ledger' AND seq_scan > 1"
        ).fetchall()
    assert scans == []


def test_null_is_no_argument_of_an_append(standing, entries):
    ids, bodies = entries.batch(2)
    for size, event_ids, records in [
        (None, ids, bodies),
        (301, None, bodies),
        (301, ids, None),
        (301, [ids[0], None], bodies),
        (301, ids, [bodies[0], None]),
        (-1, ids, bodies),
    ]:
        assert refusal(standing.writer_url, APPEND, (size, event_ids, records)) == "ML003"
