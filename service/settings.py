"""The service's settings, from the environment: one struct, each member with its unit, its bounds and its cost.

`MEDAI_X` is the member `x`. An unknown `MEDAI_` variable is refused: a misspelt limit would silently be no limit.
The ledger's own variables are `audit.settings.VARIABLES`.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from audit import settings as ledger
from service.errors import SettingInvalid
from traceability.marks import implements

PREFIX: Final = "MEDAI_"
_MIB: Final = 1024 * 1024


def _number(low: int, high: int, description: str) -> Meta:
    return Meta(ge=low, le=high, description=description)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers are for one worker process unless they say otherwise."""

    host: Annotated[str, Meta(min_length=1, description="address that both ports listen on")] = "127.0.0.1"
    port: Annotated[int, _number(0, 65_535, "public port")] = 8080
    internal_port: Annotated[int, _number(0, 65_535, "port of /livez, /readyz and /metrics; keep it inside")] = 8081
    workers: Annotated[int, _number(1, 64, "worker processes; each has the models and decoders in memory")] = 1
    commit: Annotated[
        str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="commit that was built, for /version")
    ] = "unknown"
    tokens_file: Annotated[str, Meta(description="token hashes; default MEDAI_HOME/tokens.json")] = ""
    pseudonym_key_file: Annotated[str, Meta(description="HMAC key; default MEDAI_HOME/keys/pseudonym.key")] = ""
    tls_certificate_file: Annotated[
        str, Meta(description="certificate chain in PEM, for TLS on the public port; none: plain HTTP")
    ] = ""
    tls_key_file: Annotated[str, Meta(description="its private key; empty: in the same file")] = ""
    environment: Annotated[
        Literal["development", "production"],
        Meta(description="in production the service starts only where what runs is what the release binds"),
    ] = "development"
    release_file: Annotated[str, Meta(description="signed release; every record then names its digest")] = ""
    release_keys_file: Annotated[str, Meta(description="public keys that may sign a release, PEM")] = ""
    release_page_file: Annotated[str, Meta(description="the release page, for /console/releases")] = ""
    model_folders: Annotated[
        str, Meta(description=f"further model folders, separated by `{os.pathsep}`, beside the one that is shipped")
    ] = ""
    shipped_models: Annotated[
        Literal["yes", "no"], Meta(description="whether the demonstration model that is shipped is served")
    ] = "yes"
    trusted_proxies: Annotated[
        str, Meta(description="networks, by commas, whose X-Forwarded-For is believed; others name their peer")
    ] = ""
    forwarded_header: Annotated[
        Literal["x-forwarded-for", "forwarded"], Meta(description="the one header in which these name their peer")
    ] = "x-forwarded-for"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="least severe log line")] = (
        "info"
    )
    otlp_url: Annotated[
        str, Meta(description="base URL of an OpenTelemetry collector (OTLP over HTTP); empty traces nothing")
    ] = ""
    trace_percent: Annotated[int, _number(1, 100, "traces of a hundred that are sent there, by their ids")] = 100
    trace_queue_spans: Annotated[int, _number(16, 1_000_000, "spans that wait to be sent; more are dropped")] = 2_048
    trace_timeout_ms: Annotated[int, _number(100, 60_000, "how long sending may take, also at a stop")] = 3_000
    log_alike_per_minute: Annotated[int, _number(1, 1_000_000, "alike log lines in a minute; debug's are exempt")] = 60

    max_head_bytes: Annotated[int, _number(1024, _MIB, "request line and header fields of one request")] = 64 * 1024
    head_timeout_ms: Annotated[int, _number(100, 600_000, "how long a request's header may take to arrive")] = 15_000
    max_connections: Annotated[
        int, _number(8, 1_000_000, "connections open at once; more are closed unread, those of one address first")
    ] = 900
    connections_per_s: Annotated[
        int, _number(1, 1_000_000, "new connections of one address in a second; more are closed unread")
    ] = 200
    max_body_bytes: Annotated[int, _number(1024, 1024 * _MIB, "largest image, as sent")] = 64 * _MIB
    max_bodies_bytes: Annotated[int, _number(1024, 64 * 1024 * _MIB, "all bodies in memory together")] = 512 * _MIB
    body_timeout_ms: Annotated[int, _number(100, 600_000, "how long a body may take to arrive")] = 30_000
    max_pixels: Annotated[int, _number(1, 1 << 30, "rows times columns of a frame")] = 64 * _MIB
    max_frames: Annotated[int, _number(1, 1_000_000, "frames of a file")] = 10_000
    max_inflated_bytes: Annotated[int, _number(1024, 4096 * _MIB, "a deflated file, inflated")] = 256 * _MIB
    decode_deadline_ms: Annotated[int, _number(100, 600_000, "how long decoding one frame may take")] = 10_000
    decoder_threads: Annotated[int, _number(1, 64, "images decoded at once outside the child processes")] = 2
    decoder_processes: Annotated[int, _number(1, 64, "child processes for compressed images")] = 2
    decoder_memory_mib: Annotated[int, _number(64, 65_536, "memory of one child beyond its decoders")] = 1024
    inference_threads: Annotated[int, _number(1, 64, "images judged at once; prefer more workers")] = 1
    intra_op_threads: Annotated[int, _number(1, 64, "threads that one image may use")] = 1
    optimization: Annotated[
        Literal["disabled", "basic", "extended", "all"],
        Meta(description="ONNX Runtime's graph optimisation; on record, since last digits differ between levels"),
    ] = "all"

    max_admitted: Annotated[int, _number(1, 100_000, "requests uploading, waiting or running; then 503")] = 64
    caller_share_percent: Annotated[
        int, _number(1, 100, "how much of max_admitted and max_bodies_bytes, less what others hold, one token may")
    ] = 50
    max_running: Annotated[int, _number(1, 1024, "of these, how many decode and infer at once")] = 4
    queue_timeout_ms: Annotated[int, _number(10, 600_000, "how long one may wait to run; then 503")] = 10_000
    caller_rate_per_s: Annotated[int, _number(1, 1_000_000, "requests a second of one token; then 429")] = 2_000
    caller_burst: Annotated[int, _number(1, 1_000_000, "of these, how many at once")] = 4_000
    peer_rate_per_s: Annotated[int, _number(1, 1_000_000, "requests a second of one address without a token")] = 50
    peer_burst: Annotated[int, _number(1, 1_000_000, "of these, how many at once")] = 100
    refusals_per_minute: Annotated[
        int, _number(0, 1_000_000, "refusals of one address recorded singly; the rest of the minute is folded")
    ] = 30
    refusals_per_minute_total: Annotated[
        int, _number(0, 1_000_000, "the same of all addresses together; the rest of the minute is folded into one")
    ] = 600
    max_log_reads: Annotated[
        int, _number(1, 10_000, "checkpoints, tiles, entry bundles and proofs being read at once; then 503")
    ] = 32
    refusal_delay_ms: Annotated[
        int, _number(0, 10_000, "how long a folded refusal waits, to a caller without a token")
    ] = 500
    answers_per_minute: Annotated[
        int, _number(0, 1_000_000, "answers to one address without a token recorded singly; the rest is folded")
    ] = 300
    answers_per_minute_total: Annotated[
        int, _number(0, 1_000_000, "the same of all addresses together; the rest of the minute is folded into one")
    ] = 600
    windows_per_minute: Annotated[
        int, _number(0, 1_000_000, "addresses with windows of their own in a minute; the others share one")
    ] = 100
    peer_ipv6_bits: Annotated[int, _number(1, 128, "how much of an IPv6 address is one address here")] = 64
    max_peers: Annotated[int, _number(1, 1_000_000, "addresses told apart in a minute; the others share a name")] = (
        10_000
    )
    window_grace_ms: Annotated[
        int, _number(1_000, 3_600_000, "how long after its minute a window of another home is closed, without a count")
    ] = 120_000
    keep_alive_s: Annotated[int, _number(1, 3_600, "idle connections; longer than the proxy's own idle time")] = 75
    drain_delay_ms: Annotated[
        int, _number(0, 600_000, "from the signal to the closed port, for load balancers to notice")
    ] = 0
    drain_timeout_s: Annotated[int, _number(1, 3_600, "how long requests under way may take to end")] = 30


