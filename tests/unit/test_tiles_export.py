"""The log as static files: whole, held to the signed root, and continued where it ended."""

import asyncio
import fcntl
import os
from uuid import UUID

import pytest

from audit import merkle, note, tiles_export
from audit.checkpoint import Checkpoint
from audit.errors import Altered, LedgerForked, LedgerUnavailable, SettingInvalid, SignatureMissing, Unattested
from audit.ports import Stored
from tests.log_fakes import Served, body, leaf
from tests.tile_client import NotTheLog, TileClient, path_of, tiles_of

pytestmark = pytest.mark.verifies("REQ-LOG-005")


@pytest.fixture
def served():
    """A signed log of 600 records."""
    log = Served(600)
    log.sign()
    return log


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "log"


def _export(served, folder, *, entries=True):
    return asyncio.run(tiles_export.export(served.reader, folder, served.opened, entries=entries))


def _client(served, folder):
    client = TileClient(str(served.signer.verifier), lambda path: (folder / path).read_bytes())
    client.update()
    return client


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _grow(served, size):
    served.grow(size)
    served.sign()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 600, 66_000])
def test_a_stranger_s_client_reads_the_folder(folder, size):
    served = Served(size)
    served.sign()
    _export(served, folder)
    client = _client(served, folder)
    assert client.size == size
    assert client.verify_entries() == [body(at) for at in range(size)]


def test_the_folder_has_the_tiles_and_bundles_of_the_tree_and_nothing_else(served, folder):
    _export(served, folder)
    made = list(tiles_of(600))
    wanted = {path_of(*named) for named in made} | {path_of("entries", *named[1:]) for named in made if named[0] == 0}
    assert set(_files(folder)) == {"checkpoint", *wanted}


def test_what_was_exported_is_told(served, folder):
    done = _export(served, folder)
    assert (done.size, done.checkpoint.root, done.written) == (600, merkle.frontier_root(600, served.frontier), 8)


def test_the_same_again_writes_nothing(served, folder):
    _export(served, folder)
    before = _files(folder)
    assert _export(served, folder).written == 0
    assert _files(folder) == before


@pytest.mark.parametrize("sizes", [(1, 2, 3), (255, 256, 257), (1, 256, 512, 513), (600, 1_000, 66_000), (3, 65_536)])
def test_an_export_that_was_continued_is_what_one_made_at_once_would_be(tmp_path, sizes):
    served = Served(0)
    for size in sizes:
        _grow(served, size)
        _export(served, tmp_path / "continued")
        assert len(_client(served, tmp_path / "continued").verify_entries()) == size
    _export(served, tmp_path / "at-once")
    continued, at_once = _files(tmp_path / "continued"), _files(tmp_path / "at-once")
    assert {path: continued[path] for path in at_once} == at_once


def test_a_continued_export_asks_for_new_tiles_alone(served, folder):
    _grow(served, 66_000)
    _export(served, folder)
    _grow(served, 66_001)
    served.reader.questions = 0
    _export(served, folder)
    assert (
        served.reader.questions == 4
    )  # the consistency with what was there, and a partial tile of each of three levels


def test_full_tiles_are_not_written_again(served, folder):
    _export(served, folder)
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file() and ".p" not in path.parent.name}
    _grow(served, 1_000)
    _export(served, folder)
    after = {path: path.stat().st_ino for path in before if path.name != "checkpoint"}
    assert after.items() <= before.items()


def test_partial_tiles_go_once_the_full_one_is_there(served, folder):
    _export(served, folder)
    _grow(served, 1_000)
    _export(served, folder)
    assert not (folder / "tile/0/002.p").exists()
    assert not (folder / "tile/entries/002.p").exists()


def test_a_partial_tile_of_before_stays_while_it_grows(served, folder):
    _export(served, folder)
    _grow(served, 610)
    _export(served, folder)
    assert (folder / "tile/0/002.p/88").exists()


