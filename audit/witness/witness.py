"""The rule of a witness, whole: what is asked of it, what it checks, what it makes durable and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from audit import submission
from audit.checkpoint import Checkpoint
from audit.cosignature import Cosigner
from audit.errors import ConsistencyInvalid, LogUnknown, SizeConflict, WitnessBusy, WitnessUnavailable
from audit.witness import judgement
from audit.witness.folder import Cosigned, StateFolder
from audit.witness.judgement import Submitted
from audit.witness.logs import Log
from traceability.marks import implements


@implements("REQ-WIT-001")
class Witness:
    """Cosigns the checkpoints of the logs that it knows, each along one history. Any thread may call it."""

    def __init__(
        self,
        logs: Mapping[str, Log],
        cosigners: Sequence[Cosigner],
        state: StateFolder,
        now_s: Callable[[], int],
        admits: Callable[[str], bool],
        *,
        clock_tolerance_s: int,
        max_kept_conflicts: int,
        fresh_s: int,
    ) -> None:
        """Requires at least one cosigner, and the state to be theirs.

        `admits` says whether one more checkpoint of an origin may be persisted now.
        """
        assert cosigners
        self._logs: Final = logs
        self._cosigners: Final = tuple(cosigners)
        self._state: Final = state
        self._now_s: Final = now_s
        self._clock_tolerance_s: Final = clock_tolerance_s
        self._max_kept_conflicts: Final = max_kept_conflicts
        self._admits: Final = admits
        self._fresh_s: Final = fresh_s
        self._broken = False
        self._durable: dict[str, tuple[str, str, int]] = {}
        """By log: the text that this process persisted last, our lines over it, and their time."""

    @property
    def sound(self) -> bool:
        """Whether the disk has taken whatever was given to it so far. Once it has not, nothing is cosigned."""
        return not self._broken

    def submitted(self, request: submission.AddCheckpoint) -> Submitted:
        """The checkpoint of a log that is known, signed by it: what anybody could check, before the state is read.

        Raises `LogUnknown`, then `SignatureMissing` or `SignatureInvalid`, then `Malformed` where old > size.
        """
        log = self._logs.get(request.origin)
        if log is None:
            raise LogUnknown("witness: this origin is not one of the logs that are witnessed here")
        return judgement.opened(request, log.keys)

    def cosign(self, request: submission.AddCheckpoint, submitted: Submitted) -> str:
        """Our signature lines over the checkpoint, which is persisted as the latest one when this returns.

        C2SP tlog-witness, "add-checkpoint": between the comparison with what was cosigned last and the
        replacement of it nobody else may do the same, or an answer for fewer records could roll back one for more.
        Raises `SizeConflict` where the old size is not that of the checkpoint cosigned last, `ConsistencyInvalid`
        where the tree is no extension of it, `WitnessUnavailable` where nothing can be cosigned now, and
        `WitnessBusy` where it is too much of this log.
        """
        log = self._logs[submitted.checkpoint.origin].hash
        with self._state.locked(log):
            self._require_sound()
            latest = self._state.latest(log)
            size = 0 if latest is None else latest.checkpoint.size
            if request.old_size != size:
                raise SizeConflict(size)
            try:
                judgement.require_consistent(request, submitted.checkpoint, latest.checkpoint if latest else None)
            except ConsistencyInvalid:
                self._keep(log, request.signed, submitted.checkpoint, latest)
                raise
            return self._again(log, submitted.opened.text) or self._anew(log, submitted, self._time_s(latest))

    def add_checkpoint(self, body: bytes) -> str:
        """The answer to a request's body: the signature lines. Raises as `submission.parse` and the steps do."""
        request = submission.parse(body)
        return self.cosign(request, self.submitted(request))

    def latest(self, log: str) -> bytes | None:
        """The latest cosigned checkpoint of the log whose origin has this hash, with all signatures; for monitors."""
        return self._state.signed(log)

    def _again(self, log: str, text: str) -> str | None:
        """Our lines over the very checkpoint that was cosigned last, if that was just now.

        A checkpoint is public: sent again and again by a stranger, it must cost no write each time, nor take from
        what its log may send. Only what this process has made durable is answered again: what another one left, it
        may have left in its last moment, and unsynced.
        """
        known = self._durable.get(log)
        if known is None or known[0] != text or abs(self._now_s() - known[2]) >= self._fresh_s:
            return None
        return known[1]

    def _anew(self, log: str, submitted: Submitted, time_s: int) -> str:
        text = submitted.opened.text
        if not self._admits(submitted.checkpoint.origin):
            raise WitnessBusy("witness: this log sends too many checkpoints; try again later")
        ours = "".join(cosigner.cosign(text, time_s).line for cosigner in self._cosigners)
        theirs = "".join(signature.line for signature in submitted.opened.verified)
        self._persist(log, f"{text}\n{theirs}{ours}")
        self._durable[log] = (text, ours, time_s)
        return ours

    def _persist(self, log: str, signed: str) -> None:
        try:
            self._state.persist(log, signed)
        except OSError as error:
            # After a failed fsync() a second one may succeed without the bytes being there, so there is none.
            self._broken = True
            raise WitnessUnavailable(
                f"witness: the state could not be persisted ({error.strerror}); restart it"
            ) from error

    def _require_sound(self) -> None:
        if self._broken:
            raise WitnessUnavailable("witness: the state could not be persisted before; look at the disk and restart")

    def _time_s(self, latest: Cosigned | None) -> int:
        """Never earlier than the last cosignature: it said which tree was the largest at its time."""
        now = self._now_s()
        before = 0 if latest is None else latest.time_s
        if now < before - self._clock_tolerance_s:
            raise WitnessUnavailable("witness: the clock is behind the last cosignature by more than the tolerance")
        return max(now, before)

    def _keep(self, log: str, signed: str, submitted: Checkpoint, latest: Cosigned | None) -> None:
        """What a log signed and should not have, as far as can be told: its proof may be what is wrong.

        Two roots of one size are certain, so they are counted apart: nobody but the log can make that up.
        """
        forked = latest is not None and submitted.size == latest.checkpoint.size
        kind = "forked" if forked else "unproven"
        try:
            self._state.keep(log, kind, f"{submitted.size}-{submitted.root.hex()}", signed, self._max_kept_conflicts)
        except OSError:
            return  # evidence that cannot be kept changes nothing in the refusal
