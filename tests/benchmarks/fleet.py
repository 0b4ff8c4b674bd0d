"""Worker processes as `medai serve --workers N` makes them, audited or not, on a port of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from audit.clock import SystemClock
from service.adapters import secrets, tokens
from service.supervisor import bind
from tests.benchmarks.place import Log

AUDITED = "service.worker"
UNAUDITED = "tests.benchmarks.unaudited"
ACTOR = "bench-infer"


def environment(log: Log) -> dict[str, str]:
    """A worker's: the defaults of every setting, but no limit for a single caller."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
    return {
        **inherited,
        "MEDAI_HOME": str(log.home),
        "MEDAI_DATABASE_URL": log.writer_url,
        "MEDAI_DATABASE_READER_URL": log.reader_url,
        "MEDAI_CALLER_RATE_PER_S": "1000000",
        "MEDAI_CALLER_BURST": "1000000",
        "MEDAI_WATCH_IN_SERVICE": "no",  # an audit by schedule would fall into one slice and not into the other
    }


class Fleet:
    """`workers` processes of `module` (a worker's main module); ready when the block is entered."""

    def __init__(self, module: str, log: Log, *, workers: int) -> None:
        self._public, self._internal = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        self._life_out, self._life_in = os.pipe()
        self._metrics = tempfile.mkdtemp(prefix="metrics-", dir=log.home)
        secrets.create(log.home / "keys" / "pseudonym.key")
        self.token = _token(log.home)
        shown = {**environment(log), "PROMETHEUS_MULTIPROC_DIR": self._metrics}
        self._workers = [self._spawn(module, shown) for _ in range(workers)]

    @property
    def port(self) -> int:
        return int(self._public.getsockname()[1])

    def _spawn(self, module: str, shown: Mapping[str, str]) -> tuple["subprocess.Popen[bytes]", int]:
        status_out, status_in = os.pipe()
        descriptors = (self._public.fileno(), self._internal.fileno(), status_in, self._life_out)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, descriptors)],
            env=dict(shown),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
        )
        os.close(status_in)
        return process, status_out

    def __enter__(self) -> Self:
        for process, status in self._workers:
            if os.read(status, 64) != b"ready\n":
                raise RuntimeError(f"a worker did not come up: exit code {process.wait(10)}")
            os.close(status)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process, _ in self._workers:
            process.terminate()
        for process, _ in self._workers:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for descriptor in (self._life_out, self._life_in):
            os.close(descriptor)
        self._public.close()
        self._internal.close()
        shutil.rmtree(self._metrics, ignore_errors=True)


def request(fleet: Fleet, media_type: str, body: bytes) -> bytes:
    """The bytes of one `POST /infer` on a connection that stays."""
    head = (
        f"POST /infer HTTP/1.1\r\nHost: 127.0.0.1:{fleet.port}\r\nAuthorization: Bearer {fleet.token}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _token(home: Path) -> str:
    kept = home / "bench-token"
    if not kept.exists():
        token = tokens.issue(tokens.FilePlace(home / "tokens.json"), ACTOR, ["infer"], now_us=SystemClock().now_us())
        kept.write_text(token, "ascii")
    return kept.read_text("ascii")
