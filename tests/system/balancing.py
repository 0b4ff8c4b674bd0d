"""A proxy in front of several services, as small as one can be: whoever says it is ready gets the next request.

HTTP/1.1 with lengths, on connections that are kept in both directions, as the proxies in front of a cluster do. It
retries nothing: what a service cuts is cut for the client as well, and counted.
"""

import asyncio
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.system.running import HOST, Client, Server

LOOK_S = 0.05
"""How often each service is asked whether it is ready. A service drains for longer than this."""
_HEAD_LIMIT = 1 << 16
_ANSWER_LIMIT_S = 60.0
_NOBODY_READY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_CUT = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class Balancer:
    """Runs in a thread of its own, on an event loop of its own."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = tuple(servers)
        self._turn = itertools.count()
        self._is_up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.ready: tuple[Server, ...] = ()
        self.port = 0
        self.sent: Counter[int] = Counter()
        """Requests to each service, by its port."""
        self.cut = 0
        """Requests that a service took and did not answer, or would not take although it said that it was ready."""
        self.unserved = 0
        """Requests that came while nobody was ready."""
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(_ANSWER_LIMIT_S)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    def client(self, scope: str | None = "infer") -> Client:
        """As `Server.client`; the services have their tokens in common."""
        return Client(self.port, self._servers[0].token(scope) if scope is not None else None)

    async def _run(self) -> None:
        self._end = asyncio.Event()
        listener = await asyncio.start_server(self._serve, HOST, 0, limit=_HEAD_LIMIT)
        self.port = int(listener.sockets[0].getsockname()[1])
        looking = asyncio.create_task(self._look())
        await self._end.wait()
        listener.close()
        for task in (looking, *self._tasks):
            task.cancel()
        await asyncio.gather(looking, *self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            answers = await asyncio.gather(*(self._is_ready(server) for server in self._servers))
            self.ready = tuple(server for server, is_ready in zip(self._servers, answers, strict=True) if is_ready)
            if self.ready:
                self._is_up.set()
            await asyncio.sleep(LOOK_S)

    async def _is_ready(self, server: Server) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S):
                reader, writer = await asyncio.open_connection(HOST, server.internal_port)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in line

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        kept: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        try:
            while (request := await _message(reader)) is not None:
                writer.write(await self._answer(request, kept))
                await writer.drain()
        except OSError:
            pass  # the client is gone
        finally:
            for _, upstream in (*kept.values(), (reader, writer)):
                upstream.close()
            self._tasks.discard(task)

    async def _answer(
        self, request: bytes, kept: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    ) -> bytes:
        ready = self.ready
        if not ready:
            self.unserved += 1
            return _NOBODY_READY
        port = ready[next(self._turn) % len(ready)].port
        for old in [one for one in kept if one not in {server.port for server in ready}]:
            kept.pop(old)[1].close()
        self.sent[port] += 1
        try:
            if port not in kept:
                kept[port] = await asyncio.open_connection(HOST, port, limit=_HEAD_LIMIT)
            upstream, onward = kept[port]
            onward.write(request)
            answer = await _message(upstream)
        except OSError:
            answer = None
        if answer is None:
            self.cut += 1
            kept.pop(port, None)
            return _CUT
        if b"\r\nconnection: close\r\n" in answer.partition(b"\r\n\r\n")[0].lower() + b"\r\n":
            kept.pop(port)[1].close()
        return answer


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """A request or an answer with its body; None where the other side closed instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        return head + await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


@contextlib.contextmanager
def balancing(servers: Sequence[Server]) -> Iterator[Balancer]:
    """A proxy before `servers`, of which one is ready, while the block runs."""
    balancer = Balancer(servers)
    balancer.start()
    try:
        yield balancer
    finally:
        balancer.end()
