"""What is answered to which request, without the connection: routes, status codes and their plain words."""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from audit import submission
from audit.errors import (
    AuditError,
    ConsistencyInvalid,
    LogUnknown,
    Malformed,
    SignatureInvalid,
    SignatureMissing,
    SizeConflict,
    WitnessBusy,
    WitnessUnavailable,
)
from audit.submission import AddCheckpoint
from audit.witness.judgement import Submitted
from audit.witness.rates import Rates
from audit.witness.witness import Witness
from traceability.marks import implements

TEXT: Final = "text/plain; charset=utf-8"
TEXT_SIZE: Final = "text/x.tlog.size"  # C2SP tlog-witness, "add-checkpoint"
_LATER: Final = ("Retry-After", "1")

# C2SP tlog-witness, "add-checkpoint"; what is not of the specification is HTTP's own (RFC 9110, RFC 6585).
_STATUS: Final[dict[type[AuditError], int]] = {
    Malformed: 400,
    SignatureMissing: 403,
    SignatureInvalid: 403,
    LogUnknown: 404,
    ConsistencyInvalid: 422,
    WitnessBusy: 429,
    WitnessUnavailable: 503,
}

_checkpoint_path = re.compile("/([0-9a-f]{64})/checkpoint").fullmatch


class Asked(Struct, frozen=True, kw_only=True):
    """A request that came whole. `peer` is the address that sent it."""

    method: str
    target: str
    body: bytes
    peer: str


class Answer(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    media_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


Report = Callable[[str, int, int, int], None]
"""Told origin, old size, size and status of checkpoints that a known log did sign."""


@implements("REQ-WIT-003")
class Answers:
    """Answers every request; any thread may ask. What is thrown by the world is an answer, too."""

    def __init__(self, witness: Witness, peers: Rates, told: Rates, report: Report, *, max_proof_hashes: int) -> None:
        """`peers` says how often an address may ask, `told` how often a log is reported on: strangers can repeat it."""
        self._witness: Final = witness
        self._peers: Final = peers
        self._told: Final = told
        self._report: Final = report
        self._max_proof_hashes: Final = max_proof_hashes

    def answer(self, asked: Asked) -> Answer:
        path = asked.target.partition("?")[0]
        if path == "/health":
            return self._of("GET", asked, self._health)
        if not self._peers.admits(asked.peer):
            return refused(429, "too many requests of this address", _LATER)
        if path == "/add-checkpoint":
            return self._of("POST", asked, self._add_checkpoint)
        found = _checkpoint_path(path)
        if found is not None:
            return self._of("GET", asked, lambda _: self._checkpoint(found[1]))
        return refused(404, "no such path: POST /add-checkpoint, GET /HASH/checkpoint or GET /health")

    def _of(self, method: str, asked: Asked, answer: Callable[[bytes], Answer]) -> Answer:
        if asked.method != method:
            return refused(405, f"this path takes {method}", ("Allow", method))
        try:
            return answer(asked.body)
        except SizeConflict as error:
            return Answer(status=409, body=b"%d\n" % error.size, media_type=TEXT_SIZE)
        except AuditError as error:
            status = _status(error)
            return refused(status, str(error), *([_LATER] if status in (429, 503) else []))
        except OSError as error:
            return refused(503, f"the state cannot be reached ({error.strerror})")

    def _add_checkpoint(self, body: bytes) -> Answer:
        request = submission.parse(body, self._max_proof_hashes)
        submitted = self._witness.submitted(request)
        try:
            lines = self._witness.cosign(request, submitted)
        except AuditError as error:
            self._tell(request, submitted, _status(error))
            raise
        self._tell(request, submitted, 200)
        return Answer(status=200, body=lines.encode("utf-8"))

    def _tell(self, request: AddCheckpoint, submitted: Submitted, status: int) -> None:
        origin = submitted.checkpoint.origin
        if self._told.admits(origin):
            self._report(origin, request.old_size, submitted.checkpoint.size, status)

    def _checkpoint(self, log: str) -> Answer:
        signed = self._witness.latest(log)
        if signed is None:
            return refused(404, "nothing was cosigned for a log whose origin has this SHA-256")
        return Answer(status=200, body=signed)

    def _health(self, _: bytes) -> Answer:
        if not self._witness.sound:
            return refused(503, "the disk did not take what was to be persisted; look at it and restart")
        return Answer(status=200, body=b"ok\n")


@implements("REQ-WIT-003")
def refused(status: int, words: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status=status, body=f"{words}\n".encode("utf-8", "backslashreplace"), headers=headers)


def _status(error: AuditError) -> int:
    if isinstance(error, SizeConflict):
        return 409
    # What is not in the table is ours to answer for: a state that was altered, an algorithm that is missing.
    return _STATUS.get(type(error), 500)
