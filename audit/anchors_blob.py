"""Checkpoints kept in an Azure Blob container under an immutability policy: what is there can be neither changed nor
taken away, also by us, until the policy ends.

    HASH/REVERSED-SIZE      the signed checkpoint, as it was signed

HASH is the SHA-256 of the origin, REVERSED what is left to the largest size there can be: the newest anchor is listed
first. A blob is only ever created (If-None-Match: *). The policy is read back, before and after: a container without
one is refused, since whoever owns the account could empty it. What a locked policy of the whole container says of its
own length, and whether it is locked at all, only the management interface tells: residual risk, for whoever makes the
container to exclude. Under a policy for each version, a blob can be overwritten or deleted and the version before it
stays: all versions are listed, and the oldest is the anchor.

This is the only module that knows Azure Storage. Nothing here waits longer than it is told for any one answer.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import (
    BlobClient,
    BlobImmutabilityPolicyMode,
    ContainerClient,
    ContentSettings,
    ImmutabilityPolicy,
)
from msgspec import Struct

from audit import checkpoint, note
from audit.checkpoint import MAX_SIZE
from audit.errors import (
    Altered,
    AuditError,
    KeyUnknown,
    LedgerForked,
    LedgerUnavailable,
    Malformed,
    SettingInvalid,
    SignatureMissing,
)
from audit.ports import Anchored
from traceability.marks import implements

VARIABLE: Final = "MEDAI_ANCHOR_BLOB_URL"
MAX_BLOB_BYTES: Final = 64 * 1024  # a signed checkpoint is at most a few KB
MAX_STRANGERS: Final = 1_000
"""Blobs under our names that are no anchors; with more of them the container is not read on."""
MAX_VERSIONS: Final = 100
READERS: Final = 8
_SLICE: Final = 256
_TAKEN: Final = frozenset({409, 412})  # BlobAlreadyExists, ConditionNotMet; under a policy BlobImmutableDueToPolicy
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SLACK: Final = timedelta(minutes=10)  # between our clock and the storage service's
_DIGITS: Final = len(str(MAX_SIZE))


@implements("REQ-PUB-004")
def connect(url: str, *, timeout_ms: int) -> ContainerClient:
    """The container at `url`. A SAS token in it is used; else whatever identity this machine has.

    Nothing is sent yet. Raises `SettingInvalid`, without repeating the URL: it may hold a secret.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or not parts.path.strip("/"):
        raise SettingInvalid(f"{VARIABLE}: expected https://ACCOUNT.blob.core.windows.net/CONTAINER")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise SettingInvalid(f"{VARIABLE}: expected https; only this machine itself is spoken to without it")
    credential = None if "sig" in parse_qs(parts.query) else DefaultAzureCredential()
    timeout_s = timeout_ms / 1000
    return ContainerClient.from_container_url(
        url, credential=credential, connection_timeout=timeout_s, read_timeout=timeout_s, retry_total=0
    )


