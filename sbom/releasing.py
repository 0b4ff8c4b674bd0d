"""Making a release statement from a checkout, an environment and a folder of evidence; holding one to them again."""

import re
import subprocess
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from sbom import activation, distributions, dsse, installed, lockfile, statement
from sbom.components import pypi_purl
from sbom.errors import DocumentInvalid, EnvelopeInvalid, ReleaseInvalid, SbomError
from sbom.statement import Approval, Release, Resource
from traceability.marks import implements

LOCK: Final = "requirements.lock"
MODELS: Final = "service/models"
VERSIONS: Final = "migrations/versions"
MEDIA_TYPES: Final = {
    ".cdx.json": "application/vnd.cyclonedx+json",
    ".json": "application/json",
    ".html": "text/html",
    ".csv": "text/csv",
    ".xml": "application/xml",
}
SELF: Final = ("release.dsse.json", "release.html", "index.html", "manifest.json", "gate.json", "development.pub.pem")
"""Evidence that is made from the statement, and so cannot be in it."""
APPROVALS: Final = "approvals"
"""The folder of approvals beside the evidence: they name the statement, and so come after it."""
_IMAGE = re.compile(r"(?P<name>[^@\s]+)@sha256:(?P<digest>[0-9a-f]{64})").fullmatch
_REVISION = re.compile(r'^(revision|down_revision)(?:\s*:[^=]+)?\s*=\s*(?:"([^"]*)"|None)', re.MULTILINE).finditer


class Sources(Struct, frozen=True, kw_only=True):
    """Where everything that a release binds is."""

    project: Path
    site: Path
    evidence: Path
    wheels: tuple[Path, ...]
    images: tuple[str, ...]
    builder: str
    invocation: dict[str, str]
    work_tree: Literal["must be its commit", "may differ"] = "must be its commit"


class Approved(Struct, frozen=True, kw_only=True):
    """An approval whose signature was verified, and by which key."""

    approval: Approval
    signed_by: str


def collect(sources: Sources) -> Release:
    """The release as it is here. Raises `ReleaseInvalid` for a work tree that is not what its commit says."""
    project = sources.project
    dirty = _git(project, "status", "--porcelain", "--untracked-files=no")
    if dirty and sources.work_tree == "must be its commit":
        raise ReleaseInvalid(f"release: the work tree is not its commit: {dirty.splitlines()[0].strip()} and others")
    if sources.work_tree == "must be its commit":
        for wheel in sources.wheels:
            _of_commit(wheel, project)
    said = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    return Release(
        version=said["version"],
        commit=_git(project, "rev-parse", "HEAD"),
        source=f"git+{_origin(project)}",
        migrations_head=migrations_head(project),
        subjects=(*map(_file, sources.wheels), *map(_image, sources.images)),
        packages=(*_packages(sources), *_own(project)),
        models=models(project),
        locks=(_file(project / LOCK),),
        evidence=tuple(_evidence(path, sources.evidence) for path in bound_files(sources.evidence)),
        builder=sources.builder,
        invocation={**sources.invocation, **({"work_tree": "differs from its commit"} if dirty else {})},
    )


def bound_files(evidence: Path) -> list[Path]:
    """The files of evidence that a statement binds."""
    return [
        path
        for path in sorted(evidence.rglob("*"))
        if path.is_file() and path.name not in SELF and path.parent != evidence / APPROVALS
    ]


def approvals(
    envelopes: Sequence[bytes], keys: Sequence[Ed25519PublicKey], release_digest: str
) -> tuple[Approved, ...]:
    """Those approvals of the release that a trusted key signed. Raises `EnvelopeInvalid` for any that none did."""
    made = []
    for envelope in envelopes:
        opened = dsse.open(envelope, keys)
        made.append(
            Approved(
                approval=statement.decode_approval(opened.payload, release_digest),
                signed_by=", ".join(opened.signed_by),
            )
        )
    return tuple(made)


@implements("REQ-REL-003")
def independent(approved: Sequence[Approved], signed_by: Sequence[str]) -> int:
    """How many approvals count: one a key, and none by a key that signed the release itself."""
    keys = {key for each in approved for key in each.signed_by.split(", ")} - set(signed_by)
    return min(len(keys), len(approved))


def differences(release: Release, sources: Sources) -> Iterator[str]:
    """A sentence for each thing that is here and not as the release binds it."""
    there = {each.name: each.digest for each in (*map(_file, sources.wheels), *map(_image, sources.images))}
    for each in release.subjects:
        if each.name in there and there[each.name] != each.digest:
            yield f"{each.name}: another file than the release's"
    evidence = {
        path.relative_to(sources.evidence).as_posix(): path for path in sources.evidence.rglob("*") if path.is_file()
    }
    for each in release.evidence:
        path = evidence.get(each.name or "")
        if path is None:
            yield f"{each.name}: evidence of the release that is not there"
        elif {"sha256": sha256(path.read_bytes()).hexdigest()} != each.digest:
            yield f"{each.name}: other evidence than the release's"


@implements("REQ-REL-004")
def uncompared(release: Release, sources: Sources) -> Iterator[str]:
    """What ships and was not given, so that nobody knows whether it is the release's."""
    given = {each.name for each in (*map(_file, sources.wheels), *map(_image, sources.images))}
    yield from (str(each.name) for each in release.subjects if each.name not in given)


def installed_differences(release: Release, sources: Sources) -> list[str]:
    """A sentence for each package, model or installed file that is not as the release binds it."""
    bound = {lockfile.normalise(name) for name in activation.bound_packages(release)}
    there = {name: known for name, known in installed.distributions(sources.site).items() if name in bound}
    here = activation.Here(
        distributions=there,  # tools besides are no part of it
        own=installed.own(sources.project),
        models={str(each.name): each.digest["sha256"] for each in models(sources.project)},
    )
    return [*activation.differences(release, here), *installed.altered(sources.site)]


