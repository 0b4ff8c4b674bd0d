"""Who may log in to the embedded server: an administrator, a writer and a reader, each with a password."""

from collections.abc import Mapping
from typing import Final, LiteralString

import psycopg
from psycopg import conninfo, sql

from audit.errors import LedgerUnavailable

ADMIN: Final = "medai_admin"
WRITER: Final = "medai_writer"
READER: Final = "medai_reader"
ALL: Final = (ADMIN, WRITER, READER)
ROLES: Final = ("ledger_owner", "ledger_writer", "ledger_reader", "ledger_pruner")
MEMBERS: Final = {WRITER: "ledger_writer", READER: "ledger_reader"}
# For a client that sets none itself: one that begins, appends and then sits there keeps everybody else from writing.
IDLE_IN_TRANSACTION: Final = "idle_in_transaction_session_timeout=5000"  # ms
BOUNDED: Final = """
    SELECT 1 FROM pg_roles WHERE 'idle_in_transaction_session_timeout=5000' = ANY (rolconfig) AND rolname = %s
"""


def ensure(admin_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """The database, the roles and the logins are there when this returns. Doing it again changes nothing."""
    try:
        with psycopg.connect(conninfo.make_conninfo(admin_url, dbname="postgres"), autocommit=True) as connection:
            _make_roles(connection)
            for login in MEMBERS:
                _make_login(connection, login, passwords[login])
            if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    except psycopg.Error as error:
        raise LedgerUnavailable(f"embedded PostgreSQL: its logins cannot be made: {error}") from error


def _make_roles(connection: psycopg.Connection) -> None:
    for role in ROLES:
        if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _make_login(connection: psycopg.Connection, login: str, password: str) -> None:
    if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", login):
        # Only the verifier travels: no password in a statement that a log could show.
        verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(login), sql.Literal(verifier))
        )
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(MEMBERS[login]), sql.Identifier(login)))
    if not _exists(connection, BOUNDED, login):  # written once: no later start waits for a standby
        connection.execute(sql.SQL("ALTER ROLE {} SET {}").format(sql.Identifier(login), sql.SQL(IDLE_IN_TRANSACTION)))


def _exists(connection: psycopg.Connection, query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None
