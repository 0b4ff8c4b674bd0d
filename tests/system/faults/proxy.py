"""A stretch of wire between a client and PostgreSQL, on which every message can be stopped.

Listens on a unix socket in a folder of its own, so that a connection string needs only another `host`. It runs in
whatever event loop enters it, beside the client in a test of the ledger, in a thread beside a whole service.
"""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from tests.system.faults.wire import Conversation, Message, Side

SOCKET = ".s.PGSQL.5432"
CHUNK = 65_536

Fate = Literal["pass", "drop before", "drop within", "drop after"]
"""What becomes of a message: passed on; or the connection ends before it, in its middle, or behind it."""


class Passage(Struct, frozen=True, kw_only=True):
    """One message on its way: `nth` counts those of its side and name on this connection, from 1."""

    connection: "Connection"
    message: Message
    nth: int

    @property
    def at(self) -> tuple[Side, str, int]:
        return self.message.side, self.message.name, self.nth


Judge = Callable[[Passage], Awaitable[Fate]]


async def pass_all(passage: Passage) -> Fate:
    """A wire without faults."""
    return "pass"


class Proxy:
    """`judge` is asked about every message of every connection, one after the other."""

    def __init__(self, behind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="medai-wire-"))
        self.behind = behind
        """The folder of the server's socket; a new one is where the next connection goes."""
        self.judge: Judge = pass_all
        self.connections: list[Connection] = []

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_unix_server(self._serve, self.folder / SOCKET)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*(one.ended.wait() for one in self.connections))
        shutil.rmtree(self.folder)

    def cut(self) -> None:
        """Every connection ends now."""
        for connection in self.connections:
            connection.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, writer)
        self.connections.append(connection)
        await connection.carry(reader, f"{self.behind}/{SOCKET}")


class Connection:
    """One client's, and the one to the server that was made for it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._conversation = Conversation()
        self._turn = asyncio.Lock()
        self._is_cut = False
        self.seen: list[Message] = []
        self.counts: dict[tuple[Side, str], int] = {}
        self.backend_pid: int | None = None
        self.ended = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, behind: str) -> None:
        """Until one side ends, or somebody cuts it."""
        try:
            with contextlib.suppress(OSError):
                server_reader, self._server = await asyncio.open_unix_connection(behind)
                ways = [
                    asyncio.create_task(self._pass_on("client", reader, self._server)),
                    asyncio.create_task(self._pass_on("server", server_reader, self._client)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                self.cut()
                await asyncio.wait(ways)
        finally:
            self.cut()
            self.ended.set()

    def cut(self) -> None:
        """Both sides see the connection end; what was passed on before still arrives."""
        self._is_cut = True
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()

    async def _pass_on(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(CHUNK):
                for message in self._conversation.feed(side, content):
                    async with self._turn:
                        if self._is_cut or not await self._judged(message, writer):
                            return

    async def _judged(self, message: Message, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on behind this message."""
        self.seen.append(message)
        key = message.side, message.name
        self.counts[key] = self.counts.get(key, 0) + 1
        if message.name == "BackendKeyData":
            self.backend_pid = message.backend_pid
        fate = await self._proxy.judge(Passage(connection=self, message=message, nth=self.counts[key]))
        if fate == "drop within":
            writer.write(message.content[: len(message.content) // 2])
        elif fate != "drop before":
            writer.write(message.content)
        if fate == "pass":
            return True
        self.cut()
        return False


@contextlib.contextmanager
def beside(behind: str) -> Iterator[Proxy]:
    """A proxy in a thread of its own, for clients in other processes. Set `judge` and `behind` from anywhere."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    proxy = Proxy(behind)
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(10)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
