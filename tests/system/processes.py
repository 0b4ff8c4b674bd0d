"""Process trees, read from /proc: who runs below whom, how much memory they hold, and how they are ended."""

import contextlib
import os
import signal
import time
from pathlib import Path

from msgspec import Struct

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process(Struct, frozen=True, kw_only=True):
    """One process. A number is given again one day, so it is named with the moment that it began."""

    pid: int
    parent: int
    began: int

    @property
    def command(self) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""

    def is_alive(self) -> bool:
        return _read(self.pid) == self


def tree(pid: int) -> tuple[Process, ...]:
    """`pid` and everything below it, parents before children; empty where it does not run."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    every = {process.pid: process for number in numbers if (process := _read(number)) is not None}
    found = [every[pid]] if pid in every else []
    for process in found:  # grows while it is read
        found += [child for child in every.values() if child.parent == process.pid]
    return tuple(found)


def send(signal_number: signal.Signals, processes: tuple[Process, ...]) -> None:
    """The signal to each that is still alive."""
    for process in processes:
        if process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal_number)


def are_gone(processes: tuple[Process, ...], within_s: float) -> bool:
    """Whether all have ended when the time is over; returns as soon as they have."""
    until = time.monotonic() + within_s
    while any(process.is_alive() for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def resident_mib(processes: tuple[Process, ...]) -> int:
    """Memory in use by all together; pages that several share count for each."""
    pages = 0
    for process in processes:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{process.pid}/statm").read_text("ascii").split()[1])
    return pages * PAGE_BYTES >> 20


def peak_mib(process: Process) -> int:
    """The most memory that the process has held since `forget_peak`."""
    for line in Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0


def forget_peak(process: Process) -> None:
    """The peak is what is held now (proc(5), clear_refs, 5)."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", "ascii")


def _read(pid: int) -> Process | None:
    """None for what has ended, zombies included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    # proc(5): after the name come state (3), parent (4), ..., starttime (22).
    return None if fields[0] in "ZX" else Process(pid=pid, parent=int(fields[1]), began=int(fields[19]))
