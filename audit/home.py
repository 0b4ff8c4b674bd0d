"""One program at a time in a home: whoever serves there, or closes its log."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from audit.errors import SettingInvalid


@contextmanager
def alone(home: Path, taken: str) -> Iterator[TextIO]:
    """This program has `home` to itself while the block runs; a crash frees it. The lock's file is the block's.

    Raises `SettingInvalid`: with the words of `taken` where another program has it.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").mkdir(mode=0o700, exist_ok=True)
        lock = (home / "run" / "serve.lock").open("a")
    except OSError as error:
        raise SettingInvalid(f"{home}: cannot be written ({error.strerror}); set MEDAI_HOME") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingInvalid(f"{home}: {taken}") from error
        yield lock
