"""Closing a log that lost signed records and opening the one that continues it, in steps that can be taken again.

What a crash after each step leaves behind; running it again goes on from there:
  1. the intention is noted            nothing else has changed; the log is as it was
  2. the old log is closed             no process can append to it or publish, whatever key it holds
  3. it is assessed, record 0 is noted the new log's key and record 0 are decided, and stay the same from here on
  4. the new database is there         empty, migrated
  5. record 0 is written, signed,      the new log has begun; nobody uses it yet
     anchored and published
  6. the new key is installed          a service that starts now is refused: its key is not the old database's
  7. the new database is in use        the same as done, but for the note
  8. the note is put away              done
"""

import asyncio
import os
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct

from audit import canonical, checkpoint, genesis, keyring, merkle, note, record, recovery, rotation
from audit.errors import LedgerExists, LedgerForked, Malformed, NothingLost, SettingInvalid
from audit.keyring import KeyFiles
from audit.note import Signer
from audit.ports import Anchor, Clock, Reader, Store
from audit.record import Continued, Genesis
from audit.rotation import Epoch, KeyHistory
from traceability.marks import implements

FORMAT: Final = "medai.recovery/1"
SUCCESSOR: Final = ".successor"


class Ground(Protocol):
    """The databases of one server, as whoever may administer it reaches them. Each call may be made again."""

    def close_log(self, name: str, successor: str) -> None:
        """No login of the service can append or publish in the database `name` when this returns."""
        ...

    def prepare(self, name: str) -> None:
        """The database `name` is there, migrated, and open to the service's logins."""
        ...

    def use(self, name: str) -> None:
        """`medai serve` starts on the database `name` from now on, as far as that is for us to say."""
        ...

    def reader(self, name: str) -> Reader: ...

    def store(self, name: str) -> Store: ...


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of the closed log, as `rotation.Epoch`."""

    key: str
    index: int
    after: int
    upto: int | None


class Journal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The note: what is decided, and how far it is done."""

    format: Literal["medai.recovery/1"] = FORMAT
    old_database: str
    new_database: str
    origin: str
    """The new log's name."""
    even_without_loss: bool
    old_keys: tuple[Key, ...] = ()
    genesis: str | None = None
    """The new log's record 0, as its canonical text."""

    @property
    def record_0(self) -> Genesis:
        assert self.genesis is not None, "decided in step 3"
        found = record.decode(self.genesis.encode("utf-8"))
        assert isinstance(found, Genesis)
        return found

    @property
    def continued(self) -> Continued:
        found = self.record_0.continues
        assert found is not None, "made by us"
        return found

    @property
    def history(self) -> KeyHistory:
        """The closed log's keys."""
        epochs = tuple(
            Epoch(key=note.Verifier.parse(one.key), index=one.index, after=one.after, upto=one.upto)
            for one in self.old_keys
        )
        return KeyHistory(origin=self.continued.origin, epochs=epochs)


