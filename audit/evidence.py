"""Judging saved artefacts offline: a receipt, or an answer of `POST /infer` with the receipt inside.

Nothing here raises for a bad artefact: what comes back is a verdict, with an exit code that scripts rely on
(0 included and signed, and witnessed if the policy asks; 1 altered or broken; 2 the policy cannot be
obeyed; 3 consistent, but nobody who is trusted vouches for it), the steps that were passed, and words that
say how far the proof reaches. `audit/verifier.py` judges the same, by other code.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from audit import canonical, checkpoint, note, receipt, record
from audit.checkpoint import Checkpoint
from audit.errors import AuditError, Malformed, SettingInvalid, SignatureMissing, Unattested, VerificationFailed
from audit.receipt import Policy, Receipt
from audit.record import Finding, Prediction, Record
from traceability.marks import implements

ANSWER_FORMAT: Final = "medai.answer/1"

_RELEASED: Final = {"method": "POST", "route": "/infer", "status": 200}
_MEASURED: Final = ("label", "probability_ppm", "threshold_ppm")

LIMITS: Final = (
    "whether the answer was delivered: a later record of kind outcome would say if it was cut or replaced",
    "whether the signer shows others another history: only a witness or an anchor shows that",
    "whether the finding is medically right",
)
"""What no receipt can show."""


class Verdict(Struct, frozen=True, kw_only=True):
    """The judgement of one artefact."""

    exit_code: Literal[0, 1, 2, 3]
    words: str
    steps: tuple[str, ...]
    limits: tuple[str, ...] = LIMITS


@implements("REQ-AUD-001")
def check_receipt(text: str | bytes, policy: Policy) -> Verdict:
    """Judge a receipt: its record is in the tree that a key of the policy signed."""
    return _judge(lambda steps: _attested(_receipt(text, policy, steps)))


def check_answer(body: bytes, policy: Policy) -> Verdict:
    """Judge a saved answer: it is the one that its record describes, and the record is in the log.

    The layout in which it was saved does not matter; every value does.
    """
    return _judge(lambda steps: _answer(body, policy, steps))


def answer_sha256(answer: Mapping[str, Any]) -> str:
    """The digest that a prediction's record holds: over the canonical answer without its `ledger` member."""
    bare = {name: value for name, value in answer.items() if name != "ledger"}
    return hashlib.sha256(canonical.encode(bare)).hexdigest()


class _Proved(Struct, frozen=True, kw_only=True):
    """What a receipt proves. `words` say who vouches for it; `unattested` is why nobody does."""

    receipt: Receipt
    record: Record
    members: dict[str, Any]
    """The record again, read by the other decoder: as JSON has it."""
    leaf: bytes
    words: str
    unattested: AuditError | None


@implements("REQ-AUD-004")
def _judge(check: Callable[[list[str]], str]) -> Verdict:
    steps: list[str] = []
    try:
        words = check(steps)
    except SettingInvalid as error:
        return Verdict(exit_code=2, words=str(error), steps=tuple(steps))
    except (Unattested, SignatureMissing) as error:
        return Verdict(exit_code=3, words=f"consistent, but unattested: {error}", steps=tuple(steps))
    except AuditError as error:
        return Verdict(exit_code=1, words=f"altered or broken: {error}", steps=tuple(steps))
    return Verdict(exit_code=0, words=words, steps=tuple(steps))


@implements("REQ-AUD-001", "REQ-AUD-005")
def _receipt(text: str | bytes, policy: Policy, steps: list[str]) -> _Proved:
    """Steps in the order of C2SP tlog-proof. Who vouches is judged last of all, by `_attested`: 3 is said
    only where everything else is true."""
    proof = receipt.parse(text)
    leaf = receipt.leaf_of(proof)
    assert proof.extra is not None  # leaf_of refuses a receipt without
    entry, members = record.decode(proof.extra), canonical.decode(proof.extra)
    steps.append(f"the receipt is for record {proof.index}, of kind {_kind(entry)}, leaf {leaf.hex()}")
    if isinstance(entry, Prediction):
        _require_released(entry)
        _require_coherent(entry.finding)
        steps.append("the record is of a finding that was to leave POST /infer with status 200, and is coherent")
    unattested: AuditError | None = None
    opened: receipt.Opened | None
    try:
        opened = receipt.open_checkpoint(proof.checkpoint, policy)
        signed, signer = opened.checkpoint, f"signed by {opened.signed_by}"
        witnessed = receipt.witnessed(policy, opened)
    except SignatureMissing as error:
        opened, unattested, witnessed = None, error, "nor is any witness looked at"
        signed, signer = _unsigned(proof), "signed by no key that was given"
    steps.append(f"the checkpoint of {signed.origin} at size {signed.size} is {signer}; {witnessed}")
    receipt.require_included(proof, leaf, signed)
    steps.append(f"the path of {len(proof.path)} hashes leads from the record to the checkpoint's root")
    words = f"included in the tree of {signed.size} records of {signed.origin} {signer}; {witnessed}"
    try:
        if opened is not None:
            receipt.require_quorum(policy, opened)
    except Unattested as error:
        unattested = error
    return _Proved(receipt=proof, record=entry, members=members, leaf=leaf, words=words, unattested=unattested)


