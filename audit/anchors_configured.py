"""Which anchors and witnesses the settings name, put together: for whoever starts, publishes or verifies.

The folder is always one of them. A container is read at every start, at every failover and by `medai audit verify`: one
that is configured and cannot be read is not the same as one without anchors, so the service does not start without
it. (A witness holds no more than the checkpoint that it cosigned last; those are in the database.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from audit import attestation, note, witnesses
from audit import policy as policies
from audit.anchors import FolderAnchor
from audit.attestation import Adopted, Served
from audit.errors import Malformed, SettingInvalid
from audit.ports import Anchor, Anchored, PublishingObserver
from audit.publishing import Publisher
from audit.publishing_anchors import AnchorKeeper, Pace, Source
from audit.publishing_witnesses import Collector
from audit.settings import Places, PublishSettings
from traceability.marks import implements

Read = TypeVar("Read")

FOLDER: Final = "folder"
CONTAINER: Final = "container"


def remote(where: Places, knobs: PublishSettings, keys: Sequence[note.Verifier], origin: str) -> Mapping[str, Anchor]:
    """The anchors beyond the folder, by name. Nothing is sent yet. Raises `SettingInvalid`."""
    if where.anchor_blob_url is None:
        return {}
    from audit import anchors_blob  # Azure's packages take a second to import, and most who verify have no container

    anchor = anchors_blob.BlobAnchor(
        anchors_blob.connect(where.anchor_blob_url, timeout_ms=knobs.blob_timeout_ms),
        tuple(keys),
        origin=origin,
        retention_days=knobs.blob_retention_days,
        now=lambda: datetime.now(UTC),
    )
    return {CONTAINER: anchor}


def every(where: Places, knobs: PublishSettings, keys: Sequence[note.Verifier], origin: str) -> Mapping[str, Anchor]:
    """All anchors, by name, the folder first."""
    return {FOLDER: FolderAnchor(where.anchors, tuple(keys)), **remote(where, knobs, keys, origin)}


@implements("REQ-PUB-005")
class Several:
    """Implements `audit.ports.Anchor` over several: the first is written to, all of them are read."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        """Requires at least one."""
        self._anchors = tuple(anchors)

    def parts(self) -> Sequence[Anchor]:
        """Each of them."""
        return [part for anchor in self._anchors for part in anchor.parts()]

    def trust(self, keys: Sequence[note.Verifier]) -> None:
        """As each of them does."""
        for anchor in self._anchors:
            anchor.trust(keys)

    def newest(self) -> Anchored | None:
        """The largest that any of them holds. Raises what any of them raises."""
        found = [anchor.newest() for anchor in self._anchors]
        return max((one for one in found if one is not None), key=lambda one: one.size, default=None)

    def all(self) -> Iterator[Anchored]:
        """Everything that any of them holds, one after the other."""
        for anchor in self._anchors:
            yield from anchor.all()

    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        """In the first; the publisher brings the others up, at their own pace."""
        self._anchors[0].put(signed, system_identifier=system_identifier, timeline=timeline)


def together(where: Places, knobs: PublishSettings, keys: Sequence[note.Verifier], origin: str) -> Several:
    """All anchors as one: written to the folder, read from everywhere."""
    return Several(tuple(every(where, knobs, keys, origin).values()))


def adopted(where: Places, keys: Sequence[note.NoteVerifier]) -> Adopted | None:
    """The policy that the settings name, for the log of these keys; None where they name none.

    Raises `SettingInvalid` where it cannot be read or obeyed.
    """
    if where.policy_file is None:
        return None
    return _obeyed(where.policy_file, lambda text: attestation.adopt(text, keys))


@implements("REQ-PUB-005")
def served(where: Places) -> Served:
    """Which checkpoint the log serves by its settings: one that meets the policy, if they name one that asks for
    witnesses. Raises `SettingInvalid` as `adopted` does."""
    if where.policy_file is None or _obeyed(where.policy_file, policies.parse).quorum is None:
        return "signed"
    return "attested"


def _obeyed(path: Path, read: Callable[[bytes], Read]) -> Read:
    try:
        with path.open("rb") as file:
            return read(file.read(attestation.MAX_POLICY_BYTES + 1))
    except OSError as error:
        raise SettingInvalid(f"MEDAI_POLICY_FILE: cannot be read ({error.strerror})") from error
    except Malformed as error:
        raise SettingInvalid(f"MEDAI_POLICY_FILE: {error}") from error


def publisher(
    knobs: PublishSettings,
    *,
    source: Source,
    anchors: Mapping[str, Anchor],
    policy: Adopted | None,
    observer: PublishingObserver,
    holder: UUID,
    forked: Callable[[str], None],
) -> Publisher | None:
    """The publisher for these anchors and the policy's witnesses; None where there is nothing to publish to.

    Raises `SettingInvalid` where the policy names a witness without its URL.
    """
    retry_first_s, retry_last_s = knobs.retry_first_ms / 1000, knobs.retry_last_ms / 1000
    keepers = [
        AnchorKeeper(
            name,
            anchor,
            source,
            observer,
            pace=Pace(interval_s=knobs.blob_interval_ms / 1000, retry_first_s=retry_first_s, retry_last_s=retry_last_s),
            deadline_s=knobs.blob_deadline_ms / 1000,
            forked=forked,
        )
        for name, anchor in anchors.items()
    ]
    collector = None
    if policy is not None and policy.policy.witnesses:
        collector = Collector(
            source,
            policy.text,
            witnesses.clients(policy.policy, timeout_ms=knobs.witness_timeout_ms),
            observer,
            pace=Pace(
                interval_s=knobs.witness_interval_ms / 1000, retry_first_s=retry_first_s, retry_last_s=retry_last_s
            ),
            deadline_s=knobs.witness_timeout_ms / 1000,
            forked=forked,
        )
    if not keepers and collector is None:
        return None
    return Publisher(
        store=source.store,
        holder=holder,
        lease_ms=knobs.lease_ms,
        anchors=keepers,
        collector=collector,
        observer=observer,
    )