class Row(Struct, frozen=True, kw_only=True):
    """One line of the documentation's table."""

    variable: str
    default: str
    bounds: str
    description: str


VARIABLES: Final = frozenset({PREFIX + name.upper() for name in Settings.__struct_fields__} | {"MEDAI_TEST_VECTORS"})
"""Every variable that the service reads, and the one of its tests."""


@implements("REQ-DEP-005")
def read(environment: Mapping[str, str]) -> Settings:
    """The settings. Raises `SettingInvalid` for an unknown variable and for a value outside its bounds."""
    known = VARIABLES | ledger.VARIABLES
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingInvalid(f"{', '.join(unknown)}: no such setting; README.md lists them")
    given = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.__struct_fields__
        if environment.get(PREFIX + name.upper(), "") != ""
    }
    settings = _converted(given)
    proxies(settings)
    return settings


@implements("REQ-DEP-005")
def replaced(settings: Settings, **given: str | int) -> Settings:
    """`settings` with what the command line said instead. Raises `SettingInvalid`."""
    return _converted(msgspec.structs.asdict(settings) | given)


def tokens_file(settings: Settings, home: Path) -> Path:
    return Path(settings.tokens_file) if settings.tokens_file else home / "tokens.json"


def pseudonym_key_file(settings: Settings, home: Path) -> Path:
    return Path(settings.pseudonym_key_file) if settings.pseudonym_key_file else home / "keys" / "pseudonym.key"


def model_folders(settings: Settings) -> tuple[Path, ...]:
    """The further model folders."""
    return tuple(Path(folder) for folder in settings.model_folders.split(os.pathsep) if folder)


def proxies(settings: Settings) -> tuple[IPv4Network | IPv6Network, ...]:
    """The trusted networks. Raises `SettingInvalid`."""
    try:
        return tuple(ip_network(part.strip()) for part in settings.trusted_proxies.split(",") if part.strip())
    except ValueError as error:
        raise SettingInvalid(f"MEDAI_TRUSTED_PROXIES: {error}; give networks such as 10.0.0.0/8, by commas") from error


def table() -> tuple[Row, ...]:
    """Every setting, in order, for the documentation."""
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        base, meta = get_args(hints[field.name])[:2]
        if get_origin(base) is Literal:
            bounds = ", ".join(get_args(base))
        else:
            bounds = f"{meta.ge} to {meta.le}" if meta.ge is not None else ""
        default = str(field.default)
        rows.append(
            Row(
                variable=PREFIX + field.name.upper(), default=default, bounds=bounds, description=meta.description or ""
            )
        )
    return tuple(rows)


def _converted(given: Mapping[str, str | int]) -> Settings:
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        # "... - at `$.max_pixels`": the variable's name instead of the member's.
        what, _, member = str(error).partition(" - at `$.")
        raise SettingInvalid(f"{PREFIX}{member.rstrip('`').upper()}: {what}") from error
