"""A rotation of the key under several processes of one PostgreSQL, by the command that an operator types."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from audit import genesis, key_chain, note, rotation, signing, succession
from audit.acceptance import genesis_of
from audit.clock import SystemClock
from audit.keyring import KeyFiles
from audit.note import Verifier
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.rotation import KeyHistory

ORIGIN = "log.example/rotation"
PROCESSES = 3
FIRST_LINES = 20


class Fleet:
    """A log in a database of its own, and what its processes and its operator share."""

    def __init__(self, database, folder: Path) -> None:
        self.database = database
        self.home = folder
        self.keys = KeyFiles(folder / "keys" / "signing.key")
        self.anchors = folder / "anchors"
        self.first = signing.create(folder / "keys" / "signing.key", ORIGIN).verifier
        asyncio.run(self._begin())

    async def _begin(self) -> None:
        store, reader = PostgresStore(self.database.writer_url), PostgresReader(self.database.reader_url)
        await genesis.initialise(store, reader, self.keys.held()[0], SystemClock())
        await store.close()
        await reader.close()

    def start(self) -> "subprocess.Popen[str]":
        urls = (self.database.writer_url, self.database.reader_url)
        files = (str(self.home / "keys" / "signing.key"), str(self.anchors))
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("rotating_worker.py")), *urls, *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    def medai(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ, "MEDAI_HOME": str(self.home), "MEDAI_DATABASE_URL": self.database.writer_url,
            "MEDAI_DATABASE_READER_URL": self.database.reader_url,
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "service", *words], env=environment, capture_output=True, text=True, timeout=120
        )

    def history(self) -> KeyHistory:
        async def read() -> KeyHistory:
            reader = PostgresReader(self.database.reader_url)
            try:
                size = (await reader.head()).size
                return (await succession.read(reader, await genesis_of(reader), size)).history
            finally:
                await reader.close()

        return asyncio.run(read())

    def published(self) -> list[bytes]:
        with psycopg.connect(self.database.admin_url) as connection:
            rows = connection.execute("SELECT checkpoint FROM ledger.checkpoints").fetchall()
        return [row[0] for row in rows]


@pytest.fixture
def fleet(database, tmp_path) -> Fleet:
    return Fleet(database, tmp_path)


@pytest.fixture
def rotated_under_load(fleet) -> tuple[Fleet, list[tuple[int, str]]]:
    """A fleet at work whose key was rotated by the command; every size and key that its receipts named."""
    workers = [fleet.start() for _ in range(PROCESSES)]
    try:
        with ThreadPoolExecutor(PROCESSES) as threads:
            before = list(threads.map(lambda worker: [worker.stdout.readline() for _ in range(FIRST_LINES)], workers))
            done = fleet.medai("ledger", "rotate-key")
            assert done.returncode == 0, done.stderr
            after = list(threads.map(lambda worker: [worker.stdout.readline() for _ in range(FIRST_LINES)], workers))
            rest = list(threads.map(lambda worker: worker.communicate(timeout=60)[0].splitlines(), workers))
        assert [worker.returncode for worker in workers] == [0] * PROCESSES
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    named = [line.split() for lines in (*before, *after, *rest) for line in lines]
    return fleet, [(int(size), key) for size, key in named]


def test_no_process_of_a_fleet_signs_with_the_retired_key_beyond_the_rotation(rotated_under_load):
    fleet, named = rotated_under_load
    history = fleet.history()
    assert {(size, history.of_size(size).key.key_hash.hex()) for size, _ in named} == set(named)
    assert {key for _, key in named} == {epoch.key.key_hash.hex() for epoch in history.epochs}


def test_every_checkpoint_that_a_fleet_published_is_of_the_key_of_its_size(rotated_under_load):
    fleet, _ = rotated_under_load
    history = fleet.history()
    assert all(history.open(signed).size > 0 for signed in fleet.published())


def test_the_command_prints_the_new_key_alone(fleet):
    done = fleet.medai("ledger", "rotate-key")
    assert Verifier.parse(done.stdout.strip()) == fleet.history().current.key


def test_the_command_installs_the_new_key_and_leaves_none_of_the_old(fleet):
    fleet.medai("ledger", "rotate-key")
    assert [signer.verifier for signer in fleet.keys.held()] == [fleet.history().current.key]
    assert [path.name for path in (fleet.home / "keys").iterdir()] == ["signing.key"]


def test_a_prepared_key_signs_nothing_until_it_is_rotated_to(fleet):
    prepared = Verifier.parse(fleet.medai("ledger", "rotate-key", "--prepare").stdout.strip())
    assert fleet.history().verifiers == (fleet.first,)
    fleet.medai("ledger", "rotate-key")
    assert fleet.history().verifiers == (fleet.first, prepared)


def test_the_history_is_printed_with_the_records_of_each_key(fleet):
    fleet.medai("ledger", "rotate-key")
    shown = fleet.medai("audit", "key", "--history").stdout.splitlines()
    assert shown == key_chain.lines(fleet.history())


def test_the_history_can_be_taken_away_and_checked_offline_from_the_first_key(fleet, tmp_path):
    for _ in range(2):
        assert fleet.medai("ledger", "rotate-key").returncode == 0
    chain = tmp_path / "keys.json"
    fleet.medai("audit", "key", "--chain", str(chain))
    checked = fleet.medai("audit", "key", "--check", str(chain), "--key", str(fleet.first))
    assert checked.stdout.splitlines() == key_chain.lines(fleet.history())


def test_a_chain_of_a_stranger_s_making_is_found_altered(fleet, tmp_path):
    fleet.medai("ledger", "rotate-key")
    chain = tmp_path / "keys.json"
    fleet.medai("audit", "key", "--chain", str(chain))
    made = key_chain.decode(chain.read_bytes())
    other = signing.create(tmp_path / "other.key", ORIGIN).verifier
    chain.write_bytes(chain.read_bytes().replace(made.first_key.encode(), str(other).encode()))
    assert fleet.medai("audit", "key", "--check", str(chain), "--key", str(other)).returncode == 1


def test_the_policy_that_is_printed_takes_receipts_of_both_keys(fleet, tmp_path):
    fleet.medai("ledger", "rotate-key")
    policy = tmp_path / "policy"
    policy.write_text(fleet.medai("audit", "key", "--policy").stdout)
    receipt = tmp_path / "receipt"
    receipt.write_text(fleet.medai("audit", "record", "0", "--receipt").stdout)
    done = fleet.medai("audit", "verify", "--receipt", str(receipt), "--policy", str(policy))
    assert (done.returncode, rotation.shown(fleet.first) in done.stdout) == (0, True)


def test_a_receipt_is_held_to_the_sizes_of_the_key_that_signed_it(fleet, tmp_path):
    """A policy alone takes any key of the history at any size."""
    old = fleet.keys.held()[0]
    fleet.medai("ledger", "rotate-key")
    fleet.medai("ledger", "rotate-key")
    chain, receipt, forged = tmp_path / "keys.json", tmp_path / "receipt", tmp_path / "forged"
    fleet.medai("audit", "key", "--chain", str(chain))
    receipt.write_text(fleet.medai("audit", "record", "2", "--receipt").stdout)
    head, _, signed = receipt.read_text().partition("\n\n")
    forged.write_text(f"{head}\n\n{note.sign(note.split(signed)[0], (old,))}")
    words = ("--chain", str(chain), "--key", str(fleet.first))
    codes = [fleet.medai("audit", "verify", "--receipt", str(one), *words).returncode for one in (receipt, forged)]
    assert codes == [0, 1]
