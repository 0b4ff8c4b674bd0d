"""The log as a stranger reads it from the running service, by the specifications alone, and as files."""

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator

import pytest

from tests.system.running import Server, eventually, serving
from tests.tile_client import TileClient, mth, path_of

pytestmark = pytest.mark.system

RECORDS = 600
SIGNED_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Iterator[Server]:
    """Two workers that have some hundred records behind them, all signed."""
    names = ("PEER_RATE_PER_S", "PEER_BURST", "ANSWERS_PER_MINUTE", "ANSWERS_PER_MINUTE_TOTAL")
    settings = {f"MEDAI_{name}": "1000000" for name in names}  # each request is a record of its own
    with serving(tmp_path_factory.mktemp("logged") / "home", settings=settings) as running:
        with running.client(None) as caller:
            for _ in range(RECORDS):
                assert caller.get("/version").status == 200
        yield running


@pytest.fixture(scope="module")
def key(logged) -> str:
    """The log's verifier key, as it is handed out on a second channel."""
    return logged.medai("audit", "key").stdout.strip()


@pytest.fixture
def stranger(logged, key) -> Iterator[TileClient]:
    """A client of the log over HTTP, which has a token for records, after its first update."""
    with logged.client(None) as public, logged.client("audit.read") as auditor:

        def get(path: str) -> bytes:
            client = auditor if path.startswith("tile/entries/") else public
            answer = client.get(f"/{path}", {"Accept-Encoding": "gzip, identity"})
            assert answer.status == 200, (path, answer.code)
            is_packed = answer.headers.get("content-encoding") == "gzip"
            return gzip.decompress(answer.body) if is_packed else answer.body

        client = TileClient(key, get)
        assert _grown(client, RECORDS)
        yield client


def _grown(client: TileClient, size: int) -> bool:
    """Whether the log soon states more than `size` records."""

    def is_larger() -> bool:
        client.update()
        return client.size > size

    return eventually(is_larger, SIGNED_WITHIN_S)


def test_every_tile_leads_to_the_signed_root(stranger):
    assert len(stranger.verify_tiles()) == stranger.size


def test_every_record_hashes_to_its_leaf(stranger):
    entries = stranger.verify_entries()
    assert json.loads(entries[0])["kind"] == "genesis"
    assert len(entries) == stranger.size


def test_a_larger_checkpoint_continues_the_smaller_one(logged, stranger):
    old_size, old_root, old_leaves = stranger.size, stranger.root, stranger.verify_tiles()
    with logged.client(None) as caller:
        assert caller.get("/version").status == 200
    assert _grown(stranger, old_size)
    leaves = stranger.verify_tiles()
    assert leaves[:old_size] == old_leaves
    assert mth(leaves[:old_size]) == old_root


def test_a_partial_tile_of_an_earlier_checkpoint_is_there_as_long_as_anybody_may_ask(logged, stranger):
    width = stranger.size % 256 or 1
    index = stranger.size // 256 if stranger.size % 256 else 0
    with logged.client(None) as caller:
        assert caller.get("/version").status == 200
        assert len(caller.get(f"/{path_of(0, index, width)}").body) == 32 * width


def test_an_answer_s_own_checkpoint_has_its_tiles_at_once(logged, ct_slice, stranger):
    """The receipt's tree is signed with the answer, before it is published."""
    with logged.client() as caller:
        text = caller.infer(ct_slice).json()["ledger"]["proof"].split("\n\n")[1]
    size, root = int(text.split("\n")[1]), b64decode(text.split("\n")[2])
    stranger.size, stranger.root = size, root
    assert len(stranger.verify_tiles()) == size


def test_every_worker_serves_the_same_checkpoint(logged):
    """Nothing is written meanwhile but the window of whoever asks, so both soon have the same to say."""

    def told() -> set[bytes]:
        # Each connection is one worker's for its whole life, so several ask both.
        answers = []
        for _ in range(8):
            with logged.client(None) as caller:
                answers.append(caller.get("/checkpoint").body)
        return set(answers)

    assert eventually(lambda: len(told()) == 1, SIGNED_WITHIN_S)


def test_a_proof_is_verified_by_hand(logged, stranger):
    with logged.client(None) as caller:
        proof = caller.get("/audit/proof/inclusion?index=5&size=8").json()
    leaves = stranger.verify_tiles()
    assert b64decode(proof["leaf_hash"]) == leaves[5]
    assert b64decode(proof["root"]) == mth(leaves[:8])
    # RFC 6962 section 2.1.1: from the leaf's sibling upwards.
    assert [b64decode(value) for value in proof["path"]] == [leaves[4], mth(leaves[6:8]), mth(leaves[:4])]


class TestTilesExport:
    def test_the_files_are_what_is_served(self, logged, stranger, key, tmp_path):
        done = logged.medai("audit", "tiles", "export", str(tmp_path / "log"))
        assert done.returncode == 0, done.stderr
        files = TileClient(key, lambda path: (tmp_path / "log" / path).read_bytes())
        files.update()
        assert _grown(stranger, files.size - 1)
        assert files.verify_entries() == stranger.verify_entries()[: files.size]

    def test_it_goes_on_where_it_ended(self, logged, stranger, key, tmp_path):
        assert logged.medai("audit", "tiles", "export", str(tmp_path / "log")).returncode == 0
        files = TileClient(key, lambda path: (tmp_path / "log" / path).read_bytes())
        files.update()
        before = files.size
        with logged.client(None) as caller:
            assert caller.get("/version").status == 200
        assert _grown(stranger, before)
        assert logged.medai("audit", "tiles", "export", str(tmp_path / "log")).returncode == 0
        files.update()
        assert files.size > before
        assert len(files.verify_entries()) == files.size

    def test_with_another_key_nothing_is_written(self, logged, tmp_path):
        other = "log.example/other+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
        done = logged.medai("audit", "tiles", "export", str(tmp_path / "log"), "--key", other)
        assert done.returncode != 0
        assert not (tmp_path / "log" / "checkpoint").exists()
