"""What is done to the schema instead of to rows: functions, triggers, constraints and rights."""

import asyncio

import psycopg
import pytest

from audit import findings
from audit.postgres import catalogue, closing
from audit.postgres.connections import Limits

pytestmark = pytest.mark.verifies("REQ-AUD-021")

LIMITS = Limits(connections=1, connect_timeout_ms=2_000, statement_timeout_ms=10_000, lock_timeout_ms=10_000)

RENEW = "the catalogue after the newest migration is another: write what is found to audit/postgres/catalogue.txt"
CHANGES = {
    "a trigger dropped": ("DROP TRIGGER never_change ON ledger.records", "missing: trigger records.never_change"),
    "a trigger off": (
        "ALTER TABLE ledger.records DISABLE TRIGGER never_truncate",
        "missing: trigger records.never_truncate enabled A",
    ),
    "a trigger that replication does not fire": (
        "ALTER TABLE ledger.batches ENABLE TRIGGER never_change",
        "missing: trigger batches.never_change enabled A",
    ),
    "a trigger of somebody's": (
        "CREATE TRIGGER mine BEFORE INSERT ON ledger.records EXECUTE FUNCTION ledger.refuse_change()",
        "not of the migrations: trigger records.mine",
    ),
    "all triggers off": (
        "ALTER TABLE ledger.cosigned DISABLE TRIGGER ALL",
        "missing: foreign key trigger cosigned.cosigned_size_fkey",
    ),
    "a function of another body": (
        """CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'""",
        "missing: function refuse_change()",
    ),
    "a function of somebody's": (
        "CREATE FUNCTION ledger.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "not of the migrations: function mine()",
    ),
    "a function with the caller's rights": (
        "ALTER FUNCTION ledger.publish(bigint, bytea) SECURITY INVOKER",
        "missing: function publish(size bigint, checkpoint bytea)",
    ),
    "a function with another search path": (
        "ALTER FUNCTION ledger.append(bigint, uuid[], bytea[]) SET search_path = public",
        "missing: function append(",
    ),
    "a constraint dropped": (
        "ALTER TABLE ledger.nodes DROP CONSTRAINT nodes_hash_check",
        "missing: constraint nodes.nodes_hash_check",
    ),
    "a unique index dropped": (
        "ALTER TABLE ledger.records DROP CONSTRAINT records_event_id_key",
        "missing: constraint records.records_event_id_key",
    ),
    "a column added": ("ALTER TABLE ledger.records ADD note text", "not of the migrations: column records.note text"),
    "a column's default": (
        "ALTER TABLE ledger.records ALTER actor SET DEFAULT 'nobody'",
        "missing: column records.actor text",
    ),
    "a column that may be null": (
        "ALTER TABLE ledger.records ALTER leaf_hash DROP NOT NULL",
        "missing: column records.leaf_hash bytea not null",
    ),
    "a rule": (
        "CREATE RULE mine AS ON INSERT TO ledger.records DO INSTEAD NOTHING",
        "not of the migrations: rule records.mine",
    ),
    "row security": (
        "ALTER TABLE ledger.records ENABLE ROW LEVEL SECURITY",
        "missing: table records kind r owner ledger_owner",
    ),
    "a right to change rows": (
        "GRANT UPDATE ON ledger.records TO ledger_writer",
        "not of the migrations: right UPDATE on table records of ledger_writer",
    ),
    "a right to change a column": (
        "GRANT UPDATE (actor) ON ledger.records TO ledger_writer",
        "not of the migrations: right UPDATE on column records.actor of ledger_writer",
    ),
    "a right for everybody": (
        "GRANT EXECUTE ON FUNCTION ledger.append(bigint, uuid[], bytea[]) TO PUBLIC",
        "not of the migrations: right EXECUTE on function append(bigint, uuid[], bytea[]) of PUBLIC",
    ),
    "a right taken away": (
        "REVOKE EXECUTE ON FUNCTION ledger.ready() FROM ledger_writer",
        "missing: right EXECUTE on function ready() of ledger_writer",
    ),
    "another owner": (
        "ALTER TABLE ledger.records OWNER TO CURRENT_USER",
        "missing: table records kind r owner ledger_owner",
    ),
    "rows in a table of somebody's": (
        "CREATE TABLE public.more () INHERITS (ledger.records)",
        "not of the migrations: more rows of records in more",
    ),
    "a table that a crash empties": (
        "ALTER TABLE ledger.cosigned SET UNLOGGED",
        "not of the migrations: table cosigned kind r owner ledger_owner not durable",
    ),
    "an index over what a function computes": (
        "CREATE INDEX mine ON ledger.records (lower(actor))",
        "not of the migrations: index records CREATE INDEX mine",
    ),
    "a table of somebody's": (
        "CREATE TABLE ledger.mine (it int)",
        "not of the migrations: table mine kind r",
    ),
}


@pytest.fixture(scope="module")
def after(module_database):
    """`after(statement)`: what is found once it was done; then it is undone."""
    connection = psycopg.connect(module_database.admin_url)

    def found(statement):
        try:
            connection.execute(statement)
            lines = frozenset(line for (line,) in connection.execute(catalogue.CATALOGUE))
        finally:
            connection.rollback()
        return [one.message for one in catalogue.differences(lines)]

    yield found
    connection.close()


def found_in(database):
    return [one.message for one in asyncio.run(catalogue.changed(database.reader_url, LIMITS))]


def run(database, statement):
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(statement)


def test_the_catalogue_is_that_of_the_newest_migration(module_database):
    with psycopg.connect(module_database.reader_url) as connection:
        lines = {line for (line,) in connection.execute(catalogue.CATALOGUE)}
    assert lines == catalogue.expected_lines(), RENEW


def test_a_schema_that_nobody_changed_is_found_right(module_database):
    assert found_in(module_database) == []


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_schema_is_found(after, what):
    statement, expected = CHANGES[what]
    assert [message for message in after(statement) if message.startswith(expected)] != []


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT SELECT ON ledger.records TO PUBLIC",
        "CREATE INDEX mine ON ledger.records (actor)",
        "GRANT ledger_reader TO CURRENT_USER",
    ],
)
def test_what_alters_nothing_is_passed_over(after, statement):
    assert after(statement) == []


def test_a_difference_is_said_to_be_in_the_schema():
    (found,) = catalogue.differences(catalogue.expected_lines() | {"table mine kind r"})
    assert findings.as_text(found) == "  schema_changed in the schema: not of the migrations: table mine kind r"


def test_a_ledger_that_was_closed_is_found_right(database):
    closing.close(database.admin_url, "log.example/next")
    assert found_in(database) == []


def test_a_schema_of_another_revision_is_not_looked_at(database):
    run(database, "UPDATE public.alembic_version SET version_num = '9999'")
    (found,) = asyncio.run(catalogue.changed(database.reader_url, LIMITS))
    assert (found.altered, "revision 9999" in found.message) == (False, True)


def test_a_revision_that_may_not_be_read_is_told(database):
    run(database, "REVOKE SELECT ON public.alembic_version FROM ledger_reader")
    (found,) = asyncio.run(catalogue.changed(database.reader_url, LIMITS))
    assert (found.altered, "may not read" in found.message) == (False, True)
