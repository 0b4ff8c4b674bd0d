"""Runs tests again and again in a copy of the project, each time in a process of its own. Started by `mutant_runs`.

    python mutant_server.py        in the folder of the copy; one JSON line in, one JSON line out

    {"arguments": [...], "deadline_s": 12.5, "preload": [...]}  ->  {"code": 1, "modules": [...], "seconds": 0.4}

It imports nothing of the project: only what the first run needed from elsewhere is imported here, once, so that each
run is a fork that has the slow part behind it. `code` is pytest's exit code, -1 where the deadline passed and -2 where
the process died. What a run leaves behind (servers that its tests started and could not stop) is killed after it.
Standard library and pytest only: it is run as a file, apart from the package.
"""

import ctypes
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

PASSED_DEADLINE = -1
DIED = -2
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h: orphans of a run become ours
_POLL_S = 0.005


def main() -> None:
    """Serve until the input ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    sys.path[0] = os.getcwd()  # as `python -m pytest` does; it was the folder of this file
    import pytest  # noqa: F401 # loaded once, for all forks

    for line in sys.stdin:
        job = json.loads(line)
        for name in job.get("preload", ()):
            _load(name)
        began = time.monotonic()
        code, modules = _run(job["arguments"], began + job["deadline_s"])
        answer = {"code": code, "modules": modules, "seconds": time.monotonic() - began}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _load(name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            __import__(name)
    except BaseException:  # noqa: BLE001 # whatever it is, the run itself will meet it
        sys.modules.pop(name, None)


def _run(arguments: list[str], deadline: float) -> tuple[int, list[str]]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(arguments, writing)
    os.close(writing)
    code = _wait(child, deadline)
    _kill_descendants()
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    return code, json.loads(said) if said else []


def _child(arguments: list[str], writing: int) -> None:
    """Never returns."""
    code = DIED & 0xFF
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(quiet, standard)
        import pytest

        before = set(sys.modules)
        code = int(pytest.main(arguments))
        loaded = json.dumps(_foreign(set(sys.modules) - before))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(loaded.encode())
    finally:
        os._exit(code)


def _foreign(names: set[str]) -> list[str]:
    """Those modules that come from outside the copy: they are the same for every run. Not the standard library, which
    they bring along in their own order: `asyncio` of which a part was imported first is not the same."""
    here = Path.cwd()
    found = []
    for name in names:
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        file: Any = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and not Path(file).is_relative_to(here) and not name.startswith("__"):
            found.append(name)
    return sorted(found)


def _wait(child: int, deadline: float) -> int:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else DIED
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return PASSED_DEADLINE
        time.sleep(_POLL_S)


def _kill_descendants() -> None:
    """Everything below this process; nothing else of it runs between two jobs."""
    while found := _children():
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            except (ProcessLookupError, ChildProcessError):
                continue


def _children() -> list[int]:
    me = os.getpid()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == me:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main()
