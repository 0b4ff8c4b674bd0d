"""The parent's hold on one decoding child: start it, give it a job, end it. Every call may block but `end`."""

import contextlib
import fcntl
import math
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

import service
from service.adapters.decoders_wire import LENGTH, MAX_ANSWER_BYTES, READY, empty_samples, encode_job
from service.adapters.images_dicom import CompressedFrame
from service.domain.messages import Array
from traceability.marks import implements

_PIPE_BYTES: Final = 1 << 20  # the most that Linux gives an ordinary user (pipe(7)): a CT slice in one go
# Threads in a numerical library would only take memory from the one job; the loader's path may be needed to start.
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
_INHERITED: Final = ("LD_LIBRARY_PATH",)


class PoolSettings(Struct, frozen=True, kw_only=True):
    """What the decoding children may take."""

    workers: int = 2
    memory_mib: int = 1024
    """Address space of a child beyond what it has after loading the decoders."""
    cpu_seconds: int = 20
    """CPU time of one job; the deadline that a job brings is wall time."""
    queue_limit: int = 64
    """Jobs that may wait for a child. One more is refused as `Overloaded`."""
    startup_ms: int = 30_000
    """How long loading the decoders may take, on a busy machine."""


class ChildLost(Exception):
    """The child is dead, late or talking nonsense: `discard` it."""


class Child:
    """One child process, or the place for one. One thread uses it at a time; any may `end` it."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self.ready = False

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """A child that has loaded its decoders and confined itself. Raises ChildLost."""
        if self._process is None:
            self.launch()
        deadline = time.monotonic() + self._settings.startup_ms / 1000
        if bytes(self._read(bytearray(len(READY)), deadline)) != READY:
            raise ChildLost("not a decoder")
        self.ready = True

    @implements("REQ-SEC-017")
    def launch(self) -> None:
        """A child that begins to load; `start` waits for it."""
        arguments = (os.getpid(), self._settings.memory_mib, self._settings.cpu_seconds)
        environment = _ENVIRONMENT | {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["PYTHONPATH"] = str(Path(service.__file__).parent.parent)
        with self._lock:
            if self._ended:
                raise ChildLost("closed")
            try:
                self._process = subprocess.Popen(  # nosec B603  # our own module, no shell, no input
                    [sys.executable, "-P", "-s", "-m", "service.adapters.decoders_child", *map(str, arguments)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    close_fds=True,
                    bufsize=0,
                    cwd="/",
                    env=environment,
                    start_new_session=True,  # an interrupt from the terminal is the parent's to handle
                )
            except OSError as error:
                raise ChildLost("no process to be had") from error
            self.ready = False
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                with contextlib.suppress(OSError):  # over the user's limit for pipes: slower, nothing else
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @implements("REQ-INF-032")
    def run(self, job: CompressedFrame, deadline_ms: int) -> Array | None:
        """The job's samples, None where its bytes are no image. Raises ChildLost."""
        deadline = time.monotonic() + deadline_ms / 1000
        message = encode_job(job)
        self._write(LENGTH.pack(len(message)), deadline)
        self._write(message, deadline)
        (size,) = LENGTH.unpack(self._read(bytearray(LENGTH.size), deadline))
        if size > MAX_ANSWER_BYTES:
            raise ChildLost("an answer beyond its limit")
        try:
            samples = empty_samples(bytes(self._read(bytearray(size), deadline)), job)
        except (msgspec.DecodeError, ValueError) as error:
            raise ChildLost("not an answer") from error
        if samples is not None:
            self._read(samples.reshape(-1).data.cast("B"), deadline)
        return samples

    def end(self) -> None:
        """Kills the child for good, from any thread: whoever waits for it gets ChildLost, and none takes its place."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def discard(self) -> None:
        """The child is dead and reaped. Only for the thread that uses it, which alone may close the pipes."""
        with self._lock:
            process, self._process, self.ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _write(self, message: bytes, deadline: float) -> None:
        pipe, view = self._pipe("stdin"), memoryview(message)
        while view:
            try:
                view = view[os.write(pipe, view) :]
            except BlockingIOError:
                _wait(pipe, select.POLLOUT, deadline)
            except OSError as error:
                raise ChildLost("gone") from error

    def _read(self, into: bytearray | memoryview, deadline: float) -> bytearray | memoryview:
        pipe, view = self._pipe("stdout"), memoryview(into)
        while view:
            try:
                count = os.readv(pipe, [view])
            except BlockingIOError:
                _wait(pipe, select.POLLIN, deadline)
                continue
            except OSError as error:
                raise ChildLost("gone") from error
            if count == 0:
                raise ChildLost("gone")
            view = view[count:]
        return into

    def _pipe(self, name: Literal["stdin", "stdout"]) -> int:
        pipe = None if self._process is None else getattr(self._process, name)
        if pipe is None:
            raise ChildLost("gone")
        descriptor: int = pipe.fileno()
        return descriptor


def _wait(pipe: int, event: int, deadline: float) -> None:
    left_ms = math.ceil((deadline - time.monotonic()) * 1000)
    poll = select.poll()
    poll.register(pipe, event)
    if left_ms <= 0 or not poll.poll(left_ms):
        raise ChildLost("late")
