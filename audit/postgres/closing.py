"""Closing a ledger's database for good: nothing is written to it any more, everything in it can be read.

The service's logins lose the right to append and publish; so does the owner that these functions run as, so that an
append that waits for its turn at that moment writes nothing either. The rows stay, and so do the rights to read them.
What a superuser takes away, a superuser can give back: it is a bolt, not a proof.

Every process that writes reads from here why it may not: nothing that migrates, and takes long to import, belongs here.
"""

from typing import Final

import psycopg
from psycopg import conninfo, sql

from audit.errors import LedgerUnavailable, SettingInvalid
from traceability.marks import implements

CONNECT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_S: Final = 60
"""How long appends that are under way may take to end."""

MARK: Final = "medai: closed; continued by "
"""The schema's comment begins with it, where whoever is refused finds why."""
WHY: Final = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'ledger'"

# Another login than now may have migrated (as in migrations/versions).
BECOME_OWNER: Final = """
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ledger_owner', 'SET') THEN
        EXECUTE 'GRANT ledger_owner TO ' || quote_ident(current_user) || ' WITH INHERIT TRUE, SET TRUE';
    END IF;
END
$$
"""
# The lock row is held until the end of the transaction: no append is between its first statement and its commit.
HOLD: Final = "SELECT FROM ledger.writer_lock WHERE only_row FOR UPDATE"
WRITING: Final = "ledger.append(bigint, uuid[], bytea[]), ledger.publish(bigint, bytea)"
TAKE_AWAY: Final = (
    f"REVOKE EXECUTE ON FUNCTION {WRITING} FROM ledger_writer, PUBLIC",
    "REVOKE INSERT ON ledger.records, ledger.nodes, ledger.batches, ledger.checkpoints FROM ledger_owner",
)


@implements("REQ-KEY-006")
def close(admin_url: str, successor: str) -> None:
    """Nothing can be appended or published in this database when this returns. Doing it again changes nothing.

    `successor` is the name of the log that continues it. Raises `LedgerUnavailable`.
    """
    try:
        with _connected(admin_url) as connection, connection.transaction():
            if connection.execute("SELECT to_regnamespace('ledger')").fetchone() == (None,):
                return  # lost so thoroughly that there is nothing to close
            connection.execute(BECOME_OWNER)
            connection.execute("SET LOCAL ROLE ledger_owner")
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_TIMEOUT_S}s")))
            connection.execute(HOLD)
            for statement in TAKE_AWAY:
                connection.execute(statement)
            connection.execute(sql.SQL("COMMENT ON SCHEMA ledger IS {}").format(sql.Literal(MARK + successor)))
    except psycopg.Error as error:
        raise LedgerUnavailable(f"recover: the old log cannot be closed: {error}") from error


def exists(admin_url: str, name: str) -> bool:
    """Whether the server has a database of this name."""
    try:
        with _connected(admin_url) as connection:
            return connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount > 0
    except psycopg.Error as error:
        raise LedgerUnavailable(f"recover: the server cannot be asked: {error}") from error


def create(admin_url: str, name: str) -> None:
    """The server has a database of this name when this returns. Raises `SettingInvalid` where it may not be made."""
    if exists(admin_url, name):
        return
    try:
        with _connected(admin_url) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.DuplicateDatabase:
        return
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingInvalid(
            f"recover: MEDAI_DATABASE_ADMIN_URL's login may not create databases: create {name} for it, then go on"
        ) from error
    except psycopg.Error as error:
        raise LedgerUnavailable(f"recover: the database {name} cannot be made: {error}") from error


def named(url: str, name: str) -> str:
    """`url`, but for the database."""
    return conninfo.make_conninfo(url, dbname=name)


def name_of(url: str) -> str:
    """The database that `url` leads to."""
    return login_of(url, "dbname") or login_of(url, "user")


def login_of(url: str, part: str = "user") -> str:
    """The user, or another part, that `url` names; empty where it does not."""
    try:
        return str(conninfo.conninfo_to_dict(url).get(part) or "")
    except psycopg.ProgrammingError as error:
        raise SettingInvalid("MEDAI_DATABASE_URL: not one that libpq reads; see PostgreSQL 32.1.1") from error


def _connected(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="medai recover")
