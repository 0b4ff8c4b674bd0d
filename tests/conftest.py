"""What every test may use: the repository, third-party vectors, and rules for generated examples."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import settings

from audit import record
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
    with _copied(cluster) as own:
        yield own


@pytest.fixture(scope="module")
def module_database(cluster) -> Iterator[Cluster]:
    """As `database`, for all tests of a module that leave it as it was."""
    with _copied(cluster) as own:
        yield own


@pytest.fixture(scope="session")
def a_database(cluster) -> Callable[[], AbstractContextManager[Cluster]]:
    """As `database`, while `with a_database() as own:` runs."""
    return lambda: _copied(cluster)


@contextmanager
def _copied(cluster: Cluster) -> Iterator[Cluster]:
    own = msgspec.structs.replace(cluster, database=f"test_{uuid4().hex}")
    postgres = msgspec.structs.replace(cluster, database="postgres").admin_url
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {own.database} TEMPLATE {cluster.database}")
    yield own
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {own.database} WITH (FORCE)")


class Entries:
    """Records to append: each is new, valid and of nobody."""

    ORIGIN = "log.example/entries"

    def genesis(self, **other) -> record.Genesis:
        made = record.Genesis(
            format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=1, origin=self.ORIGIN,
            verifier_key=f"{self.ORIGIN}+00000000+AAAA", formats=(record.FORMAT,), clock_tolerance_us=10_000_000,
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def request(self, **other) -> record.Request:
        made = record.Request(
            format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=2, request_id=record.new_event_id(),
            correlation_id=record.new_event_id(), method="GET", route="/health", status=200,
            peer=f"test:{'0' * 64}", release=None,
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def window(self, **other) -> record.Window:
        made = record.Window(
            format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=3, phase="opened", subject="public",
            peer=f"test:{'1' * 64}", minute_us=60_000_000, process_id=record.new_event_id(), release=None,
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def rotation(self, **other) -> record.KeyRotated:
        """One that rotates nothing: its keys and signatures are nobody's."""
        made = record.KeyRotated(
            format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=4, origin=self.ORIGIN,
            old_key=f"{self.ORIGIN}+00000000+AAAA", new_key=f"{self.ORIGIN}+11111111+AAAA",
            old_signature="A" * 86 + "==", new_signature="A" * 86 + "==",
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def sent(self, *entries: record.Record) -> tuple[list[UUID], list[bytes]]:
        """Ids and bytes, as `Store.append` takes them."""
        return [record.event_uuid(entry) for entry in entries], [record.encode(entry) for entry in entries]

    def batch(self, count: int) -> tuple[list[UUID], list[bytes]]:
        return self.sent(*(self.request() for _ in range(count)))


@pytest.fixture(scope="session")
def entries() -> Entries:
    return Entries()
