"""A primary and its streaming replica, from the programs of the embedded PostgreSQL; both on unix sockets alone."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import msgspec
import psycopg
from psycopg import pq

from audit.postgres import embedded, migrate, server
from audit.postgres.embedded import Cluster
from tests.system import processes
from tests.system.running import eventually

LIMIT_S = 120.0
WAL_SENDER = "SELECT pid FROM pg_stat_replication"
IS_SYNCHRONOUS = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
CAUGHT_UP = "SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_flush_lsn()"


class Pair:
    """A migrated primary and a standby that follows it. Passwords, and so URLs but for the host, are the same."""

    def __init__(self, primary: Cluster, standby: Cluster) -> None:
        self.primary, self.standby = primary, standby

    def make_synchronous(self) -> None:
        """From now on, a commit is acknowledged once the standby has it on disk."""
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        assert self._holds(IS_SYNCHRONOUS)

    def wait_for_the_standby(self) -> None:
        """It has whatever the primary has made durable."""
        assert self._holds(CAUGHT_UP)

    def hold_the_standby_back(self) -> None:
        """From now on it is sent nothing more, and the primary does not notice for a while."""
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            found = connection.execute(WAL_SENDER).fetchall()
        for (pid,) in found:
            os.kill(pid, SIGSTOP)

    def lose_the_primary(self) -> None:
        """kill -9 of all of it, for ever."""
        database = processes.tree(self.primary.pid)
        processes.send(SIGKILL, database)
        assert processes.are_gone(database, LIMIT_S)

    def promote_the_standby(self) -> None:
        """It takes writes, on a new timeline."""
        with psycopg.connect(self.standby.admin_url, autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    def _holds(self, query: str) -> bool:
        def asked() -> bool:
            with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
                return connection.execute(query.encode()).rowcount > 0

        return eventually(asked, LIMIT_S)


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both run while the block does, unless they are lost in it."""
    first, second = folder / "primary", folder / "standby"
    sockets = Path(tempfile.mkdtemp(prefix="medai-"))  # short enough for a socket, wherever `folder` is
    try:
        primary = embedded.start(first)
        migrate.upgrade(primary.admin_url)
        yield Pair(primary, _standby(primary, second, sockets))
    finally:
        for home in (first, second):
            embedded.stop(home)
        shutil.rmtree(sockets, ignore_errors=True)


def _standby(primary: Cluster, home: Path, sockets: Path) -> Cluster:
    (home / "run").mkdir(mode=0o700, parents=True)
    home, data = home.resolve(), home.resolve() / "postgres"
    programs = server.find_programs()
    account = server.account_for(primary.home, primary.home / "postgres")
    data.mkdir(mode=0o700)
    for path in (data, sockets):
        os.chown(path, account.uid, account.gid)
    source = msgspec.structs.replace(primary, database="postgres").admin_url
    copy = [str(programs.folder / "pg_basebackup"), "-D", str(data), "-d", source, "-R", "-c", "fast", "-X", "stream"]
    subprocess.run(
        server.as_account(copy, home, programs, account), env=server.ENVIRONMENT, check=True, timeout=LIMIT_S
    )
    server.launch(home, data, programs, account, str(sockets))
    secrets = msgspec.structs.replace(primary.secrets, socket_folder=str(sockets))
    return msgspec.structs.replace(primary, home=home, pid=_answering(data, str(sockets)), secrets=secrets)


def _answering(data: Path, sockets: str) -> int:
    until = time.monotonic() + LIMIT_S
    while pq.PGconn.ping(f"host={sockets} dbname=postgres".encode()) != pq.Ping.OK:
        assert time.monotonic() < until, server.last_words(data.parent / "run" / "postgres.log")
        time.sleep(0.02)
    pid = server.pid_of(data)
    assert pid is not None
    return pid
