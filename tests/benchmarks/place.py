"""Where it is measured: a PostgreSQL of its own in a temporary folder, and in it as many empty logs as are wanted."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from msgspec import Struct

from audit import genesis, signing
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.note import Signer
from audit.postgres import embedded, migrate
from audit.postgres.embedded import Cluster
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore


class Log(Struct, frozen=True, kw_only=True):
    """A log that has its record 0: its folder (a MEDAI_HOME) and its database."""

    home: Path
    writer_url: str
    reader_url: str

    @property
    def signing_key(self) -> Path:
        return self.home / "keys" / "signing.key"

    def signer(self) -> Signer:
        return signing.load(self.signing_key)

    def anchor(self) -> FolderAnchor:
        return FolderAnchor(self.home / "anchors", (self.signer().verifier,))


class Place(Struct, frozen=True, kw_only=True):
    """The server and the folder around it."""

    folder: Path
    cluster: Cluster

    def log(self, name: str) -> Log:
        """A new log, begun."""
        log = self.empty(name)
        signing.create(log.signing_key, f"bench.example/{name}")
        asyncio.run(_begin(log))
        return log

    def empty(self, name: str) -> Log:
        """A new database and a folder, and nothing in them."""
        log = self.existing(name)
        with psycopg.connect(self.maintenance_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_{name} TEMPLATE {self.cluster.database}")
        log.home.mkdir(mode=0o700)
        return log

    def forget(self, name: str) -> None:
        """Neither its database nor its folder is there any more."""
        with psycopg.connect(self.maintenance_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)")
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def settle(self, name: str) -> None:
        """What PostgreSQL does with new rows in its own time is done."""
        with psycopg.connect(self.admin_url(name), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def existing(self, name: str) -> Log:
        """One that is there already."""
        own = msgspec.structs.replace(self.cluster, database=f"bench_{name}")
        return Log(home=self.folder / name, writer_url=own.writer_url, reader_url=own.reader_url)

    def admin_url(self, name: str) -> str:
        """The superuser's way in to the database of the log of that name."""
        return msgspec.structs.replace(self.cluster, database=f"bench_{name}").admin_url

    @property
    def maintenance_url(self) -> str:
        """The superuser's way in, to a database that holds no log."""
        return msgspec.structs.replace(self.cluster, database="postgres").admin_url


@contextmanager
def made() -> Iterator[Place]:
    """A place that is gone, server and all, when the block is left."""
    folder = Path(tempfile.mkdtemp(prefix="medai-bench-"))
    home = folder / "server"
    try:
        cluster = embedded.start(home)
        try:
            migrate.upgrade(cluster.admin_url)
            yield Place(folder=folder, cluster=cluster)
        finally:
            embedded.stop(home)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _begin(log: Log) -> None:
    store, reader = PostgresStore(log.writer_url), PostgresReader(log.reader_url)
    try:
        await genesis.initialise(store, reader, log.signer(), SystemClock())
    finally:
        await store.close()
        await reader.close()
