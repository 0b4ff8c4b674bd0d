"""The load generator: a process that keeps so many requests under way and counts the answers.

It costs little of the cores that it shares with the workers: prebuilt requests, and of each answer only the
status and the length are read.

    python -m tests.benchmarks.load    orders on standard input, see `_slice`
"""

import asyncio
import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import cast

import uvloop

from tests.benchmarks.crew import say

WARM_UP_S = 0.3
_HEAD_LIMIT = 4096


class _Client(asyncio.Protocol):
    """One connection: sends the request again as soon as its answer is whole."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = bytearray()
        self._wanted = -1
        self._sent = 0.0
        self.ends: list[float] = []
        self.seconds: list[float] = []
        self.failed = asyncio.get_running_loop().create_future()
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._sent = perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            if not head.startswith(b"http/1.1 200 "):
                self._fail(bytes(self._buffer[:_HEAD_LIMIT]).decode("latin-1"))
                return
            self._wanted = end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        if len(self._buffer) >= self._wanted:
            now = perf_counter()
            self.ends.append(now)
            self.seconds.append(now - self._sent)
            self._buffer.clear()
            self._wanted = -1
            self.answered.set()
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the connection was closed")

    def _fail(self, why: str) -> None:
        if not self.failed.done():
            self.failed.set_exception(RuntimeError(why))
            self.failed.exception()
        self.answered.set()


async def _slice(*, port: int, clients: int, seconds: float, request: str) -> dict[str, float]:
    """Requests a second, and the median latency, of `clients` connections over `seconds` after a warm-up.

    The connections are opened one after the other, each when the one before was answered: workers that share a
    socket would otherwise divide them as chance has it.
    """
    loop = asyncio.get_running_loop()
    content = await asyncio.to_thread(Path(request).read_bytes)
    all_clients = []
    for _ in range(clients):
        _, client = await loop.create_connection(lambda: _Client(content), "127.0.0.1", port)
        all_clients.append(client)
        await client.answered.wait()
    await asyncio.sleep(WARM_UP_S)
    start = perf_counter()
    await asyncio.sleep(seconds)
    end = perf_counter()
    for client in all_clients:
        if client.failed.done():
            client.failed.result()
        client.failed.cancel()
        client.transport.abort()
    counted = [
        took
        for client in all_clients
        for when, took in zip(client.ends, client.seconds, strict=True)
        if start <= when < end
    ]
    return {"per_s": len(counted) / (end - start), "median_ms": 1000 * median(counted)}


async def _main() -> None:
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await _slice(**json.loads(line)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
