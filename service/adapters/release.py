"""The release that this process runs under: read from its mounted file, verified, and held to what is here."""

from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from sbom import activation, installed
from sbom.errors import SbomError
from service.errors import ReleaseRejected
from traceability.marks import implements

OWN: Final = "medai-flow"
SHOWN: Final = 5
"""Differences that are named; the others are counted."""
_ROOT: Final = Path(__file__).resolve().parents[2]
"""Where our packages are."""


class Active(Struct, frozen=True, kw_only=True):
    """A release that a trusted key signed. `differences` are sentences; none in production."""

    digest: str
    version: str
    commit: str
    signed_by: tuple[str, ...]
    differences: tuple[str, ...]
    page: bytes | None


@implements("REQ-REL-005")
def load(release: Path, keys: Path, page: Path | None, models: Mapping[str, str], *, environment: str) -> Active:
    """The release in the file `release`. Raises `ReleaseRejected` where it cannot be relied on, or where this is
    production and something differs from it. `models` are digests by NAME@VERSION."""
    try:
        opened = activation.opened(release.read_bytes(), keys.read_bytes())
        shown = page.read_bytes() if page is not None else None
    except (SbomError, OSError) as error:
        raise ReleaseRejected(f"the release cannot be relied on: {error}") from error
    if shown is not None and opened.digest.encode() not in shown:
        raise ReleaseRejected(f"{page}: the page is not of the release {opened.digest}")
    there = {name: found for name, found in installed.distributions().items() if name != OWN}  # bound by its packages
    here = activation.Here(distributions=there, own=installed.own(_ROOT), models=models)
    found = [*activation.differences(opened.release, here)]
    if environment == "production":
        found += islice(chain(installed.shadowed(), installed.altered()), SHOWN)
        if found:
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise ReleaseRejected(f"this is not the release {opened.digest}: {'; '.join(found[:SHOWN])}{more}")
    return Active(
        digest=opened.digest,
        version=opened.release.version,
        commit=opened.release.commit,
        signed_by=opened.signed_by,
        differences=tuple(found),
        page=shown,
    )
