"""What `/version` says."""

import msgspec
from msgspec import Struct


class ModelVersion(Struct, frozen=True, kw_only=True):
    name: str
    version: str
    sha256: str
    title: str
    notice: str


class LedgerVersion(Struct, frozen=True, kw_only=True):
    """Whose signatures the proofs carry: the log's origin and its C2SP verifier key."""

    origin: str
    verifier_key: str


class RuntimeVersion(Struct, frozen=True, kw_only=True):
    """What runs the models, and the options that its results depend on."""

    name: str
    version: str
    provider: str
    optimization: str
    options: dict[str, str]


class Version(Struct, frozen=True, kw_only=True):
    service: str
    version: str
    commit: str
    release: str
    """The active release's SHA-256, or `unreleased`."""
    models: tuple[ModelVersion, ...]
    ledger: LedgerVersion
    runtime: RuntimeVersion


def encode(version: Version) -> bytes:
    return msgspec.json.encode(version, order="sorted")
