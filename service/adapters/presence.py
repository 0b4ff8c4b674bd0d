"""Which processes of this home are gone: what they left undone may then be ended for them, at once.

    FOLDER/<process id>     held (flock) by the process as long as it lives, however it ends

Several homes may share a database: of another home's processes nothing is known here. A mark stays when its process
ends, also in order, until somebody has looked after what it left.
"""

import contextlib
import fcntl
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from service.errors import SettingInvalid
from traceability.marks import implements


class Presence:
    """This process's own mark, within a `with` block, and those of the others of its home."""

    def __init__(self, folder: Path, process_id: UUID) -> None:
        self._folder = folder
        self._own = str(process_id)

    def __enter__(self) -> Self:
        hidden = self._folder / f".{self._own}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark = hidden.open("ab")
            fcntl.flock(self._mark, fcntl.LOCK_EX)
            # Seen only now: a mark that is seen and not held is that of a process that is gone.
            hidden.rename(self._folder / self._own)
        except OSError as error:
            raise SettingInvalid(f"{self._folder}: cannot be written ({error.strerror}); set MEDAI_HOME") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._mark.close()

    @implements("REQ-DEP-011")
    def gone(self) -> frozenset[str]:
        """The ids of the processes that left a mark and are gone. Nothing that they began is under way any more."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:  # nothing is known, and nothing is lost: windows have their grace
            return frozenset()
        seen = (name for name in names if not name.startswith(".") and name != self._own)
        return frozenset(name for name in seen if not self._is_held(name))

    def forget(self, process_ids: Iterable[str]) -> None:
        """What these left is looked after: their marks go."""
        for process_id in process_ids:
            with contextlib.suppress(OSError):  # it is asked again next time
                (self._folder / process_id).unlink(missing_ok=True)

    @implements("REQ-DEP-011")
    def _is_held(self, name: str) -> bool:
        try:
            with (self._folder / name).open("rb") as mark:
                # Shared: two that ask at the same moment do not take each other for the owner.
                fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held, or forgotten a moment ago
            return True
        return False
