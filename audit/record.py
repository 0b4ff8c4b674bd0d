"""The records of the ledger: what each kind says, and the one encoding of it.

A record is canonical JSON (`audit.canonical`). The structs below are its schema: member names, types and
maximum lengths are enforced when bytes are decoded, and the sum of the lengths stays under
`MAX_RECORD_BYTES`, so that no request can make a record that cannot be written. Absent members are
absent, never null, except `release`, which is null until a release is active.

`encode` and `decode` are inverse to each other; `decode` refuses any bytes that `encode` would not make.
"""

from typing import Annotated, Final, Literal, get_args
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta, Struct

from audit.errors import Malformed
from audit.shapes import grammar, shaped
from traceability.marks import implements

FORMAT: Final = "medai.record/1"
MAX_RECORD_BYTES: Final = 16 * 1024
MAX_SAFE_INTEGER: Final = 2**53 - 1  # RFC 8785 section 3.2.2.3: integers beyond it lose precision in JSON

Count = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
Ppm = Annotated[int, Meta(ge=0, le=1_000_000)]
Milli = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Sha256 = Annotated[str, shaped("[0-9a-f]{64}", 64, 64)]
Uuid = Annotated[str, shaped("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 36, 36)]
# A pseudonym is HMAC-SHA-256 under a named key: KEY:HEX.
Pseudonym = Annotated[str, shaped("[a-z0-9_-]{1,32}:[0-9a-f]{64}", 66, 97)]
Name = Annotated[str, shaped("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", 1, 64)]
Code = Annotated[str, shaped("[a-z][a-z0-9_]{0,63}", 1, 64)]
# A log's name is a line of its checkpoints: no control characters. U+0000 could not be stored at all.
Origin = Annotated[str, shaped(r'(?:[^"\\\x00-\x1f]|\\["\\])+', 1, 256)]
# C2SP signed-note, "Verifier keys": NAME+ID+BASE64.
VerifierKey = Annotated[str, shaped(r'(?:[^"\\+\x00-\x20]|\\["\\])+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}', 12, 396)]
# The 64 bytes of an Ed25519 signature (RFC 8032 section 5.1.6) in base64.
KeySignature = Annotated[str, shaped("[A-Za-z0-9+/]{86}==", 88, 88)]
FormatName = Annotated[str, shaped("[a-z0-9][a-z0-9._@/-]{0,63}", 1, 64)]
CorrelationId = Annotated[str, shaped("[0-9A-Za-z-]{26,36}", 26, 36)]
Traceparent = Annotated[str, shaped("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", 55, 55)]
Route = Annotated[str, shaped("[A-Za-z0-9/{}_.<>:-]{1,96}", 1, 96)]
Method = Annotated[str, shaped("[A-Z]{1,16}", 1, 16)]
Status = Annotated[int, Meta(ge=100, le=599)]
Decision = Literal["positive", "negative", "abstain"]
WindowSource = Literal["card", "file_window", "file_lut", "none"]


class ModelRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model answered."""

    name: Name
    version: Name
    sha256: Sha256


class Finding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the model's owner says of the image; probability and label are absent where it abstains."""

    decision: Decision
    label: Name | None = None
    probability_ppm: Ppm | None = None
    threshold_ppm: Ppm | None = None
    reasons: Annotated[tuple[Code, ...], Meta(max_length=16)]


class WindowUsed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How stored values became grey levels: whose window, and its centre and width in thousandths."""

    source: WindowSource
    center_milli: Milli | None = None
    width_milli: Milli | None = None


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was judged: the digest of the bytes received and of the decoded stored pixel values."""

    media_type: Literal["application/dicom", "image/png", "image/jpeg"]
    sha256: Sha256
    pixels_sha256: Sha256
    rows: Count
    columns: Count
    frame: Count | None = None
    window: WindowUsed


class Quality(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The measurements of the quality gate and its verdict."""

    verdict: Literal["passed", "failed"]
    contrast_ppm: Ppm
    clipped_ppm: Ppm


class Subject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who the image is of, as pseudonyms."""

    patient: Pseudonym | None = None
    study: Pseudonym | None = None


class Runtime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ran the model: results are bit-identical only within one of these."""

    name: Name
    version: Name
    provider: Name
    optimization: Code


class _Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    format: Literal["medai.record/1"]
    event_id: Uuid
    recorded_at_us: Count


class Continued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The closed log that this one stands in for: who it was, what its database still proves, and what is lost.

    Of what was signed and anchored, the records [lost_first, lost_end) are no longer in that database, or no longer
    as they were signed; both are equal where nothing was lost. `signature` is that log's last key's, over what
    `audit.rotation.continuation_text` makes of this record 0; absent where that key was not at hand.
    """

    origin: Origin
    verifier_key: VerifierKey
    reason: Literal["truncated", "rewritten", "closed"]
    size: Count
    root: Sha256
    anchored_size: Count
    anchored_root: Sha256
    lost_first: Count
    lost_end: Count
    signature: KeySignature | None = None


class Genesis(_Record, frozen=True, kw_only=True, tag="genesis"):
    """Record 0: what this log is called, who signs it, by which rules it is verified, and which log it continues."""

    origin: Origin
    verifier_key: VerifierKey
    formats: Annotated[tuple[FormatName, ...], Meta(max_length=16)]
    clock_tolerance_us: Count
    continues: Continued | None = None


class KeyRotated(_Record, frozen=True, kw_only=True, tag="key_rotated"):
    """The tree that ends with this record is the last that `old_key` signs; every larger one is `new_key`'s.

    Both have signed what `audit.rotation.rotation_text` makes of this record: the old key endorses, the new one shows
    that it is held. One whose `old_key` is not the log's key at that moment changes nothing.
    """

    origin: Origin
    old_key: VerifierKey
    new_key: VerifierKey
    old_signature: KeySignature
    new_signature: KeySignature


class _Request(_Record, frozen=True, kw_only=True):
    request_id: Uuid
    correlation_id: CorrelationId
    traceparent: Traceparent | None = None
    method: Method
    route: Route
    status: Status
    actor: Name | None = None
    peer: Pseudonym
    release: Sha256 | None


class Prediction(_Request, frozen=True, kw_only=True, tag="prediction"):
    """A finding that is about to be released to its caller."""

    model: ModelRef
    finding: Finding
    input: Input
    quality: Quality
    subject: Subject | None = None
    runtime: Runtime
    answer_sha256: Sha256


class Request(_Request, frozen=True, kw_only=True, tag="request"):
    """Any other answer, refusals included; `code` is the problem's code where there is one."""

    code: Code | None = None


class Outcome(_Record, frozen=True, kw_only=True, tag="outcome"):
    """What happened after the decision recorded at `of_index`."""

    of_index: Count
    request_id: Uuid
    outcome: Literal["client_gone", "answer_cut", "answer_replaced", "stream_complete", "stream_cut"]
    bytes_sent: Count
    sha256: Sha256 | None = None


class Window(_Record, frozen=True, kw_only=True, tag="window"):
    """Many alike requests of one peer in one minute. `opened` is committed before the first is answered;
    `closed` names it and says how many there were, without a count where the process did not live to say."""

    phase: Literal["opened", "closed"]
    subject: Literal["public", "refusals"]
    peer: Pseudonym
    minute_us: Count
    process_id: Uuid
    opens_index: Count | None = None
    count: Count | None = None
    first_us: Count | None = None
    last_us: Count | None = None
    release: Sha256 | None


class Outage(_Record, frozen=True, kw_only=True, tag="outage"):
    """No record could be written from `from_us` to `to_us`; `refused` requests were answered 503."""

    process_id: Uuid
    from_us: Count
    to_us: Count
    refused: Count


class ServiceStarted(_Record, frozen=True, kw_only=True, tag="service_started"):
    """A process began to serve."""

    process_id: Uuid
    version: Name
    commit: Name
    release: Sha256 | None
    models: Annotated[tuple[ModelRef, ...], Meta(max_length=32)]


class ServiceStopped(_Record, frozen=True, kw_only=True, tag="service_stopped"):
    """A process ended in order."""

    process_id: Uuid
    requests: Count


class ReleaseActivated(_Record, frozen=True, kw_only=True, tag="release_activated"):
    """A process runs under a release that trusted keys signed: from here on its records name it.

    `differences` counts what was not as the release binds it; in production there is none.
    """

    process_id: Uuid
    release: Sha256
    version: Name
    commit: Name
    environment: Literal["development", "production"]
    differences: Count
    signed_by: Annotated[tuple[Sha256, ...], Meta(max_length=16)]


class Administered(_Record, frozen=True, kw_only=True, tag="administered"):
    """Somebody is about to change by a command whom the service serves, or what it does: written before it is done.

    `vouched_by` says how the actor is known: by a token of Entra that was verified, or by this machine's system alone.
    """

    action: Code
    actor: Name
    vouched_by: Literal["entra", "system"]
    object: Name | None = None


Record = (
    Genesis
    | KeyRotated
    | Prediction
    | Request
    | Outcome
    | Window
    | Outage
    | ServiceStarted
    | ServiceStopped
    | ReleaseActivated
    | Administered
)

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: "msgspec.json.Decoder[Record]" = msgspec.json.Decoder(Record)
_grammars: Final = {kind: grammar(kind) for kind in get_args(Record)}


def new_event_id() -> str:
    """A fresh UUIDv4: 122 random bits, so that a public leaf hash tells nothing of its record."""
    return str(uuid4())


def event_uuid(record: Record) -> UUID:
    """The record's event id as the database stores it."""
    return UUID(record.event_id)


@implements("REQ-LED-006")
def encode(record: Record) -> bytes:
    """The canonical bytes of `record` (RFC 8785 restricted). Raises `Malformed` where the schema refuses it.

    msgspec does not check a struct's constraints when it is made, so the bytes are decoded once: what
    this returns can always be read back.
    """
    try:
        body = _encoder.encode(record)
    except UnicodeEncodeError as error:
        raise Malformed("record: a string holds a lone surrogate; replace it before recording") from error
    decode(body)
    return body


@implements("REQ-LED-006")
def decode(body: bytes) -> Record:
    """The record that `body` is the canonical encoding of. Raises `Malformed` for any other bytes."""
    if len(body) > MAX_RECORD_BYTES:
        raise Malformed(f"record: {len(body)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        record = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed("record: not a medai.record/1 in its schema") from error
    if _grammars[type(record)](body) is None:
        raise Malformed("record: a member is not of its pattern, or the bytes are not in canonical form (RFC 8785)")
    return record
