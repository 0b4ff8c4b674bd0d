"""A worker process: both listening sockets, one event loop, one service.

    python -m service.worker PUBLIC_FD INTERNAL_FD STATUS_FD LIFE_FD

The supervisor passes the sockets, a pipe to say "ready" on, and a pipe that ends when the supervisor does.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import uvicorn
import uvloop

from audit.errors import AuditError
from service import app
from service import settings as service_settings
from service.adapters import certificate, telemetry
from service.errors import ServiceError, SettingInvalid
from service.http import connection, handshake
from service.settings import Settings

EXIT_USAGE: Final = 2
EXIT_ORPHANED: Final = 70
_OTHER_FILES: Final = 100
"""Files besides connections: sockets of the database and the decoders, anchors, tokens, models, libraries."""


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM. Exit code 2 and a sentence on standard error where it cannot begin."""
    public, internal, status, life = (int(argument) for argument in arguments)
    _end_with(life)
    # The terminal sends Ctrl-C to every process of the group; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = service_settings.read(os.environ)
        _allow_files(settings.max_connections)
        telemetry.configure(settings.log_level, alike_per_minute=settings.log_alike_per_minute)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, socket.socket(fileno=public), socket.socket(fileno=internal), status))
    except (AuditError, ServiceError) as error:
        sys.stderr.write(f"medai: {error.code}: {error}\n")
        return EXIT_USAGE
    return 0


async def _serve(settings: Settings, public: socket.socket, internal: socket.socket, status: int) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    metrics = telemetry.Telemetry()
    shown = certificate.of(settings.tls_certificate_file, settings.tls_key_file)
    running = await app.start(settings, os.environ, metrics)
    refused, turned_away = (partial(metrics.unrecorded, reason) for reason in ("malformed_http", "no_room"))
    # Each its own: whoever fills the public port does not keep the probes out.
    of_outer, of_inner = (connection.bounded(app.policy_of(settings), refused, turned_away) for _ in range(2))
    outer = _server(running.public, settings, of_outer if shown is None else handshake.secured(of_outer, shown.context))
    # The internal port has no TLS: who may reach it is the network's matter, and probes know no certificate.
    inner = _server(running.internal, settings, of_inner)
    serving = [
        asyncio.create_task(outer.serve(sockets=[public])),
        asyncio.create_task(inner.serve(sockets=[internal])),
    ]
    renewing = asyncio.create_task(certificate.renewing(shown, metrics.said)) if shown else None
    await outer.listening.wait()
    await inner.listening.wait()
    os.write(status, b"ready\n")
    os.close(status)
    await told.wait()
    # In this order: load balancers see "not ready", the port closes, what is under way ends, the end is recorded.
    running.leave_rotation()
    await asyncio.sleep(settings.drain_delay_ms / 1000)
    running.refuse()
    outer.should_exit = True
    await serving[0]
    await running.stop()
    inner.should_exit = True
    await serving[1]
    if renewing is not None:
        renewing.cancel()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: there are two in one loop, and the supervisor decides."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(application: Any, settings: Settings, kind: type[asyncio.Protocol]) -> _Server:
    return _Server(
        uvicorn.Config(
            application,
            interface="asgi3",
            http=kind,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # a path may hold what nobody may read
            server_header=False,
            proxy_headers=False,  # peers are judged by `service.http.peers`
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.drain_timeout_s,
        )
    )


def _allow_files(connections: int) -> None:
    """As many files may be open as both ports may have connections. Raises `SettingInvalid` where that cannot be: a
    process that has no more files to give can take no connection, and write no record, of anybody."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SettingInvalid(
            f"MEDAI_MAX_CONNECTIONS: {connections} need {wanted} open files, but this process may have {hard} "
            "(ulimit -n): allow more, or set it lower"
        )
    if soft != resource.RLIM_INFINITY and soft < 2 * wanted:
        most = 2 * wanted if hard == resource.RLIM_INFINITY else min(hard, 2 * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _end_with(life: int) -> None:
    """This process ends when nobody holds the other end of `life`: also after a kill -9 of the supervisor.

    At once, not in order: the next supervisor needs the port, and an unfinished request is on record or was not
    answered. A thread of its own, so that it works while the event loop is busy.
    """

    def watch() -> None:
        while os.read(life, 1):
            continue
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
