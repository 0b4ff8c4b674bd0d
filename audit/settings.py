"""The ledger's settings, from the environment. Every limit is named here with its unit and bounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from audit.errors import SettingInvalid
from traceability.marks import implements

PREFIX: Final = "MEDAI_LEDGER_"
PUBLISH_PREFIX: Final = "MEDAI_PUBLISH_"
WATCH_PREFIX: Final = "MEDAI_WATCH_"

Knobs = TypeVar("Knobs", bound=Struct)


class LedgerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_LEDGER_X."""

    linger_us: Annotated[int, Meta(ge=0, le=100_000)] = 30_000
    """How long a flush waits for other requests under way; more means larger batches and slower answers."""
    max_batch_records: Annotated[int, Meta(ge=1, le=1_024)] = 256
    max_batch_bytes: Annotated[int, Meta(ge=16_384, le=16_777_216)] = 1_048_576
    max_waiting_records: Annotated[int, Meta(ge=1, le=100_000)] = 4_096
    append_deadline_ms: Annotated[int, Meta(ge=100, le=60_000)] = 3_000
    """How long a request waits for its record to be durable before it is answered 503."""
    retry_first_ms: Annotated[int, Meta(ge=1, le=10_000)] = 50
    retry_last_ms: Annotated[int, Meta(ge=1, le=60_000)] = 500
    probe_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 250
    """How often a database that is away is asked whether it is back."""
    probe_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 2_000
    """How long the database may take to say that it is there, before no record is taken any more."""
    anchor_interval_ms: Annotated[int, Meta(ge=10, le=1_000)] = 1_000
    """How often the newest checkpoint is anchored: what a lost database can hide is at most this old."""
    connect_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 2_000
    statement_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 5_000
    reader_statement_timeout_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 60_000
    lock_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 4_000
    reader_connections: Annotated[int, Meta(ge=1, le=100)] = 2
    log_connections: Annotated[int, Meta(ge=1, le=100)] = 2
    """Those that the log is served through: apart from the others, so that who reads it keeps nobody from writing."""
    log_statement_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 5_000


class PublishSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_PUBLISH_X."""

    in_service: Literal["yes", "no"] = "yes"
    """Whether the service publishes; no where `medai audit publish` does, as a job."""
    lease_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)] = 15_000
    """How long another waits for a leader that died; a leader renews three times as often."""
    deadline_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)] = 60_000
    """How long `medai audit publish` tries."""
    witness_interval_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 10_000
    """How often the newest checkpoint is sent to the witnesses."""
    witness_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 10_000
    """How long one answer of a witness may take in all."""
    blob_interval_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)] = 60_000
    """How often the newest checkpoint goes to the container: each is a blob that nobody can delete."""
    blob_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 10_000
    """How long the container may take to send anything, of each answer."""
    blob_deadline_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)] = 30_000
    """How long storing one anchor may take in all; some five answers."""
    blob_retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """The locked policy that each blob is given; 0 leaves it to the container's own."""
    retry_first_ms: Annotated[int, Meta(ge=10, le=600_000)] = 1_000
    retry_last_ms: Annotated[int, Meta(ge=10, le=3_600_000)] = 60_000


class WatchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_WATCH_X."""

    in_service: Literal["yes", "no"] = "yes"
    """Whether a worker of the service audits the ledger; no where `medai audit watch` does, as a job."""
    interval_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    """How often what came since is verified."""
    whole_interval_s: Annotated[int, Meta(ge=1, le=2_592_000)] = 86_400
    """How often all of it is."""


class Places(Struct, frozen=True, kw_only=True):
    """Where the ledger's things are. `database_url` is None where the embedded PostgreSQL is used."""

    home: Path
    signing_key: Path
    ml_dsa_key: Path
    """The log's second key, used where it is there."""
    ml_dsa_required: bool
    """Whether it was named: then it has to be there."""
    anchors: Path
    database_url: str | None
    reader_url: str | None
    admin_url: str | None
    anchor_blob_url: str | None = None
    """May hold a SAS token: never shown."""
    policy_file: Path | None = None
    database_name: str | None = None
    """Which database of the embedded PostgreSQL the `audit` commands read; None: the one in use."""


VARIABLES: Final = frozenset(
    {PREFIX + name.upper() for name in LedgerSettings.__struct_fields__}
    | {PUBLISH_PREFIX + name.upper() for name in PublishSettings.__struct_fields__}
    | {WATCH_PREFIX + name.upper() for name in WatchSettings.__struct_fields__}
    | {
        "MEDAI_HOME",
        "MEDAI_SIGNING_KEY_FILE",
        "MEDAI_ML_DSA_KEY_FILE",
        "MEDAI_ANCHOR_FOLDER",
        "MEDAI_ANCHOR_BLOB_URL",
        "MEDAI_POLICY_FILE",
        "MEDAI_DATABASE_URL",
        "MEDAI_DATABASE_READER_URL",
        "MEDAI_DATABASE_ADMIN_URL",
        "MEDAI_DATABASE_NAME",
    }
)
"""Every variable that the ledger reads."""


@implements("REQ-DEP-005")
def ledger_settings(environment: Mapping[str, str]) -> LedgerSettings:
    """The ledger's knobs. Raises `SettingInvalid` naming the variable and its bounds."""
    return _converted(environment, PREFIX, LedgerSettings)


def publish_settings(environment: Mapping[str, str]) -> PublishSettings:
    """The publisher's knobs. Raises `SettingInvalid` naming the variable and its bounds."""
    return _converted(environment, PUBLISH_PREFIX, PublishSettings)


def watch_settings(environment: Mapping[str, str]) -> WatchSettings:
    """The self-audit's knobs. Raises `SettingInvalid` naming the variable and its bounds."""
    return _converted(environment, WATCH_PREFIX, WatchSettings)


def places(environment: Mapping[str, str]) -> Places:
    """Where things are, from MEDAI_HOME and the variables that move single things out of it."""
    home = Path(environment.get("MEDAI_HOME") or ".medai").absolute()
    database_url = environment.get("MEDAI_DATABASE_URL") or None
    return Places(
        home=home,
        signing_key=Path(environment.get("MEDAI_SIGNING_KEY_FILE") or home / "keys" / "signing.key"),
        ml_dsa_key=Path(environment.get("MEDAI_ML_DSA_KEY_FILE") or home / "keys" / "ml-dsa-44.key"),
        ml_dsa_required=bool(environment.get("MEDAI_ML_DSA_KEY_FILE")),
        anchors=Path(environment.get("MEDAI_ANCHOR_FOLDER") or home / "anchors"),
        database_url=database_url,
        reader_url=environment.get("MEDAI_DATABASE_READER_URL") or database_url,
        admin_url=environment.get("MEDAI_DATABASE_ADMIN_URL") or database_url,
        anchor_blob_url=environment.get("MEDAI_ANCHOR_BLOB_URL") or None,
        database_name=environment.get("MEDAI_DATABASE_NAME") or None,
        policy_file=Path(policy) if (policy := environment.get("MEDAI_POLICY_FILE")) else None,
    )


def _converted(environment: Mapping[str, str], prefix: str, kind: type[Knobs]) -> Knobs:
    given = {name.removeprefix(prefix).lower(): value for name, value in environment.items() if name.startswith(prefix)}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"setting: {prefix}*: {error}") from error
