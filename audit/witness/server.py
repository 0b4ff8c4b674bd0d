"""HTTP/1.1 for few and small requests, with a limit on everything that a stranger can make us keep or wait for.

httptools parses; here are the limits that it does not have: connections, at once and for each address, bytes of a
head and of a body, time for a request and between two, and requests at work. Requests are taken one after the
other (no pipelining), with a Content-Length (no chunked bodies). TLS is for what stands in front.
"""

import asyncio
import contextlib
import ipaddress
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import httptools

from audit.witness.answers import Answer, Asked, refused
from audit.witness.settings import WitnessSettings
from traceability.marks import implements

_FED_BYTES: Final = 512  # at a time while the head is not whole: how far it can go beyond its limit


@implements("REQ-WIT-005")
class Server:
    """Listens, and hands each whole request to `answer`, in a thread."""

    def __init__(self, answer: Callable[[Asked], Answer], settings: WitnessSettings) -> None:
        self.settings: Final = settings
        self._answer: Final = answer
        self._pool: Final = ThreadPoolExecutor(settings.max_at_work, thread_name_prefix="witness")
        self._connections: set[Connection] = set()
        self._peers: Counter[str] = Counter()
        self._listening: asyncio.Server | None = None
        self._empty = asyncio.Event()

    async def listen(self, host: str) -> int:
        """The port that is listened on. Raises OSError where it is taken."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: Connection(self), host, self.settings.port, backlog=128)
        return int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """No new connections; requests that came whole are answered, all others end."""
        if self._listening is not None:
            self._listening.close()
        for connection in tuple(self._connections):
            connection.end()
        if self._connections:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):  # a connection that outlasts its own deadline ends with us
                await asyncio.wait_for(self._empty.wait(), self.settings.request_deadline_ms / 1000)
        self._pool.shutdown()

    def admits(self, connection: "Connection", peer: str) -> bool:
        """Whether there is a place for one more; taken where there is."""
        if len(self._connections) >= self.settings.max_connections:
            return False
        if self._peers[peer] >= self.settings.max_connections_per_peer:
            return False
        self._connections.add(connection)
        self._peers[peer] += 1
        return True

    def left(self, connection: "Connection", peer: str) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
            if not self._connections:
                self._empty.set()

    async def answer(self, asked: Asked) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, asked)


@implements("REQ-WIT-005")
class Connection(asyncio.Protocol):
    """One connection: reading a request, answering it, or waiting for the next."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settings = server.settings
        self._transport: asyncio.Transport
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None
        self._answering: asyncio.Task[None] | None = None
        self._ending = False
        self._begin()

    def _begin(self) -> None:
        """Nothing of the next request has come."""
        self._parser = httptools.HttpRequestParser(self)
        self._method = b""
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._head_bytes = 0
        self._head_whole = False
        self._whole = False
        self._keep = False
        self._refusal: Answer | None = None

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = _peer(transport.get_extra_info("peername"))
        if not self._server.admits(self, self._peer):
            self._write(refused(503, "too many connections", ("Retry-After", "1")))
            self._close()
            return
        self._wait(self._settings.request_deadline_ms)

    def data_received(self, data: bytes) -> None:
        if self._ending or self._whole:
            self._keep = False  # what comes before the answer has left is pipelined: it is not read
            return
        if not self._head_bytes and not self._head_whole:
            self._wait(self._settings.request_deadline_ms)
        try:
            whole = self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(refused(400, "not a well-formed HTTP/1.1 request"))
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif whole:
            self._stop_waiting()
            self._transport.pause_reading()
            self._answering = asyncio.get_running_loop().create_task(self._take(self._asked()))

    def connection_lost(self, error: Exception | None) -> None:
        self._ending = True
        self._stop_waiting()
        self._server.left(self, self._peer)

    def end(self) -> None:
        """The server closes: a request that came whole is still answered."""
        self._ending = True
        if self._answering is None:
            self._close()

    # -- what httptools calls

    def on_url(self, url: bytes) -> None:
        if not self._whole:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._whole:
            return
        self._head_whole = True
        self._method = self._parser.get_method()
        length = self._headers.get(b"content-length", b"0")
        if b"transfer-encoding" in self._headers:
            self._refusal = refused(411, "a body has to have a Content-Length")
        elif not length.isdigit() or len(length) > 18 or int(length) > self._settings.max_body_bytes:
            self._refusal = refused(413, f"a body has at most {self._settings.max_body_bytes} bytes")
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        if self._refusal is None and not self._whole:
            self._body += part

    def on_message_begin(self) -> None:
        if self._whole:
            self._keep = False  # a second request in the same bytes: it is not read

    def on_message_complete(self) -> None:
        if not self._whole:
            self._whole, self._keep = True, self._parser.should_keep_alive()

    # -- the rest

    def _feed(self, data: bytes) -> bool:
        """Whether the request is whole now. In small parts at first: httptools keeps a head, however long it is."""
        at = 0
        while at < len(data) and not self._whole and self._refusal is None:
            part = data[at:] if self._head_whole else data[at : at + _FED_BYTES]
            if not self._head_whole:
                self._head_bytes += len(part)
            self._parser.feed_data(part)
            at += len(part)
            # The last part may hold some of the body, so what is too long is too long by more than a part.
            if self._head_bytes > self._settings.max_head_bytes + _FED_BYTES:
                self._refusal = refused(431, f"a request's head has at most {self._settings.max_head_bytes} bytes")
        return self._whole

    def _asked(self) -> Asked:
        return Asked(
            method=self._method.decode("ascii"),
            target=self._target.decode("ascii", "replace"),
            body=bytes(self._body),
            peer=self._peer,
        )

    async def _take(self, asked: Asked) -> None:
        try:
            answer = await self._server.answer(asked)
        except Exception:  # whatever it is, the client is told, and the server goes on; the loop's handler prints it
            self._write(refused(500, "the witness failed"))
            self._close()
            raise
        keep = self._keep and not self._ending
        self._write(answer, "keep-alive" if keep else "close")
        self._answering = None
        if not keep or self._transport.get_write_buffer_size():  # who does not read what is answered is not kept
            self._close()
            return
        self._begin()
        self._wait(self._settings.idle_ms)
        self._transport.resume_reading()

    def _refuse(self, answer: Answer) -> None:
        """Told before all of it was read. What still comes is thrown away, or the answer would be lost with it."""
        self._ending = True
        self._write(answer)
        self._wait(self._settings.request_deadline_ms)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _write(self, answer: Answer, connection: str = "close") -> None:
        head = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Content-Type: {answer.media_type}",
            f"Content-Length: {len(answer.body)}",
            "X-Content-Type-Options: nosniff",
            f"Connection: {connection}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        self._transport.write("\r\n".join([*head, "", ""]).encode("ascii") + answer.body)

    def _close(self) -> None:
        """What was written still goes out, for as long as a request may take; then the connection is cut."""
        self._ending = True
        self._wait(self._settings.request_deadline_ms)
        self._transport.close()

    def _wait(self, wait_ms: int) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        """Too slow: told so where part of a request had come, and cut where not even that is taken."""
        if self._ending or not self._head_bytes:
            self._transport.abort()
        else:
            self._refuse(refused(408, "the request did not come whole in time"))


def _peer(peername: tuple[str, int] | None) -> str:
    """Whom limits are for: an address, or of IPv6 the network of 2^64 addresses that one customer has (RFC 6177)."""
    if peername is None:
        return ""
    address = ipaddress.ip_address(peername[0].partition("%")[0])
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
