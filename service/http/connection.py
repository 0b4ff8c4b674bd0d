"""uvicorn's HTTP/1.1 connection with the bounds that it lacks: on how many there are, on a head's bytes and its time.

httptools keeps a request line, a header or a trailer until it is whole, and uvicorn waits for it for ever: one
stranger could take all memory with one header, and hold connections with none. Both are refused here, before the
application: such a request is not on record, and counted as `malformed_http`.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.admission import Rates
from service.http.doors import Doors
from service.http.policy import Policy
from traceability.marks import implements


class HeadTooLarge(Exception):
    """httptools reports it to uvicorn as a request that is not well-formed: 400, and the connection ends."""


def bounded(
    policy: Policy, refused: Callable[[], None], turned_away: Callable[[], None] | None = None
) -> "type[Bounded]":
    """The class of the connections of one socket, for `uvicorn.Config(http=...)`. `refused` is called once for each
    malformed request, `turned_away` for each connection that there was no room for."""

    class Connection(Bounded):
        pass

    Connection.policy, Connection.refused = policy, staticmethod(refused)
    Connection.turned_away = staticmethod(turned_away or refused)
    Connection.doors = Doors(
        max_connections=policy.max_connections,
        share_percent=policy.caller_share_percent,
        ipv6_bits=policy.peer_ipv6_bits,
        trusted=policy.trusted_proxies,
        rates=Rates(per_s=policy.connections_per_s, burst=policy.connections_per_s, max_callers=policy.max_peers),
    )
    return Connection


@implements("REQ-SEC-015")
class Bounded(HttpToolsProtocol):
    """Such a connection; `bounded` makes the class of one socket's."""

    policy: ClassVar[Policy]
    doors: ClassVar[Doors]
    refused: "ClassVar[staticmethod[[], None]]"
    turned_away: "ClassVar[staticmethod[[], None]]"

    is_made = False
    """Whether there is a connection, behind its handshake where it has one."""
    _inside: str | None = None
    """The name that this connection entered under; None for one that was turned away, of which nothing is read."""

    _head_bytes = 0
    """Of this message: request line, header and trailer fields, as far as they are whole."""
    _waiting_bytes = 0
    """Came since something was whole, and is kept by the parser."""
    _head_timer: TimerHandle | None = None

    @classmethod
    def entered(cls, transport: Transport) -> str | None:
        """The name that the peer entered under; None where there is no room, which is counted."""
        address = transport.get_extra_info("peername")
        name = cls.doors.enter(address[0] if isinstance(address, tuple) else "unknown")
        if name is None:
            cls.turned_away()
        return name

    def take_place(self, name: str) -> None:
        """This connection has entered already."""
        self._inside = name

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        if self._inside is None:
            self._inside = self.entered(transport)
        if self._inside is None:
            transport.abort()
            return
        self.is_made = True
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inside is None:
            return
        self.doors.leave(self._inside)
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inside is None:
            return
        self._waiting_bytes += len(data)
        super().data_received(data)
        if self._waiting_bytes > self.policy.max_head_bytes and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def send_400_response(self, msg: str) -> None:
        self.refused()
        super().send_400_response(msg)

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_came()
        self._waiting_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._waiting_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._waiting_bytes = 0
        super().on_message_complete()

    # -- the bounds

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.policy.max_head_bytes:
            raise HeadTooLarge

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.policy.head_timeout_ms / 1000, self._late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        """Nothing is said: there is no request yet to answer. A pipelined one waits for the answer before it."""
        self._head_timer = None
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._await_head()
        else:
            self.transport.close()
