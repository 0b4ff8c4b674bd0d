"""What every test may use: the repository, third-party vectors, and rules for generated examples."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from hypothesis import settings

from audit.postgres import embedded, migrate
from audit.postgres.embedded import Cluster

REPOSITORY = Path(__file__).resolve().parent.parent

# No deadline: how long an example takes says nothing of whether the fact is true.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def third_party_vectors() -> Path:
    """Test vectors that others published; `MEDAI_TEST_VECTORS` names the folder."""
    folder = Path(os.environ.get("MEDAI_TEST_VECTORS") or REPOSITORY.parent / "shared" / "vectors")
    if not folder.is_dir():
        pytest.skip("no third-party vectors: MEDAI_TEST_VECTORS names no folder")
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A PostgreSQL server for the whole session, with a migrated database for `database` to copy."""
    home = tmp_path_factory.mktemp("cluster")
    cluster = embedded.start(home)
    migrate.upgrade(cluster.admin_url)
    yield cluster
    embedded.stop(home)


@pytest.fixture
def database(cluster) -> Iterator[Cluster]:
    """A migrated, empty database of this test's own; `admin_url`, `writer_url`, `reader_url` lead to it."""
    own = msgspec.structs.replace(cluster, database=f"test_{uuid4().hex}")
    postgres = msgspec.structs.replace(cluster, database="postgres").admin_url
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {own.database} TEMPLATE {cluster.database}")
    yield own
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {own.database} WITH (FORCE)")
