"""The database's schema: `upgrade` to the newest, `downgrade` to nothing, and which one is there.

Each runs in one transaction under a lock of its own, so that two at once do the work once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection

from audit.errors import LedgerExists, LedgerUnavailable, SettingInvalid
from audit.postgres.tables import metadata
from traceability.marks import implements

LOCK: Final = 0x6D656461_69  # "medai": an advisory lock of the migrating transaction alone
CONNECT_TIMEOUT_S: Final = 10
ROWS_NEVER_CHANGE: Final = "ML007"


@implements("REQ-DEP-008")
def upgrade(admin_url: str) -> None:
    """The schema is the newest when this returns. Requires a login that may create roles and schemas.

    Raises `LedgerUnavailable` where the database cannot be reached or refuses.
    """
    with _transaction(admin_url) as connection:
        command.upgrade(_config(connection), "head")
        # Verification compares the schema with the one of its revision.
        connection.execute(sqlalchemy.text("GRANT SELECT ON public.alembic_version TO ledger_reader"))


@implements("REQ-DEP-008")
def downgrade(admin_url: str) -> None:
    """Nothing of the ledger is left but its roles. Raises `LedgerExists` while there is a record."""
    with _transaction(admin_url) as connection:
        command.downgrade(_config(connection), "base")


def current(url: str) -> str | None:
    """The revision that the database is at; None before the first."""
    with _transaction(url) as connection:
        return MigrationContext.configure(connection, opts={"version_table_schema": "public"}).get_current_revision()


def head() -> str:
    """The revision that this program was written for."""
    revision = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert revision is not None
    return revision


def grant(admin_url: str, *, writer: str, reader: str) -> None:
    """The logins `writer` and `reader` may write and read the ledger; both may be one."""
    with _transaction(admin_url) as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        for role, login in (("ledger_writer", writer), ("ledger_reader", reader)):
            raw.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    def connect() -> psycopg.Connection:
        return psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, application_name="medai migrate")

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool, isolation_level="READ COMMITTED"
    )
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection
    except (sqlalchemy.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
        if isinstance(cause, psycopg.Error) and cause.sqlstate == ROWS_NEVER_CHANGE:
            raise LedgerExists("ledger: it holds records and is never dropped; migrate another database") from error
        raise LedgerUnavailable(f"migrate: the database cannot be reached or refused: {cause}") from error
    finally:
        engine.dispose()


def _config(connection: Connection | None) -> Config:
    # The distribution is used from its source tree (the image holds one); migrations/ stands beside audit/.
    folder = Path(__file__).resolve().parents[2] / "migrations"
    if not (folder / "env.py").is_file():
        raise SettingInvalid(f"migrate: expected the migrations in {folder}; run from a whole source tree")
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["target_metadata"] = metadata
    return config