@implements("REQ-PUB-004")
class BlobAnchor:
    """Implements `audit.ports.Anchor`. Several processes may write at once: the first to create a blob did.

    Every checkpoint read back is opened with `verifiers`, and one that none of them signed is not an anchor.
    """

    def __init__(
        self,
        container: ContainerClient,
        verifiers: tuple[note.Verifier, ...],
        *,
        origin: str,
        retention_days: int,
        now: Callable[[], datetime],
    ) -> None:
        """With `retention_days`, each blob is given a locked policy of that length; else the container's own counts."""
        self._container = container
        self._verifiers = verifiers
        self._origin = origin
        self._prefix = hashlib.sha256(origin.encode("utf-8")).hexdigest() + "/"
        self._retention = timedelta(days=retention_days)
        self._now = now

    def parts(self) -> "tuple[BlobAnchor]":
        """This container alone."""
        return (self,)

    def trust(self, keys: Sequence[note.Verifier]) -> None:
        """Checkpoints signed by any of `keys` are anchors of this log from now on."""
        self._verifiers = tuple(keys)

    def require_protected(self) -> bool:
        """The container is there and under a policy; whether it is one for each version.

        Raises `SettingInvalid` where it has none, `LedgerUnavailable` where nobody can say.
        """
        found = _asked(self._container.get_container_properties)
        versions = bool(found.immutable_storage_with_versioning_enabled)
        if not versions and not found.has_immutability_policy:
            raise SettingInvalid(
                f"{VARIABLE}: the container has no immutability policy, so what it holds can be taken away; "
                "set a time-based retention policy on it, and lock it"
            )
        return versions

    def newest(self) -> Anchored | None:
        """The anchor of the largest size, or None.

        Raises `LedgerUnavailable` where the container cannot be read: that is not the same as empty; `SettingInvalid`
        where it is not under a policy; `LedgerForked` where it holds two roots for one size; and `KeyUnknown` where
        the newest that bears the log's name is signed by no key of it.
        """
        for at, found in enumerate(map(self._read, self._listed())):
            if isinstance(found, Anchored):
                return found
            if isinstance(found, KeyUnknown):
                raise found
            _require_few(at + 1)
        return None

    def all(self) -> Iterator[Anchored]:
        """Every anchor, oldest first, a few read at a time. Raises as `newest` does, but passes over strangers."""
        listed, strangers = list(self._listed()), 0  # some 100 bytes each: half a million are a year of minutes
        with ThreadPoolExecutor(READERS, thread_name_prefix="medai anchors") as pool:
            while listed:
                some, listed = listed[-_SLICE:], listed[:-_SLICE]
                for found in pool.map(self._read, reversed(some)):
                    if isinstance(found, Anchored):
                        yield found
                    else:
                        strangers += 1
                        _require_few(strangers)

    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        """Durable and protected when it returns. The same checkpoint again changes nothing.

        Which database it was taken from is not kept. Raises `LedgerForked` where the blob of this size holds
        another root that this log signed, `Altered` where it holds anything else, `SettingInvalid` where it is
        not protected, `LedgerUnavailable` where it cannot be kept.
        """
        new = self._open(signed)
        self.require_protected()
        blob = self._container.get_blob_client(self._name(new.size))
        lasts = self._retention - _SLACK
        try:
            _asked(lambda: self._create(blob, signed.encode()))
        except _Exists:
            self._require_same(blob, new)
            lasts = timedelta(0)  # how long ago it was stored is not known here
        self._require_kept(blob, lasts)

    def _create(self, blob: BlobClient, body: bytes) -> None:
        policy: dict[str, Any] = {}
        if self._retention:
            until = self._now() + self._retention
            policy["immutability_policy"] = ImmutabilityPolicy(
                expiry_time=until, policy_mode=BlobImmutabilityPolicyMode.LOCKED
            )
        blob.upload_blob(
            body,
            overwrite=False,  # sent as If-None-Match: *
            content_settings=ContentSettings(content_type="text/plain; charset=utf-8"),
            **policy,
        )

    def _require_same(self, blob: BlobClient, new: Anchored) -> None:
        body = _body(blob)
        try:
            there = self._open(body)
        except AuditError as error:
            raise Altered(f"anchor container: the blob of size {new.size} holds what this log did not sign") from error
        if there.size != new.size:  # whoever may create blobs can copy one; only the log's key makes two of a size
            raise Altered(f"anchor container: the blob of size {new.size} holds the checkpoint of size {there.size}")
        if there.root != new.root:
            raise LedgerForked(_two_roots(new, there))

    def _require_kept(self, blob: BlobClient, lasts: timedelta) -> None:
        """The blob's own policy, if any, is locked and `lasts` from now on; else the container's covers it."""
        policy = self._policy(blob)
        if policy.expiry_time is not None and _mode(policy) == "unlocked" and self._retention:
            # Azure stores a policy that came with the blob unlocked, and locks it when asked once more.
            locked = ImmutabilityPolicy(expiry_time=policy.expiry_time, policy_mode=BlobImmutabilityPolicyMode.LOCKED)
            _asked(lambda: blob.set_immutability_policy(locked))
            policy = self._policy(blob)
        if policy.expiry_time is None:
            if self._retention or self.require_protected():
                raise SettingInvalid(f"{VARIABLE}: a blob was stored without the immutability policy that it needs")
            return
        if _mode(policy) != "locked":
            raise SettingInvalid(
                f"{VARIABLE}: a blob's immutability policy is {_mode(policy) or 'of no mode'}; lock it"
            )
        if policy.expiry_time < self._now() + lasts:
            raise SettingInvalid(f"{VARIABLE}: a blob's immutability policy ends too early, at {policy.expiry_time}")

    def _policy(self, blob: BlobClient) -> ImmutabilityPolicy:
        policy: ImmutabilityPolicy = _asked(blob.get_blob_properties).immutability_policy
        return policy

    def _listed(self) -> Iterator["_Listed"]:
        """What is there under our names, the newest size first."""
        include = ["versions"] if self.require_protected() else []
        listed = iter(self._container.list_blobs(name_starts_with=self._prefix, include=include))
        rows = iter(lambda: _asked(lambda: next(listed, None)), None)
        for name, found in groupby(rows, key=lambda row: row.name):
            size = name.rpartition("-")[2]
            if size.isdecimal() and name == self._name(int(size)):
                versions = sorted(row.version_id or "" for row in islice(found, MAX_VERSIONS + 1))
                if len(versions) > MAX_VERSIONS:
                    raise LedgerUnavailable(
                        f"anchor container: the blob of size {size} was overwritten too often to read"
                    )
                yield _Listed(size=int(size), versions=tuple(versions))

    def _read(self, listed: "_Listed") -> Anchored | KeyUnknown | None:
        """The anchor of this size: the first that was stored, whatever was stored over it."""
        first: Anchored | KeyUnknown | None = None
        for version in listed.versions:
            blob = self._container.get_blob_client(self._name(listed.size), version_id=version or None)
            found = self._judged(_body(blob), listed.size)
            if isinstance(found, Anchored) and isinstance(first, Anchored) and found.root != first.root:
                raise LedgerForked(_two_roots(first, found))
            first = found if first is None or not isinstance(first, Anchored) else first
        return first

    def _judged(self, body: bytes, size: int) -> Anchored | KeyUnknown | None:
        """What a blob holds: an anchor; one by a key that the log does not know; or nothing of ours."""
        try:
            stated = checkpoint.parse(note.split(body)[0])
            if (stated.origin, stated.size) != (self._origin, size):
                return None
            return self._open(body)
        except SignatureMissing:
            return KeyUnknown(
                f"anchor container: its checkpoint of {self._origin}, size {size}, is signed by no key that the "
                "database's records know: records are missing, or somebody wrote there who does not hold the key"
            )
        except AuditError:
            return None

    def _open(self, signed: str | bytes) -> Anchored:
        opened = checkpoint.parse(note.open(signed, self._verifiers).text)
        if opened.origin != self._origin:
            raise Malformed(f"anchor container: a checkpoint of {opened.origin}, expected {self._origin}")
        text = signed.decode() if isinstance(signed, bytes) else signed
        return Anchored(checkpoint=text, size=opened.size, root=opened.root, system_identifier=None, timeline=0)

    def _name(self, size: int) -> str:
        return f"{self._prefix}{MAX_SIZE - size:0{_DIGITS}d}-{size}"


