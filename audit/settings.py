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
ENTRA_PREFIX: Final = "MEDAI_ENTRA_"
VAULT_PREFIX: Final = "MEDAI_VAULT_"

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


_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OBJECT_NAME = "^([0-9A-Za-z-]{1,127})?$"  # what Key Vault takes as an object's name


class EntraSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_ENTRA_X. Without `tenant_id` nothing of it is used."""

    tenant_id: Annotated[str, Meta(pattern=f"^({_ID})?$")] = ""
    """Whose tokens are taken; also who a command's user is asked of."""
    audience: Annotated[str, Meta(max_length=256, pattern="^[!-~]*$")] = ""
    """What tokens for this service have in `aud`: the application's id."""
    authority: Annotated[str, Meta(pattern="^https://[0-9A-Za-z.-]+(:[0-9]{1,5})?$")] = (
        "https://login.microsoftonline.com"
    )
    """Another one in a national cloud."""
    roles: Annotated[str, Meta(max_length=4_096)] = ""
    """ROLE=SCOPE, by commas: what an application role of a token opens."""
    clock_skew_s: Annotated[int, Meta(ge=0, le=300)] = 60
    keys_refresh_s: Annotated[int, Meta(ge=60, le=86_400)] = 3_600
    """How often the issuer's keys are fetched."""
    keys_interval_s: Annotated[int, Meta(ge=1, le=3_600)] = 30
    """At most once in this time for tokens that name an unknown key."""
    keys_stale_s: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    """How long the last keys are used while the issuer is away."""
    timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    """For each wait for the issuer."""
    max_token_bytes: Annotated[int, Meta(ge=1_024, le=32_768)] = 8_192
    max_known_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 4_096
    """Verified tokens that are remembered, by their hash, until they expire."""
    database: Literal["no", "yes"] = "no"
    """Whether PostgreSQL is logged in to with tokens of this machine's identity in place of passwords."""


class VaultSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_VAULT_X. What has a name here is in the vault and in no file."""

    url: Annotated[str, Meta(pattern="^(https://[0-9A-Za-z.-]+(:[0-9]{1,5})?/?)?$")] = ""
    signing_key: Annotated[str, Meta(pattern=_OBJECT_NAME)] = ""
    signing_key_next: Annotated[str, Meta(pattern=_OBJECT_NAME)] = ""
    pseudonym_key: Annotated[str, Meta(pattern=_OBJECT_NAME)] = ""
    token_hashes: Annotated[str, Meta(pattern=_OBJECT_NAME)] = ""
    database_passwords: Annotated[str, Meta(pattern=_OBJECT_NAME)] = ""
    """In the format of libpq's password file."""
    refresh_s: Annotated[int, Meta(ge=1, le=3_600)] = 30
    """How often the vault is looked into."""
    stale_s: Annotated[int, Meta(ge=10, le=86_400)] = 3_600
    """How long what it said last is used while it is away."""
    timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    """For each wait for the vault."""


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
    | {ENTRA_PREFIX + name.upper() for name in EntraSettings.__struct_fields__}
    | {VAULT_PREFIX + name.upper() for name in VaultSettings.__struct_fields__}
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

IN_A_FILE: Final[Mapping[str, str | None]] = {
    "signing_key": "MEDAI_SIGNING_KEY_FILE",
    "signing_key_next": None,
    "pseudonym_key": "MEDAI_PSEUDONYM_KEY_FILE",
    "token_hashes": "MEDAI_TOKENS_FILE",  # nosec B105  # a variable's name
    "database_passwords": None,
}
"""What may be in the vault, and the variable that names its file where it is not."""


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


def entra_settings(environment: Mapping[str, str]) -> EntraSettings:
    """Whose tokens are taken. Raises `SettingInvalid` naming the variable, also where a part of it is missing."""
    settings = _converted(environment, ENTRA_PREFIX, EntraSettings)
    if bool(settings.tenant_id) != bool(settings.audience):
        raise SettingInvalid("MEDAI_ENTRA_TENANT_ID and MEDAI_ENTRA_AUDIENCE: give both, or neither")
    return settings


@implements("REQ-SEC-043")
def vault_settings(environment: Mapping[str, str]) -> VaultSettings:
    """What is in the vault. Raises `SettingInvalid` where a secret is said to be in two places, or in no vault."""
    settings = _converted(environment, VAULT_PREFIX, VaultSettings)
    named = [name for name in IN_A_FILE if getattr(settings, name)]
    if bool(named) != bool(settings.url):
        raise SettingInvalid("MEDAI_VAULT_URL: give it together with the names of the secrets that are in that vault")
    for name in named:
        file = IN_A_FILE[name]
        if file is not None and environment.get(file):
            raise SettingInvalid(f"{VAULT_PREFIX}{name.upper()} and {file}: a secret is in one place; give one of them")
    if settings.signing_key_next and not settings.signing_key:
        raise SettingInvalid("MEDAI_VAULT_SIGNING_KEY_NEXT: the key in use is in the vault as well, or neither is")
    return settings


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
