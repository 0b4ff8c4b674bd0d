"""Asking a witness for its cosignature over HTTP (C2SP tlog-witness, "add-checkpoint"), within strict bounds.

A witness is a stranger's server: it may be slow, down or lying. Every answer is bounded in bytes, every wait in time,
redirects are not followed, and nothing is believed but a cosignature that verifies under a key that our policy names.
The connection is kept between requests, as the specification asks.
"""

import contextlib
import hashlib
import http.client
import re
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from audit import cosignature, note, submission
from audit.checkpoint import MAX_SIZE
from audit.errors import AuditError, SettingInvalid, SignatureInvalid, WitnessFailed
from audit.note import Signature
from audit.receipt import Policy, Witness, shown
from audit.submission import AddCheckpoint
from traceability.marks import implements

MAX_ANSWER_BYTES: Final = 64 * 1024  # a few signature lines, of ML-DSA-44 some 3.4 KB each
SIZE_TYPE: Final = "text/x.tlog.size"
REASONS: Final = {
    HTTPStatus.BAD_REQUEST: "refused",
    HTTPStatus.FORBIDDEN: "key_unknown",
    HTTPStatus.NOT_FOUND: "log_unknown",
    HTTPStatus.UNPROCESSABLE_ENTITY: "inconsistent",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
}
"""What the specification's answers mean to us."""

_size_line = re.compile(b"(0|[1-9][0-9]{0,18})\n").fullmatch


class Conflict(Struct, frozen=True, kw_only=True):
    """The witness's latest checkpoint of our log has another size than we said."""

    size: int


class _Answer(Struct, frozen=True, kw_only=True):
    status: int
    kind: str
    body: bytes