def test_an_export_that_was_cut_short_goes_on_with_what_is_there(served, folder, monkeypatch):
    class Cut(Exception):
        pass

    write = tiles_export._write
    written: list[str] = []

    def failing(path, content):
        if len(written) == 4:
            raise Cut
        written.append(path.name)
        write(path, content)

    monkeypatch.setattr(tiles_export, "_write", failing)
    with pytest.raises(Cut):
        _export(served, folder)
    monkeypatch.undo()
    assert not (folder / "checkpoint").exists()
    assert _export(served, folder).written == 8 - 4
    assert len(_client(served, folder).verify_entries()) == 600


DAMAGE = {
    "a tile with a bit changed": ("tile/0/001", lambda old: bytes([old[0] ^ 1]) + old[1:]),
    "a tile cut short": ("tile/0/001", lambda old: old[:-1]),
    "a tile above the others": ("tile/1/000.p/2", lambda old: old[::-1]),
    "an empty bundle": ("tile/entries/001", lambda old: b""),
    "a bundle with a bit changed": ("tile/entries/001", lambda old: old[:-1] + bytes([old[-1] ^ 1])),
    "a bundle with an entry more": ("tile/entries/001", lambda old: old + b"\x00\x00"),
    "a partial bundle of another width": ("tile/entries/002.p/88", lambda old: old[: len(old) // 2]),
}


@pytest.mark.parametrize(("path", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_without_its_checkpoint_every_file_is_looked_at_and_put_right(served, folder, path, damage):
    _export(served, folder)
    (folder / path).write_bytes(damage((folder / path).read_bytes()))
    (folder / "checkpoint").unlink()
    assert _export(served, folder).written == 2
    assert len(_client(served, folder).verify_entries()) == 600


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"])
def test_a_stranger_s_client_refuses_a_file_with_a_bit_changed(served, folder, path):
    _export(served, folder)
    old = (folder / path).read_bytes()
    (folder / path).write_bytes(old[:40] + bytes([old[40] ^ 1]) + old[41:])
    with pytest.raises(NotTheLog):
        _client(served, folder).verify_entries()


def test_no_file_is_ever_seen_half_written(served, folder, monkeypatch):
    """What is renamed into place is whole; what is being written has another name."""
    seen = []
    replace = os.replace

    def watched(made, path):
        assert made.name.startswith(".")
        seen.append(path)
        replace(made, path)

    monkeypatch.setattr(type(folder), "replace", watched)
    _export(served, folder)
    assert sorted(path.relative_to(folder).as_posix() for path in seen) == sorted(_files(folder))


def test_the_checkpoint_is_written_last_and_after_all_was_synced(served, folder, monkeypatch):
    order = []
    write = tiles_export._write

    def noted(path, content):
        order.append(path.name)
        write(path, content)

    monkeypatch.setattr(tiles_export, "_write", noted)
    monkeypatch.setattr(os, "sync", lambda: order.append("synced"))
    _export(served, folder)
    assert order[-2:] == ["synced", "checkpoint"]
    assert order.count("synced") == 1


def test_a_checkpoint_with_more_signatures_replaces_the_one_of_the_same_size(served, folder):
    _export(served, folder)
    attested = served.attest()
    assert _export(served, folder).written == 1
    assert (folder / "checkpoint").read_text("utf-8") == attested


def test_a_folder_that_is_ahead_of_what_is_served_is_left_as_it_is(served, folder):
    served.attest()
    _grow(served, 700)
    served.database.cosigned, cosigned = [], served.database.cosigned
    _export(served, folder)
    before = _files(folder)
    served.database.cosigned = cosigned
    assert _export(served, folder).size == 700
    assert _files(folder) == before


# -- without records


def test_without_records_the_folder_has_hashes_alone(served, folder):
    _export(served, folder, entries=False)
    assert not (folder / "tile" / "entries").exists()
    assert _client(served, folder).verify_tiles() == [leaf(at) for at in range(600)]


def test_records_are_behind_a_folder_that_its_owner_alone_may_enter(served, folder):
    _export(served, folder)
    assert (folder / "tile" / "entries").stat().st_mode & 0o777 == 0o700


def test_records_may_be_added_to_a_folder_of_hashes(served, folder):
    _export(served, folder, entries=False)
    _export(served, folder)
    assert len(_client(served, folder).verify_entries()) == 600


def test_a_folder_with_records_is_not_continued_without_them(served, folder):
    _export(served, folder)
    with pytest.raises(SettingInvalid):
        _export(served, folder, entries=False)


# -- what is refused


def test_nothing_is_exported_before_anything_is_signed(folder):
    with pytest.raises(Unattested):
        _export(Served(5), folder)


def test_a_checkpoint_of_another_key_is_not_exported(served, folder):
    served.signer = note.Signer("log.example/other", b"o" * 32)
    with pytest.raises(SignatureMissing):
        _export(served, folder)


def _edit(served, index, content):
    """Record `index` with other bytes, and its leaf as they hash."""
    served.database.stored[index] = Stored(
        index=index, event_id=UUID(int=index), body=content, leaf_hash=merkle.leaf_hash(content)
    )


ALTERATIONS = {
    "a record": lambda served: _edit(served, 300, b"another"),
    "a record at the edge": lambda served: _edit(served, 590, b"another"),
    "a subtree": lambda served: served.database.subtrees.update({(8, 1): bytes(32)}),
}


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
def test_a_database_that_is_not_what_was_signed_is_not_exported(served, folder, alter):
    alter(served)
    with pytest.raises(Altered):
        _export(served, folder)
    assert not (folder / "checkpoint").exists()


def test_a_record_whose_leaf_was_left_as_it_was_is_not_exported(served, folder):
    served.database.stored[300] = Stored(index=300, event_id=UUID(int=300), body=b"another", leaf_hash=leaf(300))
    with pytest.raises(Altered, match=r"tile/entries/001"):
        _export(served, folder)
    assert not (folder / "tile/entries/001").exists()


def test_no_tile_that_is_not_under_the_signed_root_is_ever_written(served, folder):
    _edit(served, 300, b"another")
    with pytest.raises(Altered):
        _export(served, folder)
    assert not (folder / "tile/0/001").exists()


def test_a_log_that_forked_is_not_exported_over_what_it_was(served, folder):
    _export(served, folder)
    before = _files(folder)
    forked = Served(0)
    forked.grow(599)
    _edit(forked, 5, b"another")
    forked.frontier = merkle.extend(0, (), [one.leaf_hash for one in forked.database.stored])
    forked.database.subtrees[8, 0] = merkle.root([one.leaf_hash for one in forked.database.stored[:256]])
    forked.grow(700)
    forked.sign()
    with pytest.raises(LedgerForked, match=merkle.frontier_root(600, served.frontier).hex()):
        _export(forked, folder)
    assert _files(folder) == before


def test_two_roots_of_one_size_are_a_fork(served, folder):
    _export(served, folder)
    stated = Checkpoint(origin=served.signer.name, size=600, root=bytes(32))
    served.database.checkpoints[600] = served.signed(stated).encode()
    with pytest.raises(LedgerForked):
        _export(served, folder)


@pytest.mark.parametrize("text", [b"", b"not a checkpoint", b"\xff" * 10, b"x" * 2_000_000])
def test_a_folder_with_another_checkpoint_is_left_alone(served, folder, text):
    folder.mkdir()
    (folder / "checkpoint").write_bytes(text)
    with pytest.raises(SettingInvalid):
        _export(served, folder)
    assert _files(folder) == {"checkpoint": text}


def test_a_file_is_no_folder_to_write_to(served, folder):
    folder.write_bytes(b"")
    with pytest.raises(SettingInvalid):
        _export(served, folder)


def test_two_exports_do_not_write_to_one_folder_at_once(served, folder):
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(SettingInvalid):
            _export(served, folder)
    finally:
        os.close(handle)
    _export(served, folder)


def test_a_database_that_is_away_is_no_verdict(served, folder):
    served.database.reachable = False
    with pytest.raises(LedgerUnavailable):
        _export(served, folder)
