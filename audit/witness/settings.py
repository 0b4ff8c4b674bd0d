"""The witness's settings, from the environment. Every limit is named here with its unit and bounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from audit.errors import SettingInvalid
from traceability.marks import implements

PREFIX: Final = "MEDAI_WITNESS_"


class WitnessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each member `x` is the variable MEDAI_WITNESS_X."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 7_380
    max_connections: Annotated[int, Meta(ge=1, le=10_000)] = 128
    """At once; one more is answered 503 and closed."""
    max_connections_per_peer: Annotated[int, Meta(ge=1, le=10_000)] = 32
    """Of one address, so that one cannot keep all others out. Behind a proxy all have the proxy's address."""
    max_head_bytes: Annotated[int, Meta(ge=1_024, le=65_536)] = 8_192
    max_body_bytes: Annotated[int, Meta(ge=16_384, le=1_048_576)] = 262_144
    """A checkpoint with 16 post-quantum signatures has some 110 KB (C2SP signed-note asks for at least 16)."""
    max_proof_hashes: Annotated[int, Meta(ge=1, le=63)] = 63
    request_deadline_ms: Annotated[int, Meta(ge=100, le=60_000)] = 10_000
    """From a request's first byte to its last, and for the answer to be taken."""
    idle_ms: Annotated[int, Meta(ge=100, le=600_000)] = 60_000
    """How long a connection may be kept between two requests."""
    max_at_work: Annotated[int, Meta(ge=1, le=64)] = 8
    """Requests that are verified or persisted at the same time; the others wait."""
    lock_deadline_ms: Annotated[int, Meta(ge=10, le=60_000)] = 5_000
    """How long a request waits for another one on the same log, in this process or another."""
    peer_rate_per_s: Annotated[int, Meta(ge=1, le=100_000)] = 50
    """Requests of one address; beyond it 429. A burst of twice as many passes."""
    max_peers: Annotated[int, Meta(ge=16, le=1_000_000)] = 4_096
    """Addresses whose rate is remembered."""
    log_rate_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 10
    """Checkpoints of one log that are cosigned anew, each of which costs a write to disk; beyond it 429."""
    fresh_s: Annotated[int, Meta(ge=0, le=3_600)] = 10
    """How long the same checkpoint, sent again, is answered with the same cosignature."""
    clock_tolerance_s: Annotated[int, Meta(ge=0, le=3_600)] = 60
    """How far the clock may go back before nothing is cosigned any more."""
    max_kept_conflicts: Annotated[int, Meta(ge=0, le=10_000)] = 64
    """Signed checkpoints of one log that contradict the cosigned history and are kept, as evidence."""


class Places(Struct, frozen=True, kw_only=True):
    """Where the witness's things are: all of them under MEDAI_WITNESS_HOME, the state for ever."""

    home: Path
    host: str

    @property
    def logs(self) -> Path:
        return self.home / "logs.toml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def ed25519_key(self) -> Path:
        return self.home / "keys" / "ed25519.key"

    @property
    def ml_dsa_key(self) -> Path:
        return self.home / "keys" / "ml-dsa-44.key"


_PLACES: Final = frozenset({"home", "host"})

VARIABLES: Final = frozenset(PREFIX + name.upper() for name in {*WitnessSettings.__struct_fields__, *_PLACES})
"""Every variable that the witness reads."""


@implements("REQ-WIT-006")
def read(environment: Mapping[str, str]) -> WitnessSettings:
    """The witness's knobs. Raises `SettingInvalid` naming the variable and its bounds."""
    named = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in named.items() if name not in _PLACES}
    try:
        return msgspec.convert(given, WitnessSettings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"setting: {PREFIX}*: {error}") from error


def places(environment: Mapping[str, str]) -> Places:
    return Places(
        home=Path(environment.get(PREFIX + "HOME") or ".medai-witness").absolute(),
        host=environment.get(PREFIX + "HOST") or "127.0.0.1",
    )