class _Listed(Struct, frozen=True):
    """A blob, by its size, and its versions, the oldest first; one without a name is the only one."""

    size: int
    versions: tuple[str, ...]


class _Exists(LedgerUnavailable):
    """There is a blob of that name."""


def _asked(question: Callable[[], Any]) -> Any:
    """What the storage service answers. Its errors become the ledger's, and hold nothing of the URL."""
    try:
        return question()
    except HttpResponseError as error:
        if error.status_code in _TAKEN:
            raise _Exists from error
        why = f"{error.status_code} {getattr(error, 'error_code', None) or error.reason or ''}".strip()
        raise LedgerUnavailable(f"anchor container: it answers {why}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # what Azure's package makes of nonsense
        raise LedgerUnavailable("anchor container: it answers what cannot be read") from error
    except AzureError as error:
        raise LedgerUnavailable(f"anchor container: cannot be reached ({type(error).__name__})") from error


def _body(blob: BlobClient) -> bytes:
    body: bytes = _asked(lambda: blob.download_blob(offset=0, length=MAX_BLOB_BYTES).readall())
    return body


def _mode(policy: ImmutabilityPolicy) -> str:
    return str(policy.policy_mode or "").lower()


def _require_few(strangers: int) -> None:
    if strangers > MAX_STRANGERS:
        raise LedgerUnavailable(f"anchor container: more than {MAX_STRANGERS} blobs with our names are no anchors")


def _two_roots(one: Anchored, other: Anchored) -> str:
    return (
        f"anchor container: two signed roots for size {one.size}: {one.root.hex()} and {other.root.hex()}\n"
        f"{one.checkpoint}\n{other.checkpoint}"
    )
