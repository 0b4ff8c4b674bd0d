"""The release statement: an in-toto Statement v1 with SLSA provenance v1 that binds everything a release is made of.

Subjects are what is shipped (wheels, image). The predicate says from which commit and lock they were made, with which
packages and models, and which evidence was produced beside them. Its digest, the SHA-256 of the payload's bytes, is the
release's name in every record. What was not given is not in it: nothing is filled in.

An approval is a statement of its own (`APPROVAL`), signed by whoever approves, whose subject is the release's digest:
name, time and meaning, as 21 CFR 11.50 asks of a signature's manifestation.

Pure.
"""

import datetime as dt
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from sbom.errors import ReleaseInvalid
from traceability.marks import implements

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:medai-flow:build:1"
APPROVAL: Final = "urn:medai-flow:approval:1"

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1, max_length=512)]


class Resource(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """in-toto's ResourceDescriptor: something with a digest, found by name or URI."""

    name: Text | None = None
    uri: Text | None = None
    digest: dict[str, str]
    media_type: str | None = None
    annotations: dict[str, str] | None = None


class _Definition(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    build_type: Literal["urn:medai-flow:build:1"] = BUILD_TYPE
    external_parameters: dict[str, str]
    internal_parameters: dict[str, str]
    resolved_dependencies: tuple[Resource, ...]


class _Builder(Struct, frozen=True, kw_only=True):
    id: Text


class _Run(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    builder: _Builder
    metadata: dict[str, str] | None = None
    byproducts: tuple[Resource, ...]


class _Provenance(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    build_definition: _Definition
    run_details: _Run


class _ReleaseStatement(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    statement_type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type", default=STATEMENT)
    subject: Annotated[tuple[Resource, ...], Meta(min_length=1)]
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = PROVENANCE
    predicate: _Provenance


class Release(Struct, frozen=True, kw_only=True):
    """What a release binds. Every digest is a SHA-256 in hexadecimal but the commit's, which is git's own."""

    version: str
    commit: str
    source: str
    """Where the commit is from, as `git+URI` or `git+local`."""
    migrations_head: str
    subjects: tuple[Resource, ...]
    packages: tuple[Resource, ...]
    """One for each distribution of the lock: `pkg:pypi/NAME@VERSION`, and the installed wheel's digest where known."""
    models: tuple[Resource, ...]
    locks: tuple[Resource, ...]
    evidence: tuple[Resource, ...]
    builder: str
    invocation: dict[str, str]
    """Where the builder is told them: invocation id, started and finished times. Empty where it is not."""


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who approves, when (RFC 3339, UTC), and what the signature means."""

    name: Text
    time: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
    meaning: Text


class _ApprovalStatement(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    statement_type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type", default=STATEMENT)
    subject: Annotated[tuple[Resource, ...], Meta(min_length=1, max_length=1)]
    predicate_type: Literal["urn:medai-flow:approval:1"] = APPROVAL
    predicate: Approval


_Statement = TypeVar("_Statement", _ReleaseStatement, _ApprovalStatement)


def digest(payload: bytes) -> str:
    """The release's name: the SHA-256 of its statement's bytes."""
    return sha256(payload).hexdigest()


@implements("REQ-REL-001")
def encode(release: Release) -> bytes:
    """The statement's bytes, the same for the same release. Raises `ReleaseInvalid` where it binds too little."""
    for what, bound in (("subject", release.subjects), ("model", release.models), ("lock", release.locks)):
        if not bound:
            raise ReleaseInvalid(f"release: it must bind at least one {what}")
    made = _ReleaseStatement(
        subject=_ordered(release.subjects),
        predicate=_Provenance(
            build_definition=_Definition(
                external_parameters={"source": release.source, "version": release.version},
                internal_parameters={"migrations_head": release.migrations_head},
                resolved_dependencies=(
                    Resource(uri=release.source, digest={"gitCommit": release.commit}),
                    *_marked(release.locks, "lock"),
                    *_marked(release.models, "model"),
                    *_marked(release.packages, "package"),
                ),
            ),
            run_details=_Run(
                builder=_Builder(id=release.builder),
                metadata=dict(sorted(release.invocation.items())) or None,
                byproducts=_ordered(release.evidence),
            ),
        ),
    )
    return msgspec.json.encode(made, order="sorted")


@implements("REQ-REL-001")
def decode(payload: bytes) -> Release:
    """The release that `payload` states: `decode(encode(r))` is `r`, sorted. Raises `ReleaseInvalid` otherwise."""
    parsed = _parse(payload, _ReleaseStatement)
    build, run = parsed.predicate.build_definition, parsed.predicate.run_details
    source, *rest = build.resolved_dependencies or (None,)
    if source is None or set(source.digest) != {"gitCommit"} or source.uri is None:
        raise ReleaseInvalid("release: its first dependency must be the git commit that it was made from")
    by_kind: dict[str, list[Resource]] = {"lock": [], "model": [], "package": []}
    for each in rest:
        kind = (each.annotations or {}).get("kind", "")
        if kind not in by_kind:
            raise ReleaseInvalid(f"release: the dependency {each.name or each.uri} is no lock, model or package")
        by_kind[kind].append(_unmarked(each))
    try:
        return Release(
            version=build.external_parameters["version"],
            commit=source.digest["gitCommit"],
            source=source.uri,
            migrations_head=build.internal_parameters["migrations_head"],
            subjects=parsed.subject,
            packages=tuple(by_kind["package"]),
            models=tuple(by_kind["model"]),
            locks=tuple(by_kind["lock"]),
            evidence=run.byproducts,
            builder=run.builder.id,
            invocation=run.metadata or {},
        )
    except KeyError as error:
        raise ReleaseInvalid(f"release: it does not say its {error.args[0]}") from error


@implements("REQ-REL-001")
def encode_approval(approval: Approval, release_digest: str) -> bytes:
    """The bytes that whoever approves signs."""
    _time(approval)
    subject = (Resource(name="release", digest={"sha256": release_digest}),)
    encoded = msgspec.json.encode(_ApprovalStatement(subject=subject, predicate=approval), order="sorted")
    _parse(encoded, _ApprovalStatement)  # bounds are looked at when bytes are read
    return encoded


@implements("REQ-REL-001")
def decode_approval(payload: bytes, release_digest: str) -> Approval:
    """The approval that `payload` states, of this release. Raises `ReleaseInvalid` for another's, or none."""
    parsed = _parse(payload, _ApprovalStatement)
    if parsed.subject[0].digest != {"sha256": release_digest}:
        raise ReleaseInvalid("approval: it is of another release")
    _time(parsed.predicate)
    return parsed.predicate


def _time(approval: Approval) -> None:
    try:
        dt.datetime.strptime(approval.time, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007  # the letter Z says UTC
    except ValueError as error:
        raise ReleaseInvalid(f"approval: {approval.time!r} is no time, YYYY-MM-DDTHH:MM:SSZ") from error


def _parse(payload: bytes, kind: type[_Statement]) -> _Statement:
    """The statement, spelt as it is spelt here: nothing that was left out is filled in, nothing besides is dropped."""
    try:
        parsed = msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReleaseInvalid(f"statement: not the one that was expected: {error}") from error
    if msgspec.json.encode(parsed, order="sorted") != payload:
        raise ReleaseInvalid("statement: it leaves out a member, or has one besides, or is spelt in another way")
    return parsed


def _ordered(resources: Sequence[Resource]) -> tuple[Resource, ...]:
    return tuple(sorted(resources, key=lambda each: (each.name or "", each.uri or "")))


def _marked(resources: Sequence[Resource], kind: str) -> tuple[Resource, ...]:
    return tuple(
        msgspec.structs.replace(each, annotations={**(each.annotations or {}), "kind": kind})
        for each in _ordered(resources)
    )


def _unmarked(resource: Resource) -> Resource:
    left = {name: value for name, value in (resource.annotations or {}).items() if name != "kind"}
    return msgspec.structs.replace(resource, annotations=left or None)