@implements("REQ-KEY-005")
class Notes:
    """HOME/recovery.json while a recovery is under way, HOME/recoveries/NUMBER.json of those that are done."""

    def __init__(self, home: Path) -> None:
        self._path = home / "recovery.json"
        self._folder = home / "recoveries"

    def load(self) -> Journal | None:
        """The recovery under way. Raises `SettingInvalid` where its note cannot be read."""
        return _read(self._path) if self._path.exists() else None

    def save(self, journal: Journal) -> None:
        """Durable when it returns: the old note or the new one is there, whole."""
        beside = self._path.with_suffix(".tmp")
        with beside.open("wb") as file:
            file.write(canonical.encode(msgspec.to_builtins(journal)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        _sync(self._path.parent)

    def put_away(self) -> None:
        """The recovery is done; its note is kept with those before it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._path.replace(self._folder / f"{len(self.done()) + 1:04d}.json")
        _sync(self._folder)
        _sync(self._path.parent)

    def done(self) -> list[Journal]:
        """The recoveries of this home, the newest first."""
        return [_read(path) for path in sorted(self._folder.glob("[0-9]*.json"), reverse=True)]


@implements("REQ-KEY-005")
class Recovery:
    """One log's recovery. `kept` gives every checkpoint of the old log that was kept outside its database."""

    def __init__(
        self,
        *,
        ground: Ground,
        notes: Notes,
        key_path: Path,
        second_key_path: Path,
        anchor: Anchor,
        clock: Clock,
        kept: recovery.Kept,
    ) -> None:
        self._ground, self._notes, self._anchor, self._clock = ground, notes, anchor, clock
        self._old_keys, self._new_keys = KeyFiles(key_path), KeyFiles(key_path, suffix=SUCCESSOR)
        self._second_key_path = second_key_path
        self._kept = kept

    async def assess(self, database: str) -> recovery.Assessment:
        """What the database still proves, as it is now. Nothing is changed."""
        reader = self._ground.reader(database)
        try:
            held = [signer.verifier for signer in self._old_keys.held()]
            return await recovery.assess(reader, held, self._kept)
        finally:
            await reader.close()

    @implements("REQ-KEY-004")
    async def run(self, intended: Journal) -> Journal:
        """Every step that is not done yet; what was done. A recovery under way goes on as it was begun.

        Raises `NothingLost` where nothing was lost and that was not said to be wanted: then nothing has changed.
        """
        journal = self._notes.load()
        if journal is None:
            journal = intended
            self._require_reason(journal, await self.assess(journal.old_database))
            self._notes.save(journal)  # 1
        if journal.genesis is None:
            self._ground.close_log(journal.old_database, journal.origin)  # 2
            journal = await self._decide(journal)  # 3
        self._ground.prepare(journal.new_database)  # 4
        signer = self._successor(journal)
        await self._begin(journal, signer)  # 5
        self._install(journal, signer)  # 6
        self._ground.use(journal.new_database)  # 7
        self._notes.put_away()  # 8
        return journal

    def _require_reason(self, journal: Journal, found: recovery.Assessment) -> None:
        if not found.needed and not journal.even_without_loss:
            raise NothingLost(f"recover: {found.words()}; a log that can go on is closed by --even-without-loss alone")

    async def _decide(self, journal: Journal) -> Journal:
        """What the closed database proves is final now: nobody can append to it any more."""
        found = await self.assess(journal.old_database)
        signer = self._new_keys.prepare(journal.origin)
        made = genesis.make(signer.verifier, self._clock, continues=found.continued())
        old = self._old_keys.signer(found.keys.current.key)
        if old is not None:
            made = rotation.endorse_continuation(old, made)
        decided = msgspec.structs.replace(
            journal,
            genesis=record.encode(made).decode("utf-8"),
            old_keys=tuple(
                Key(key=str(one.key), index=one.index, after=one.after, upto=one.upto) for one in found.keys.epochs
            ),
        )
        self._notes.save(decided)
        return decided

    def _successor(self, journal: Journal) -> Signer:
        """The new log's signing key, wherever it is by now."""
        signer = self._new_keys.signer(note.Verifier.parse(journal.record_0.verifier_key))
        if signer is None:
            raise SettingInvalid(
                f"recover: the new log's signing key is gone; {self._new_keys.next_path.name} was to hold it"
            )
        return signer

    async def _begin(self, journal: Journal, signer: Signer) -> None:
        """Record 0 is durable, signed, anchored and published."""
        store, made = self._ground.store(journal.new_database), journal.record_0
        try:
            await genesis.write(store, made)
            root = merkle.leaf_hash(record.encode(made))
            text = checkpoint.format(checkpoint.Checkpoint(origin=made.origin, size=1, root=root))
            signed = note.sign(text, (signer,))
            readiness = await store.ready()
            self._anchor.trust((signer.verifier,))
            await asyncio.to_thread(
                self._anchor.put, signed, system_identifier=readiness.system_identifier, timeline=readiness.timeline
            )
            await store.publish(1, signed.encode())
        except LedgerExists as error:
            raise LedgerForked(
                f"recover: the database {journal.new_database} holds another log; name another"
            ) from error
        finally:
            await store.close()

    def _install(self, journal: Journal, signer: Signer) -> None:
        keyring.succeed_second(self._second_key_path, journal.origin)
        held = self._old_keys.held()
        if held and held[0].verifier == signer.verifier:
            return
        # Kept: the old log's proofs need it no more, but whether it is to be destroyed is not for us to say.
        self._new_keys.install(keep=held[0].verifier.key_hash.hex() if held else None)
        self._old_keys.next_path.unlink(missing_ok=True)  # a key that a rotation of the old log was to begin with


def _read(path: Path) -> Journal:
    try:
        return msgspec.convert(canonical.decode(path.read_bytes().removesuffix(b"\n")), Journal)
    except (OSError, Malformed, msgspec.ValidationError) as error:
        raise SettingInvalid(f"{path}: cannot be read as the note of a recovery") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