def models(project: Path) -> tuple[Resource, ...]:
    """Every model of the checkout, by its file's digest."""
    return tuple(
        Resource(
            name=f"{path.parent.parent.name}@{path.parent.name}",
            digest={"sha256": sha256(path.read_bytes()).hexdigest()},
        )
        for path in sorted((project / MODELS).glob("*/*/model.onnx"))
    )


def migrations_head(project: Path) -> str:
    """The revision that no other one follows, read from the files. Raises `ReleaseInvalid` where there are several."""
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in (project / VERSIONS).glob("*.py"):
        for match in _REVISION(path.read_text("utf-8")):
            (revisions if match[1] == "revision" else followed).add(match[2])
    heads = revisions - followed
    if len(heads) != 1:
        raise ReleaseInvalid(f"release: expected one migration that no other follows, found {sorted(heads)}")
    return str(heads.pop())


def private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 key in PKCS #8 PEM, as `openssl genpkey -algorithm ed25519` writes it."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        raise EnvelopeInvalid(f"{path}: not a private key in PEM without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EnvelopeInvalid(f"{path}: not an Ed25519 key")
    return key


def public_keys(path: Path) -> tuple[Ed25519PublicKey, ...]:
    """The Ed25519 public keys of a PEM file, one after the other."""
    try:
        return activation.public_keys(path.read_bytes())
    except (EnvelopeInvalid, OSError) as error:
        raise EnvelopeInvalid(f"{path}: {error}") from error


def _packages(sources: Sources) -> Iterator[Resource]:
    """What the image's lock pins: purl, wheel digest where pip reported it, and what is installed of it."""
    pins = lockfile.parse((sources.project / LOCK).read_text("utf-8"))
    there = installed.distributions(sources.site)
    wheels = distributions.reports(sources.site.parents[2] / distributions.REPORTS)
    for pin in pins:
        if pin.name not in there:
            if pin.marker is None:
                raise ReleaseInvalid(f"release: {pin.name} is pinned in {LOCK} and not installed")
            continue
        version, digest = there[pin.name]
        if version != pin.version:
            raise ReleaseInvalid(f"release: {pin.name} {version} is installed, {pin.version} is pinned")
        wheel = wheels.get(pin.name)
        known = wheel is not None and wheel.version == version
        if wheel is not None and known and wheel.sha256 not in pin.sha256:
            raise ReleaseInvalid(f"release: {pin.name}: the installed file's digest {wheel.sha256} is not in {LOCK}")
        yield Resource(
            uri=pypi_purl(pin.name, version),
            digest={"sha256": wheel.sha256} if wheel is not None and known else {"installedRecord": digest},
            annotations={"installed": digest},
        )


def _own(project: Path) -> Iterator[Resource]:
    for name, digest in sorted(installed.own(project).items()):
        yield Resource(uri=f"{activation.OWN_PREFIX}{name}", digest={"medaiTree": digest})


@implements("REQ-REL-001")
def _of_commit(wheel: Path, project: Path) -> None:
    """Every file of our packages in `wheel` is the checkout's. Raises `ReleaseInvalid` with the first that is not: a
    wheel of an earlier commit, or one that somebody changed."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.partition("/")[0] in installed.OWN]
            for name in names:
                path = project / name
                if not path.is_file() or archive.read(name) != path.read_bytes():
                    raise ReleaseInvalid(f"release: {wheel.name}: {name} is not the file of the commit")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ReleaseInvalid(f"release: {wheel.name} is no wheel: {error}") from error
    if not names:
        raise ReleaseInvalid(f"release: {wheel.name}: none of our packages is in it")


def _file(path: Path) -> Resource:
    return Resource(name=path.name, digest={"sha256": sha256(path.read_bytes()).hexdigest()})


def _image(reference: str) -> Resource:
    match = _IMAGE(reference)
    if match is None:
        raise DocumentInvalid(f"{reference}: name an image by its digest, NAME@sha256:HEX")
    return Resource(name=match["name"], digest={"sha256": match["digest"]})


def _evidence(path: Path, root: Path) -> Resource:
    kind = next((kind for suffix, kind in MEDIA_TYPES.items() if path.name.endswith(suffix)), None)
    digest = {"sha256": sha256(path.read_bytes()).hexdigest()}
    return Resource(name=path.relative_to(root).as_posix(), digest=digest, media_type=kind)


def _origin(project: Path) -> str:
    """The remote's address without a name or password in it; `local` where there is none or it is a path."""
    try:
        url = _git(project, "remote", "get-url", "origin")
    except SbomError:
        return "local"
    match = re.fullmatch(r"(?:https://|ssh://|git@)(?:[^@/]+@)?(?P<rest>[^\s]+)", url)
    return f"https://{match['rest'].replace(':', '/', 1)}" if match else "local"


def _git(project: Path, *words: str) -> str:
    done = subprocess.run(  # nosec B603 B607  # our own words
        ["git", "-C", str(project), *words], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise ReleaseInvalid(f"release: git {words[0]}: {done.stderr.strip()[:200]}")
    return done.stdout.strip()


def as_mapping(release: Release) -> Mapping[str, str]:
    """Name (or URI) to digest of everything that the release binds, for a person to read."""
    resources = (*release.subjects, *release.locks, *release.models, *release.evidence, *release.packages)
    return {str(each.name or each.uri): next(iter(each.digest.values())) for each in resources}
