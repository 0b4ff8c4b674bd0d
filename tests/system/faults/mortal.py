"""A process that appends and may be killed at any moment: `Mortals` makes one for each order.

    python -m tests.system.faults.mortal FOLDER

This process only forks: it has imported everything, so that one which lives for a tenth of a second does not take a
second to begin. Orders come on standard input, a JSON line each; what the child was given leaves it at once.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from audit.ports import Proven
from tests.system.faults import log as logs
from tests.system.faults.log import Divided, Log


class Mortals:
    """Makes them, one at a time, for the log in `folder`. `next_said` waits for what one says."""

    def __init__(self, process: "asyncio.subprocess.Process") -> None:
        self._process = process

    async def begin(self, *, wire_url: str, writer_url: str, reader_url: str, count: int) -> int:
        """A new one appends `count` records over `wire_url`, all else it does elsewhere: its process id."""
        order = {"wire_url": wire_url, "writer_url": writer_url, "reader_url": reader_url, "count": count}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return int((await self._said())["pid"])

    async def last_words(self) -> tuple[list[Proven], int]:
        """The receipts that it was given while it lived, and the signal that ended it (0: none)."""
        given = []
        while "ended" not in (said := await self._said()):
            given.append(Proven(index=said["index"], leaf_hash=bytes.fromhex(said["leaf"]), proof=said["proof"]))
        return given, int(said["ended"])

    async def _said(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        assert line, "the process that makes them has ended"
        return json.loads(line)

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 30)


async def mortals(folder: Path) -> Mortals:
    """Call `end` when no more are wanted."""
    return Mortals(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    )


def main(folder: Path) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        let_go, hold = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hold)
            os.read(let_go, 1)  # until its number was said: what it says comes after
            asyncio.run(_live(folder, **order))
            os._exit(0)
        os.close(let_go)
        _say(pid=pid)
        os.close(hold)
        _, status = os.waitpid(pid, 0)
        _say(ended=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


async def _live(folder: Path, *, wire_url: str, writer_url: str, reader_url: str, count: int) -> None:
    log = Log(folder, reader_url)
    store = Divided(appends=logs.store(wire_url), others=writer_url)
    ledger = log.ledger(store)
    await ledger.start()
    for proven in await asyncio.gather(*(ledger.append(logs.entry()) for _ in range(count))):
        _say(index=proven.index, leaf=proven.leaf_hash.hex(), proof=proven.proof)
    await ledger.close()
    await store.close()
    await log.close()


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
