"""The child process that decodes: one job after the other from its standard input until that ends.

Run as `python -P -s -m service.adapters.decoders_child PARENT_PID MEMORY_MIB CPU_S`. It inherits no descriptor
but its two pipes and an environment without secrets, and it confines itself before it reads the first job. What
kills it, a fault in a decoder, a limit, the parent's deadline, costs the one job that it had.
"""

import contextlib
import ctypes
import logging
import math
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Final

from service.adapters.decoders_seccomp import confine_calls
from service.adapters.decoders_wire import LENGTH, READY, decode_job, encode_answer
from service.adapters.images_attributes import PixelLayout
from service.adapters.images_pixels import compressed_samples
from service.adapters.images_syntaxes import PLUGINS
from service.domain.messages import Array

_MIB: Final = 1024 * 1024
_OPEN_FILES: Final = 16
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2): die with the parent, never gain privileges


def main(arguments: list[str]) -> None:
    parent, memory_mib, cpu_seconds = (int(argument) for argument in arguments)
    jobs, answers = _own_pipes()
    _warm()
    _confine(parent, memory_mib)
    _write(answers, READY)
    while (header := _read(jobs, LENGTH.size)) is not None:
        message = _read(jobs, LENGTH.unpack(header)[0])
        if message is None:
            return
        _allow_cpu(cpu_seconds)
        try:
            job = decode_job(message)
            samples = compressed_samples(job.frame, job.layout, job.syntax)
        except MemoryError:
            _answer(answers, None)
            return  # what it could not have may be fragmented away for good: the parent starts another
        except Exception:  # noqa: BLE001  # whatever a decoder raises says the same: these bytes are no image
            _answer(answers, None)
        else:
            _answer(answers, samples)
            del samples
        del message, header


def _own_pipes() -> tuple[int, int]:
    """The two pipes under numbers of their own: a library that prints must not write into the answers."""
    jobs, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    return jobs, answers


def _warm() -> None:
    """Load every decoder now: later, nothing may be opened and no time is to be lost."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    layout = PixelLayout(
        rows=1, columns=1, samples=1, photometric="MONOCHROME2", planar=0, bits_allocated=8, bits_stored=8, signed=0
    )
    for syntax in PLUGINS:
        with contextlib.suppress(Exception):  # no decoder takes this frame; each is imported by trying
            compressed_samples(b"\xff\xd8\xff\xd9", layout, syntax)


def _confine(parent: int, memory_mib: int) -> None:
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the first of these lines
        sys.exit(1)
    with open("/proc/self/statm", encoding="ascii") as statm:  # before no file can be opened
        used = int(statm.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: used + memory_mib * _MIB,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_NPROC: 0,  # neither processes nor threads; without effect on root
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    confine_calls(prctl)


def _allow_cpu(seconds: int) -> None:
    """SIGXCPU ends this process when the next job has used `seconds`, whatever earlier ones used."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, hard))


def _answer(pipe: int, samples: Array | None) -> None:
    message = encode_answer(samples)
    _write(pipe, LENGTH.pack(len(message)) + message)
    if samples is not None:
        _write(pipe, samples.reshape(-1).data.cast("B"))


def _read(pipe: int, size: int) -> bytes | None:
    """Exactly `size` bytes, None where the pipe ends: the parent is gone, or wants no more."""
    message = bytearray(size)
    view = memoryview(message)
    while view:
        count = os.readv(pipe, [view])
        if count == 0:
            return None
        view = view[count:]
    return bytes(message)


def _write(pipe: int, message: bytes | memoryview) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(pipe, view) :]


if __name__ == "__main__":
    main(sys.argv[1:])
