"""What a process that runs needs of a release: who signed it, what it binds, and whether that is what is here.

The service imports this, `installed`, `statement` and `dsse`, and nothing else of this package: none of them needs
more than is in the image.

Pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from sbom import dsse, statement
from sbom.errors import EnvelopeInvalid
from sbom.statement import Release
from traceability.marks import implements

OWN_PREFIX: Final = "urn:medai-flow:package:"
PYPI_PREFIX: Final = "pkg:pypi/"
_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class Opened(Struct, frozen=True, kw_only=True):
    """A release that a trusted key signed; `digest` is its name in every record."""

    release: Release
    digest: str
    signed_by: tuple[str, ...]


class Here(Struct, frozen=True, kw_only=True):
    """What is on this machine: digests by name, as `installed` makes them, and each model's by NAME@VERSION."""

    distributions: Mapping[str, tuple[str, str]]
    own: Mapping[str, str]
    models: Mapping[str, str]


@implements("REQ-REL-005")
def opened(envelope: bytes, trusted: bytes) -> Opened:
    """The release in `envelope`. Raises `EnvelopeInvalid` where no key of the PEM file `trusted` signed it."""
    signed = dsse.open(envelope, public_keys(trusted))
    return Opened(
        release=statement.decode(signed.payload), digest=statement.digest(signed.payload), signed_by=signed.signed_by
    )


@implements("REQ-REL-005")
def public_keys(pem: bytes) -> tuple[Ed25519PublicKey, ...]:
    """The Ed25519 public keys of a PEM file, one after the other. Raises `EnvelopeInvalid` for anything else in it."""
    try:
        keys = [load_pem_public_key(block) for block in _PEM.findall(pem)]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EnvelopeInvalid("not public keys in PEM") from error
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise EnvelopeInvalid("expected one or more Ed25519 public keys in PEM")
    return tuple(key for key in keys if isinstance(key, Ed25519PublicKey))


@implements("REQ-REL-005")
def differences(release: Release, here: Here) -> Iterator[str]:
    """A sentence for each distribution, package of ours or served model that is not as the release binds it."""
    yield from _of_packages(bound_packages(release), here.distributions)
    own = bound_own(release)
    for name in sorted(own.keys() | here.own.keys()):
        if own.get(name) != here.own.get(name):
            yield f"our package {name} is not the release's"
    models = {str(each.name): each.digest.get("sha256") for each in release.models}
    for name, digest in sorted(here.models.items()):
        if name not in models:
            yield f"the model {name} is served and not of the release"
        elif models[name] != digest:
            yield f"the model {name} has other weights than in the release"


def bound_packages(release: Release) -> dict[str, tuple[str, str]]:
    """Version and digest of each distribution that the release binds, by name, as `installed.distributions` has it."""
    return {
        name: (unquote(version), each.annotations["installed"])
        for each in release.packages
        if each.uri and each.uri.startswith(PYPI_PREFIX) and each.annotations and "installed" in each.annotations
        for name, _, version in [each.uri.removeprefix(PYPI_PREFIX).rpartition("@")]
    }


def bound_own(release: Release) -> dict[str, str]:
    """The digest of each of our packages that the release binds."""
    return {
        each.uri.removeprefix(OWN_PREFIX): each.digest["medaiTree"]
        for each in release.packages
        if each.uri and each.uri.startswith(OWN_PREFIX) and "medaiTree" in each.digest
    }


def _of_packages(bound: Mapping[str, tuple[str, str]], there: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for name in sorted(bound.keys() | there.keys()):
        wanted, found = bound.get(name), there.get(name)
        if wanted is None:
            yield f"{name} is installed and not of the release"
        elif found is None:
            yield f"{name} {wanted[0]} is of the release and not installed"
        elif found[0] != wanted[0]:
            yield f"{name} is {found[0]}, in the release {wanted[0]}"
        elif found[1] != wanted[1]:
            yield f"{name} {found[0]} has other files than in the release"
