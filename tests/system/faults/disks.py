"""A small file system of a test's own, which can be filled and freed. Only root may mount one; in CI, sudo does."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20


class Disk:
    """`folder` is all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Something else takes all the room but `leave_bytes`."""
        with self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), max(1, self.free_bytes - leave_bytes))

    def free(self) -> None:
        """It is gone again."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small(folder: Path, size_bytes: int) -> Iterator[Disk]:
    """A file system in memory at `folder`, while the block runs. Skips the test where none may be mounted."""
    folder.mkdir(mode=0o700, parents=True)
    options = f"size={size_bytes},mode=0700,uid={os.getuid()},gid={os.getgid()}"
    mounting = subprocess.run(
        [*_as_root(), "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounting.returncode != 0:
        pytest.skip(
            f"a full disk needs a file system of the test's own, and root to mount it: {mounting.stderr.strip()}"
        )
    try:
        yield Disk(folder)
    finally:
        subprocess.run([*_as_root(), "umount", str(folder)], check=True, timeout=30)


def _as_root() -> list[str]:
    """What comes before a command that needs root; nothing where nobody may ask for it."""
    may_ask = os.geteuid() != 0 and os.environ.get("CI") == "true" and shutil.which("sudo") is not None
    return ["sudo", "-n"] if may_ask else []
