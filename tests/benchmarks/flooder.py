"""A flood: as many requests of strangers as a process can send, from one address or from many.

python -m tests.benchmarks.flooder    orders on standard input, see `_flood`
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from typing import cast

import uvloop

from tests.benchmarks.crew import say

REQUEST = b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
NICE = 19
"""The flood is to cost the service, and not the cores that it is measured on."""


class _Stranger(asyncio.Protocol):
    """One connection that asks again as soon as it was answered."""

    def __init__(self, statuses: Counter[str]) -> None:
        self._statuses = statuses
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if end and len(rest) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]):
            self._statuses[head[9:12].decode("latin-1")] += 1
            self._buffer = b""
            self.transport.write(REQUEST)

    def connection_lost(self, error: Exception | None) -> None:
        self._statuses["closed"] += 1


async def _flood(*, port: int, seconds: float, connections: int, addresses: int, leaves: bool) -> dict[str, float]:
    """What came of it, a second. `leaves`: each connection asks once and is gone before it is answered."""
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    if leaves:
        await asyncio.gather(*(_leaving(port, number, addresses, end, statuses) for number in range(connections)))
    else:
        made = []
        for number in range(connections):
            source = (_address(number, addresses), 0)
            opened = await loop.create_connection(lambda: _Stranger(statuses), "127.0.0.1", port, local_addr=source)
            made.append(opened[0])
        await asyncio.sleep(max(0.0, end - loop.time()))
        answered = dict(statuses)
        for transport in made:
            transport.abort()
        statuses = Counter(answered)
    return {status: count / seconds for status, count in statuses.items()}


async def _leaving(port: int, number: int, addresses: int, end: float, statuses: Counter[str]) -> None:
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(OSError):
            source = (_address(number, addresses), 0)
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
            writer.write(REQUEST)
            writer.transport.abort()
            statuses["left"] += 1
        number += 1
        await asyncio.sleep(0)


def _address(number: int, addresses: int) -> str:
    """One of so many addresses of this machine, none of them 127.0.0.1."""
    number = number % addresses + 256
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


async def _main() -> None:
    os.nice(NICE)
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await _flood(**json.loads(line)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