def _attested(proved: _Proved) -> str:
    if proved.unattested is not None:
        raise proved.unattested
    return proved.words


def _unsigned(proof: Receipt) -> Checkpoint:
    text, _ = note.split(proof.checkpoint)
    return checkpoint.parse(text)


@implements("REQ-AUD-002")
def _answer(body: bytes, policy: Policy, steps: list[str]) -> str:
    answer = canonical.parse(body)
    if not isinstance(answer, dict) or answer.get("format") != ANSWER_FORMAT:
        raise Malformed(f"answer: not an object whose format is {ANSWER_FORMAT}")
    ledger = answer.get("ledger")
    if not isinstance(ledger, dict) or not isinstance(ledger.get("proof"), str):
        raise Malformed("answer: it has no ledger member with a proof, so there is nothing to verify")
    proved = _receipt(ledger["proof"], policy, steps)
    _require_same("ledger.index", ledger.get("index"), proved.receipt.index)
    _require_same("ledger.leaf_hash", ledger.get("leaf_hash"), proved.leaf.hex())
    steps.append("the answer's ledger index and leaf hash are the receipt's")
    if not isinstance(proved.record, Prediction):
        raise VerificationFailed(f"answer: its record is of kind {_kind(proved.record)}, not a prediction")
    for name in ("request_id", "correlation_id", "model", "finding", "input", "quality"):
        _require_same(name, answer.get(name), proved.members.get(name))
    steps.append("model, finding, input, quality and ids are those of the record")
    _require_same("sha256 of the answer", answer_sha256(answer), proved.record.answer_sha256)
    steps.append(f"the answer's digest is the recorded one, {proved.record.answer_sha256}")
    return f"the answer is the recorded one, {_attested(proved)}"


@implements("REQ-AUD-002")
def _require_same(path: str, said: object, recorded: object) -> None:
    """Equal, member by member; a member that the record leaves out may be null in the answer."""
    if isinstance(said, dict) and isinstance(recorded, dict):
        for name in sorted(said.keys() | recorded.keys()):
            _require_same(f"{path}.{name}", said.get(name), recorded.get(name))
    # type() as well: in Python, true equals 1.
    elif type(said) is not type(recorded) or said != recorded:
        raise VerificationFailed(f"answer: {path} is {said!r:.100}, the record proves {recorded!r:.100}")


@implements("REQ-AUD-003")
def _require_released(entry: Prediction) -> None:
    """A finding leaves by one route with one status. The schema does not say so: whoever could write to the
    database, but not make the service write, could record another as if it had been released."""
    for member, released in _RELEASED.items():
        recorded = getattr(entry, member)
        if recorded != released:
            raise VerificationFailed(f"receipt: its record's {member} is {recorded!r}, a finding's is {released!r}")


@implements("REQ-AUD-003")
def _require_coherent(finding: Finding) -> None:
    """What `service.domain.interpret` guarantees of every finding: what is decided follows from what was measured.

    Positive exactly where the probability reaches the threshold; an abstention says why, and holds all that
    was measured, or nothing where the model did not run.
    """
    absent = [member for member in _MEASURED if getattr(finding, member) is None]
    if finding.decision == "abstain":
        if absent and len(absent) < len(_MEASURED):
            raise VerificationFailed(f"receipt: its finding abstains without {absent[0]}, with other measurements")
        if not finding.reasons:
            raise VerificationFailed("receipt: its finding abstains without a reason")
        return
    if finding.probability_ppm is None or finding.threshold_ppm is None or absent:
        raise VerificationFailed(f"receipt: its finding is {finding.decision} without {absent[0]}")
    if (finding.decision == "positive") is not (finding.probability_ppm >= finding.threshold_ppm):
        raise VerificationFailed(
            f"receipt: its finding is {finding.decision} at probability_ppm {finding.probability_ppm}, "
            f"threshold_ppm {finding.threshold_ppm}"
        )


def _kind(entry: Record) -> str:
    return str(type(entry).__struct_config__.tag)
