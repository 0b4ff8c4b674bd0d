"""The real service as a user starts it, and clients that speak to it with the standard library alone."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import uuid4

from msgspec import Struct

from audit.postgres import embedded
from tests.system import processes
from tests.system.processes import Process

HOST = "127.0.0.1"
START_LIMIT_S = 120.0
STOP_LIMIT_S = 60.0
ANSWER_LIMIT_S = 60.0
NOTHING: Mapping[str, str] = MappingProxyType({})


class Response(Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of a problem; None for anything else."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.body)["code"] if is_problem else None

    @property
    def is_recorded(self) -> bool:
        """Whether it names a record."""
        return "ledger-index" in self.headers

    @property
    def index(self) -> int:
        """Of the record that covers it; KeyError where it names none."""
        return int(self.headers["ledger-index"])

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One caller on one connection, which is opened again where it was closed. For one thread."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.token = token
        self._connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def send(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = NOTHING
    ) -> Response:
        """The answer. Raises OSError or HTTPException where none comes; the next call begins anew."""
        all_headers = {"X-Correlation-ID": str(uuid4()), **headers}
        if self.token is not None:
            all_headers["Authorization"] = f"Bearer {self.token}"
        try:
            self._connection.request(method, target, body=body, headers=all_headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Response(status=answer.status, headers=named, body=content)

    def get(self, target: str, headers: Mapping[str, str] = NOTHING) -> Response:
        return self.send("GET", target, headers=headers)

    def infer(self, body: bytes, media_type: str = "application/dicom", query: str = "") -> Response:
        target = f"/infer?{query}" if query else "/infer"
        return self.send("POST", target, body, {"Content-Type": media_type})


class Server:
    """`medai serve` on ports and a home of its own. Nothing of it is left running after `clean`."""

    def __init__(self, home: Path, *, workers: int = 2, settings: Mapping[str, str] = NOTHING) -> None:
        self.home = home
        self.workers = workers
        self.settings = dict(settings)
        self.port, self.internal_port = _free_ports()
        self.process: subprocess.Popen[bytes] | None = None
        self._ever: set[Process] = set()

    @property
    def environment(self) -> dict[str, str]:
        """Ours without any setting of the caller's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
        return {**kept, **self.settings, "MEDAI_HOME": str(self.home)}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.with_name(self.home.name + ".log")

    def start(self) -> None:
        """Every worker is ready when this returns."""
        assert self.process is None
        with self.log.open("ab") as output:
            begins = output.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve", *self.arguments()],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_LIMIT_S
        while b"internal       http://" not in self.log.read_bytes()[begins:]:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)
        self._ever.update(self.everything())

    def arguments(self) -> list[str]:
        named = {"--port": self.port, "--internal-port": self.internal_port, "--workers": self.workers}
        return ["--host", HOST, *(str(word) for pair in named.items() for word in pair)]

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-4_000:]

    def medai(self, *words: str, settings: Mapping[str, str] = NOTHING) -> "subprocess.CompletedProcess[str]":
        """The command line, on this server's home."""
        return subprocess.run(
            [sys.executable, "-m", "service", *words],
            env={**self.environment, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
        )

    def token(self, scope: str = "infer") -> str:
        return (self.home / "tokens" / scope).read_text("ascii").strip()

    def client(self, scope: str | None = "infer") -> Client:
        return Client(self.port, self.token(scope) if scope is not None else None)

    def internal(self, path: str) -> Response:
        """Over a connection of its own, so that any worker may answer."""
        with Client(self.internal_port) as client:
            return client.get(path)

    # -- its processes

    def service_tree(self) -> tuple[Process, ...]:
        """The supervisor, then its workers and their decoders; not the database that it started."""
        if self.process is None:
            return ()
        return tuple(process for process in processes.tree(self.process.pid) if "postgres" not in process.command)

    def worker_processes(self) -> tuple[Process, ...]:
        return tuple(process for process in self.service_tree() if "service.worker" in process.command)

    def database_tree(self) -> tuple[Process, ...]:
        """The embedded PostgreSQL's processes, its first one first; none where there is none."""
        cluster = embedded.running(self.home)
        return processes.tree(cluster.pid) if cluster is not None else ()

    def everything(self) -> tuple[Process, ...]:
        return (*self.service_tree(), *self.database_tree())

    # -- its end

    def kill(self) -> None:
        """kill -9 of the supervisor and of everything below it. The database goes on."""
        assert self.process is not None
        self._ever.update(self.everything())
        processes.send(signal.SIGKILL, self.service_tree())
        self.process.wait(STOP_LIMIT_S)
        self.process = None

    def kill_database(self) -> None:
        """kill -9 of every process of the embedded PostgreSQL, its first one first."""
        self._ever.update(self.everything())
        processes.send(signal.SIGKILL, self.database_tree())

    def stop(self) -> int:
        """SIGTERM, as a service manager or Ctrl-C would; its exit code."""
        assert self.process is not None
        self._ever.update(self.everything())
        self.process.terminate()
        code = self.process.wait(STOP_LIMIT_S)
        self.process = None
        return code

    def left_running(self) -> list[str]:
        """What was started here at any time and has not ended."""
        processes.are_gone(tuple(self._ever), within_s=10)
        return [process.command for process in self._ever if process.is_alive()]

    def clean(self) -> None:
        """Ends whatever still runs, however the test went."""
        self._ever.update(self.everything())
        processes.send(signal.SIGCONT, tuple(self._ever))
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_LIMIT_S)
        embedded.stop(self.home)
        processes.send(signal.SIGKILL, tuple(self._ever))
        if self.process is not None:
            self.process.wait(STOP_LIMIT_S)


@contextlib.contextmanager
def serving(home: Path, *, workers: int = 2, settings: Mapping[str, str] = NOTHING) -> Iterator[Server]:
    """A ready server; it is ended, with what it started, when the block is left."""
    server = Server(home, workers=workers, settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.clean()


def eventually(holds: Callable[[], object], within_s: float) -> bool:
    """Whether it held at some moment; asks until it does, or until the time is over."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _free_ports() -> tuple[int, int]:
    """Two ports below those that Linux gives to clients: a client that asks again and again for a port where
    nobody listens would one day be given that very port, and speak to itself."""
    found: list[int] = []
    while len(found) < 2:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind((HOST, port))
            found += [port] if port not in found else []
    return found[0], found[1]
