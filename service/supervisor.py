"""The parent process: binds the sockets, keeps the workers running, ends them in order.

It serves nothing itself and imports nothing of the service, so that it stays small and has nothing to crash of.
"""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess  # the worker is our own interpreter with our own module
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from service.errors import SettingInvalid

_BACKLOG: Final = 2048
_BIND_TRIES: Final = 40
_BIND_PAUSE_S: Final = 0.1
"""A killed predecessor's workers give the port back within moments; four seconds are moments enough."""
_STEADY_S: Final = 10.0
"""A worker that lived this long is replaced at once; one that did not, after a pause that doubles."""
_LONGEST_PAUSE_S: Final = 10.0
_FORCED_AFTER_S: Final = 10.0
"""Beyond the drain time: then a worker that does not end is killed."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to run. `environment` holds the database's passwords and is given to the workers alone."""

    public: socket.socket
    internal: socket.socket
    workers: int
    environment: Mapping[str, str]
    run_folder: Path
    drain_s: float


class _Worker:
    def __init__(self, process: "subprocess.Popen[bytes]", status: int) -> None:
        self.process = process
        self.status = status
        self.started = time.monotonic()
        self.ready = False


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, which workers are given by name (`pass_fds`) and no other child inherits: a PostgreSQL
    that did would hold the port beyond our end. Raises `SettingInvalid` where the address is not to be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingInvalid(f"--host {host}: {error.strerror}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for attempt in range(_BIND_TRIES):
        try:
            listener.bind(address)
            break
        except OSError as error:
            if attempt == _BIND_TRIES - 1:
                listener.close()
                raise SettingInvalid(f"port {port} on {host}: {error.strerror}; choose another") from error
            time.sleep(_BIND_PAUSE_S)
    listener.listen(_BACKLOG)
    return listener


class Supervisor:
    """Runs a plan until it is told to stop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._pause_s = 0.5
        self._restart_at = 0.0
        self._announced = False
        self._ending = False
        # Nobody ever writes here: when this process ends, however it ends, the workers read the end.
        self._life_out, self._life_in = os.pipe()

    def run(self, announce: Callable[[], None]) -> int:
        """`announce` is called once, when every worker is ready. Returns the exit code: 0, or a worker's own
        where one could not begin at all."""
        with self._wakeups(), self._metrics_folder() as metrics:
            environment = {**self._plan.environment, "PROMETHEUS_MULTIPROC_DIR": metrics}
            for _ in range(self._plan.workers):
                self._spawn(environment)
            while self._signals == 0:
                self._wait(1.0)
                failed = self._bury()
                if failed is not None and not self._announced:
                    self._end()
                    return failed
                if not self._announced and all(worker.ready for worker in self._workers):
                    self._announced = True
                    announce()
                if len(self._workers) < self._plan.workers and time.monotonic() >= self._restart_at:
                    self._spawn(environment)
            self._end()
        return 0

    def _spawn(self, environment: Mapping[str, str]) -> None:
        status_out, status_in = os.pipe()
        descriptors = (self._plan.public.fileno(), self._plan.internal.fileno(), status_in, self._life_out)
        process = subprocess.Popen(  # nosec B603  # our own interpreter, module and numbers
            [sys.executable, "-m", "service.worker", *map(str, descriptors)],
            env=dict(environment),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
        )
        os.close(status_in)
        worker = _Worker(process, status_out)
        self._workers.append(worker)
        self._selector.register(status_out, selectors.EVENT_READ, worker)

    def _wait(self, seconds: float) -> None:
        """Until something happens: a signal, a worker that is ready, a worker that ended."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Worker):
                key.data.ready = os.read(key.data.status, 64) != b""
                self._forget_status(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)

    def _bury(self) -> int | None:
        """Take the dead out; the exit code of one that was never ready, or None."""
        failed = None
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._workers.remove(worker)
            self._forget_status(worker)
            self._forget_gauges(worker.process.pid)
            if not self._ending:
                sys.stderr.write(f"medai: worker {worker.process.pid} ended with {worker.process.returncode}\n")
            if not worker.ready:
                failed = worker.process.returncode if worker.process.returncode > 0 else 1
            if time.monotonic() - worker.started >= _STEADY_S:
                self._pause_s = 0.5
                self._restart_at = 0.0
            else:
                self._restart_at = time.monotonic() + self._pause_s
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return failed

    def _end(self) -> None:
        """SIGTERM to all; SIGKILL to those that outlast the drain time, or at a second signal."""
        self._ending = True
        for worker in self._workers:
            worker.process.terminate()
        already = self._signals
        until = time.monotonic() + self._plan.drain_s + _FORCED_AFTER_S
        while self._workers and time.monotonic() < until and self._signals == already:
            self._wait(0.2)
            self._bury()
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()

    def _forget_status(self, worker: _Worker) -> None:
        if worker.status >= 0:
            self._selector.unregister(worker.status)
            os.close(worker.status)
            worker.status = -1

    def _forget_gauges(self, pid: int) -> None:
        """Counters of the dead still count; what they said of themselves at the moment does not."""
        for file in self._plan.run_folder.glob(f"metrics-*/gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _wakeups(self) -> Iterator[None]:
        """Signals wake the selector: SIGTERM and SIGINT are counted, SIGCHLD only wakes."""
        wake_out, wake_in = os.pipe()
        os.set_blocking(wake_out, False)
        os.set_blocking(wake_in, False)
        self._selector.register(wake_out, selectors.EVENT_READ, None)

        def count(*_: object) -> None:
            self._signals += 1

        before = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, count),
            signal.SIGINT: signal.signal(signal.SIGINT, count),
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None),
        }
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            for descriptor in (wake_out, wake_in, self._life_out, self._life_in):
                os.close(descriptor)

    @contextlib.contextmanager
    def _metrics_folder(self) -> Iterator[str]:
        """Fresh for each run: the workers' counters are files here, and old ones would be counted again."""
        for old in self._plan.run_folder.glob("metrics-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix="metrics-", dir=self._plan.run_folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