@implements("REQ-PUB-009")
class WitnessClient:
    """One witness with one or several keys. One request at a time, on any thread; `abort` on another meanwhile."""

    def __init__(self, witnesses: Sequence[Witness], *, timeout_ms: int) -> None:
        """Requires the witnesses to share a URL. Raises `SettingInvalid` where that is none to send checkpoints to."""
        self.name: Final = ",".join(shown(witness.name) for witness in witnesses)
        url = _split(witnesses[0].url, self.name)
        self.keys: Final = {(witness.key.name, witness.key.key_hash): witness.key for witness in witnesses}
        self._url: Final = url
        self._prefix: Final = url.path.rstrip("/")
        self._timeout_s: Final = timeout_ms / 1000
        self._connection: http.client.HTTPConnection | None = None
        self._abandoned = False

    def add_checkpoint(self, old_size: int, proof: Sequence[bytes], signed: str) -> tuple[Signature, ...] | Conflict:
        """Its cosignatures over `signed`, verified, at least one; or the size that it has instead of `old_size`.

        `proof` leads from `old_size` to the checkpoint's size. Raises `WitnessFailed` for everything else.
        """
        request = AddCheckpoint(old_size=old_size, proof=tuple(proof), signed=signed)
        answer = self._answer("POST", "add-checkpoint", submission.format(request))
        if answer.status == HTTPStatus.OK:
            return self._verified(signed, answer.body)
        if answer.status == HTTPStatus.CONFLICT:
            return self._conflict(answer)
        reason = REASONS.get(HTTPStatus(answer.status)) if answer.status in set(HTTPStatus) else None
        raise self._failed(reason or "refused", f"it answers {answer.status}")

    def latest(self, origin: str) -> bytes | None:
        """The checkpoint of this log that it cosigned last (C2SP tlog-witness, "Monitor Retrieval Mechanism"), where it
        serves that at the address to which checkpoints are sent. Nothing in it is verified."""
        # The origin hash: SHA-256 of the log's origin, lowercase hex.
        answer = self._answer("GET", f"{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint", None)
        return answer.body if answer.status == HTTPStatus.OK else None

    def abort(self) -> None:
        """Let a request that is under way fail at once; nothing of it is kept."""
        self._abandoned = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back. A request that is under way fails, or is for nobody."""
        self._abandoned = True
        if self._connection is not None:
            self._drop(self._connection)

    def _answer(self, method: str, what: str, body: bytes | None) -> _Answer:
        self._abandoned = False
        try:
            return self._exchange(method, f"{self._prefix}/{what}", body)
        except TimeoutError as error:
            raise self._failed("timeout", "no answer in time") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed("unreachable", f"no answer ({type(error).__name__})") from error

    def _exchange(self, method: str, path: str, body: bytes | None) -> _Answer:
        """Ask on the kept connection; one that ended while it was idle is replaced once."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                return self._ask(self._connection, method, path, body)
            if self._abandoned:  # it was ended by us, and nobody waits for an answer
                raise ConnectionAbortedError
        self._connection = self._connect()
        return self._ask(self._connection, method, path, body)

    def _ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> _Answer:
        whole = False
        try:
            connection.request(method, path, body, {"Content-Type": "text/plain; charset=utf-8"} if body else {})
            response = connection.getresponse()
            read = response.read(MAX_ANSWER_BYTES + 1)
            if len(read) > MAX_ANSWER_BYTES:
                raise self._failed("malformed", f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            if response.length:
                raise http.client.IncompleteRead(read, response.length)
            answer = _Answer(status=response.status, kind=response.headers.get("Content-Type", ""), body=read)
            whole = response.isclosed()
        finally:
            if not whole or self._abandoned:
                self._drop(connection)
        return answer

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        if self._connection is connection:
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _conflict(self, answer: _Answer) -> Conflict:
        line = _size_line(answer.body)
        if answer.kind.partition(";")[0].strip().lower() != SIZE_TYPE or line is None or int(line[1]) > MAX_SIZE:
            raise self._failed("malformed", "a conflict that does not name a size")
        return Conflict(size=int(line[1]))

    def _verified(self, signed: str, body: bytes) -> tuple[Signature, ...]:
        """The lines of `body` by keys that we know; others are ignored, as the specification asks."""
        text = note.split(signed)[0]
        try:
            read, lines = note.split(text.encode() + b"\n" + body)
            found = {(line.name, line.key_id): line for line in lines if (line.name, line.key_id) in self.keys}
            for key, line in found.items():
                self.keys[key].verify(text.encode(), line.signature)
                if cosignature.time_of(line.signature) == cosignature.NO_TIME_S:
                    raise SignatureInvalid("a cosignature without its time")
        except SignatureInvalid as error:
            raise self._failed("cosignature_invalid", str(error)) from error
        except AuditError as error:
            raise self._failed("malformed", "an answer that is no signature lines") from error
        if read != text or not found:
            raise self._failed("cosignature_missing", "no cosignature by a key that the policy names")
        return tuple(found.values())

    def _failed(self, reason: str, why: str) -> WitnessFailed:
        return WitnessFailed(reason, f"witness {self.name}: {why}")


@implements("REQ-PUB-009")
def clients(policy: Policy, *, timeout_ms: int) -> tuple[WitnessClient, ...]:
    """A client for each URL that the policy names; witnesses that share one are keys of the same server.

    A witness's further keys bear its name, and need not repeat its URL. Raises `SettingInvalid` where a witness has
    none: nobody could be asked for its cosignature.
    """
    urls = {witness.key.name: witness.url for witness in policy.witnesses if witness.url is not None}
    by_url: dict[str | None, list[Witness]] = {}
    for witness in policy.witnesses:
        url = witness.url or urls.get(witness.key.name)
        by_url.setdefault(url, []).append(msgspec.structs.replace(witness, url=url))
    return tuple(WitnessClient(witnesses, timeout_ms=timeout_ms) for witnesses in by_url.values())


def _split(url: str | None, name: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url or "")
        plain = not parts.query and not parts.fragment and "@" not in parts.netloc and (url or "").isascii()
        host = (parts.hostname or "").encode("idna")  # a name that no resolver takes, as a socket would find out
        if parts.scheme in ("https", "http") and host and plain and (parts.port is None or parts.port > 0):
            return parts
    raise SettingInvalid(f"policy: witness {name}: expected its http or https URL after its key")
