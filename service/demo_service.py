"""The service that the demonstration speaks to: the real one, started as a user would start it.

Only the standard library: what the demonstration shows has to hold for any client.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct

START_LIMIT_S: Final = 120  # the first start makes a database cluster; a machine under load takes its time
STOP_LIMIT_S: Final = 30
HOST: Final = "127.0.0.1"


class DemonstrationFailed(Exception):
    """Something is not as it has to be; the message says what, and where to look."""


class Response(Struct, frozen=True, kw_only=True):
    status: int
    headers: dict[str, str]
    body: bytes
    elapsed_ms: int


class Service(Struct, frozen=True, kw_only=True):
    """Where a running service listens, and the token to speak to it with."""

    port: int
    internal_port: int
    token: str

    def send(self, method: str, target: str, *, body: bytes = b"", media_type: str | None = None) -> Response:
        """One request over a connection of its own. Raises `DemonstrationFailed` where no answer comes."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if media_type is not None:
            headers["Content-Type"] = media_type
        began = time.monotonic()
        try:
            status, answered, answer = _exchange(self.port, method, target, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DemonstrationFailed(f"{method} {target}: no answer from the service ({error})") from error
        return Response(
            status=status, headers=answered, body=answer, elapsed_ms=round((time.monotonic() - began) * 1000)
        )


def medai(
    home: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.CompletedProcess[str]":
    """Run the command line of this very installation with its state under `home`."""
    return subprocess.run(  # nosec B603  # our own interpreter and our own words
        [sys.executable, "-m", "service", *arguments],
        env={**_environment(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def running(home: Path, port: int, internal_port: int) -> Service | None:
    """The service that already answers on these ports, where it is the one of this home: it has the same log."""
    key = medai(home, "audit", "key")
    try:
        status, _, body = _exchange(port, "GET", "/version", b"", {})
        if status != http.client.OK or json.loads(body)["ledger"]["verifier_key"] != key.stdout.strip():
            return None
        return Service(port=port, internal_port=internal_port, token=_token(home))
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None


@contextlib.contextmanager
def serving(home: Path, log: Path) -> Iterator[Service]:
    """A ready service on free loopback ports; it is ended, with what it started, when the block is left."""
    port, internal_port = _free_ports()
    ports = ("--port", str(port), "--internal-port", str(internal_port))
    with log.open("wb") as output:
        process = subprocess.Popen(  # nosec B603  # our own interpreter and our own words
            [sys.executable, "-m", "service", "serve", "--host", HOST, *ports],
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, internal_port, log)
        yield Service(port=port, internal_port=internal_port, token=_token(home))
    finally:
        _end(process)


def _token(home: Path) -> str:
    return (home / "tokens" / "infer").read_text(encoding="ascii").strip()


def _environment(home: Path) -> dict[str, str]:
    """Ours, but for a database of one's own: the demonstration alters copies, so it stays with the embedded one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_DATABASE_")}
    return {**kept, "MEDAI_HOME": str(home)}


def _wait_until_ready(process: "subprocess.Popen[bytes]", internal_port: int, log: Path) -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            last = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
            raise DemonstrationFailed(f"the service ended with {process.returncode} before it was ready:\n{last}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _exchange(internal_port, "GET", "/readyz", b"", {})[0] == http.client.OK:
                return
        time.sleep(0.1)
    raise DemonstrationFailed(f"the service was not ready within {START_LIMIT_S} s; its log is {log}")


def _exchange(
    port: int, method: str, target: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request(method, target, body=body or None, headers=headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def _free_ports() -> tuple[int, int]:
    """Two ports nobody listens on now; another process may still take one before the service does, which then
    says so and does not start."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
