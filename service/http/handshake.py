"""TLS on a port that is bounded from before the handshake.

A server that is given a certificate by asyncio hears of a connection when its handshake is over: whoever never ends one
would take a place that nobody counts. So a connection enters the doors when it comes, has the time of a head to shake
hands, and is only then one of HTTP, under the place that it has already.

The handshake is the standard library's own, put over the transport at once: `loop.start_tls` would begin only after
uvloop has read the first bytes for nobody.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any, ClassVar, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from service.http.connection import Bounded
from traceability.marks import implements

_GOODBYE_S: Final = 2.0
"""A peer that does not answer our last message keeps its place no longer."""


def secured(kind: type[Bounded], context: ssl.SSLContext) -> "type[_Handshake]":
    """The class of the connections of a socket that `kind` would serve without TLS, for `uvicorn.Config(http=...)`."""

    class Connection(_Handshake):
        pass

    Connection.kind, Connection.context = kind, context
    return Connection


@implements("REQ-SEC-048")
class _Handshake(asyncio.Protocol):
    kind: ClassVar[type[Bounded]]
    context: ClassVar[ssl.SSLContext]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._made = (config, server_state, app_state)
        self._loop = _loop or asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast("asyncio.Transport", transport)
        kind, name = self.kind, self.kind.entered(plain)
        if name is None:
            plain.abort()
            return
        config, server_state, app_state = self._made
        http = kind(config=config, server_state=server_state, app_state=app_state, _loop=self._loop)
        http.take_place(name)

        def ended(waiter: "asyncio.Future[Any]") -> None:
            """The handshake is over, or the connection. A place that HTTP did not take over is given back."""
            failed = waiter.cancelled() or waiter.exception() is not None
            if failed or not http.is_made:
                kind.refused()
                kind.doors.leave(name)

        waiter: asyncio.Future[Any] = self._loop.create_future()
        waiter.add_done_callback(ended)
        tls = SSLProtocol(
            self._loop,
            http,
            self.context,
            waiter,
            server_side=True,
            ssl_handshake_timeout=kind.policy.head_timeout_ms / 1000,  # type: ignore[arg-type]  # it takes any number
            ssl_shutdown_timeout=_GOODBYE_S,
        )
        plain.set_protocol(tls)
        tls.connection_made(plain)
