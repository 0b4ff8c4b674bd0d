"""The log is served as C2SP tlog-tiles says, and whoever reads it is on record."""

import asyncio
import gzip

import pytest

from audit import record as records
from audit import tiles
from audit.errors import LedgerUnavailable
from tests.http_fakes import TOKEN
from tests.log_fakes import body, leaf
from tests.tile_client import TileClient, path_of, tiles_of

pytestmark = pytest.mark.verifies("REQ-LOG-003")

AUDITOR = {"authorization": "Bearer no-scope"}
SIZE = 600


# -- the checkpoint


def test_the_checkpoint_is_served_as_it_was_published(serving, drive):
    async def scenario():
        running, served = serving()
        answer = await running.ask("GET", "/checkpoint")
        assert (answer.status, answer.body) == (200, served.database.checkpoints[SIZE])

    drive(scenario)


def test_the_checkpoint_is_text_that_no_cache_keeps_for_long(serving, drive):
    async def scenario():
        headers = (await serving()[0].ask("GET", "/checkpoint")).headers
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert headers["cache-control"] == "public, max-age=1"

    drive(scenario)


def test_the_checkpoint_that_meets_the_policy_is_served_before_a_larger_one(serving, drive):
    async def scenario():
        running, served = serving()
        attested = served.attest()
        served.grow(SIZE + 5)
        served.sign()
        assert (await running.ask("GET", "/checkpoint")).body == attested.encode()

    drive(scenario)


def test_without_a_signed_checkpoint_there_is_none(service, drive):
    async def scenario():
        answer = await service().ask("GET", "/checkpoint")
        assert (answer.status, answer.json["code"]) == (404, "not_found")

    drive(scenario)


# -- tiles


def test_a_stranger_s_client_finds_the_tiles_and_entries_of_the_signed_root(serving, drive):
    async def scenario():
        running, served = serving()
        fetched = {"checkpoint": (await running.ask("GET", "/checkpoint")).body}
        for level, index, width in tiles_of(SIZE):
            for kind in (level, "entries") if level == 0 else (level,):
                path = path_of(kind, index, width)
                fetched[path] = (await running.ask("GET", f"/{path}", headers=AUDITOR)).body
        client = TileClient(str(served.signer.verifier), fetched.__getitem__)
        client.update()
        assert client.verify_entries() == [body(at) for at in range(SIZE)]

    drive(scenario)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/tile/0/000", "public, max-age=31536000, immutable"),
        ("/tile/0/002.p/88", "public, max-age=60"),
        ("/tile/0/000.p/7", "public, max-age=60"),
        ("/tile/1/000.p/2", "public, max-age=60"),
    ],
)
def test_a_full_tile_is_kept_for_ever_and_a_partial_one_for_a_while(serving, drive, path, kept):
    async def scenario():
        answer = await serving()[0].ask("GET", path)
        assert (answer.status, answer.headers["cache-control"]) == (200, kept)

    drive(scenario)


@pytest.mark.parametrize("path", ["/tile/0/000", "/tile/0/002.p/88", "/tile/1/000.p/1"])
def test_a_tile_is_bytes(serving, drive, path):
    async def scenario():
        assert (await serving()[0].ask("GET", path)).headers["content-type"] == "application/octet-stream"

    drive(scenario)


@pytest.mark.parametrize("width", [1, 2, 87, 88])
def test_a_partial_tile_of_any_width_up_to_the_current_one_is_cut_on_demand(serving, drive, width):
    async def scenario():
        answer = await serving()[0].ask("GET", f"/tile/0/002.p/{width}")
        assert answer.body == b"".join(leaf(at) for at in range(512, 512 + width))

    drive(scenario)


NOT_THERE = {
    "a wider partial tile": "/tile/0/002.p/89",
    "the full tile of a partial one": "/tile/0/002",
    "a tile beyond the end": "/tile/0/003.p/1",
    "a tile far beyond the end": "/tile/0/x999/x999/x999/x999/x999/x999/999",
    "a wider tile above": "/tile/1/000.p/3",
    "a tile of a level that is not begun": "/tile/2/000.p/1",
    "the highest level": "/tile/63/000",
    "a level that cannot be": "/tile/64/000",
    "no index": "/tile/0/0",
    "no level": "/tile/zero/000",
    "a slash at the end": "/tile/0/000/",
    "two slashes": "/tile/0//000",
    "an escape": "/tile/0/%30%30%30",
    "an escaped slash": "/tile/0/x001%2F000",
    "a width of nothing": "/tile/0/000.p/0",
    "a width of a full tile": "/tile/0/000.p/256",
    "the folder": "/tile",
    "a folder within": "/tile/0",
}


@pytest.mark.parametrize("path", NOT_THERE.values(), ids=NOT_THERE)
def test_what_is_not_there_yet_or_never_will_be_is_not_found(serving, drive, path):
    async def scenario():
        answer = await serving()[0].ask("GET", path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
        assert answer.headers["cache-control"] == "no-store"

    drive(scenario)


def test_a_tile_that_was_not_there_is_served_once_it_is(serving, drive):
    async def scenario():
        running, served = serving()
        assert (await running.ask("GET", "/tile/0/002")).status == 404
        served.grow(800)
        served.sign()
        answer = await running.ask("GET", "/tile/0/002")
        assert (answer.status, len(answer.body)) == (200, 8192)

    drive(scenario)


def test_a_tile_of_records_that_are_not_signed_yet_is_served_and_never_kept(serving, drive):
    async def scenario():
        running, served = serving()
        served.grow(800)
        full = await running.ask("GET", "/tile/0/002")
        assert (full.status, full.headers["cache-control"]) == (200, "no-store")
        before = await running.ask("GET", "/tile/0/001")
        assert before.headers["cache-control"] == "public, max-age=31536000, immutable"

    drive(scenario)


# -- entries


def test_a_bundle_has_each_record_with_its_length_before_it(serving, drive):
    async def scenario():
        answer = await serving()[0].ask("GET", "/tile/entries/002.p/3", headers=AUDITOR)
        assert answer.body == b"".join(len(body(at)).to_bytes(2) + body(at) for at in (512, 513, 514))

    drive(scenario)


@pytest.mark.parametrize("path", ["/tile/entries/000", "/tile/entries/002.p/5"])
def test_a_bundle_is_bytes_for_its_caller_alone(serving, drive, path):
    async def scenario():
        headers = (await serving()[0].ask("GET", path, headers=AUDITOR)).headers
        assert (headers["cache-control"], headers["content-type"]) == ("private", "application/octet-stream")

    drive(scenario)


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [(None, 401, "unauthenticated"), ("nobody-s", 401, "unauthenticated"), (TOKEN, 403, "forbidden")],
)
def test_a_bundle_is_for_the_scope_of_auditors_alone(serving, drive, token, status, code):
    async def scenario():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await serving()[0].ask("GET", "/tile/entries/000", headers=headers)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert answer.headers["cache-control"] == "no-store"

    drive(scenario)


@pytest.mark.parametrize("path", ["/tile/entries/002.p/89", "/tile/entries/003", "/tile/entries/0"])
def test_a_bundle_that_is_not_there_is_not_found(serving, drive, path):
    async def scenario():
        assert (await serving()[0].ask("GET", path, headers=AUDITOR)).status == 404

    drive(scenario)


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip", "GZIP;q=0.5", "gzip, identity"])
def test_a_bundle_is_compressed_for_who_asks_for_it(serving, drive, accepted):
    async def scenario():
        running, _ = serving()
        plain = (await running.ask("GET", "/tile/entries/000", headers=AUDITOR)).body
        packed = await running.ask("GET", "/tile/entries/000", headers=AUDITOR | {"accept-encoding": accepted})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "accept-encoding"
        assert gzip.decompress(packed.body) == plain

    drive(scenario)


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "*"])
def test_a_bundle_is_as_it_is_for_who_does_not(serving, drive, accepted):
    async def scenario():
        answer = await serving()[0].ask("GET", "/tile/entries/000", headers=AUDITOR | {"accept-encoding": accepted})
        assert "content-encoding" not in answer.headers
        assert tiles.decode_entries(answer.body)[0] == body(0)

    drive(scenario)


def test_one_token_may_not_ask_for_bundles_faster_than_its_rate(serving, drive):
    async def scenario():
        running, _ = serving(caller_rate_per_s=1, caller_burst=1)
        statuses = [(await running.ask("GET", "/tile/entries/000", headers=AUDITOR)).status for _ in range(2)]
        assert statuses == [200, 429]

    drive(scenario)


# -- on record


def test_checkpoints_and_tiles_are_folded_into_one_record_of_their_peer(serving, drive):
    async def scenario():
        running, _ = serving()
        for path in ("/checkpoint", "/tile/0/000", "/tile/0/002.p/88", "/tile/1/000.p/2"):
            assert (await running.ask("GET", path)).headers["ledger-index"] == "0"
        assert [type(record) for record in running.ledger.records] == [records.Window]

    drive(scenario)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/tile/entries/000", "/tile/entries/{bundle}"),
        ("/tile/entries/002.p/5", "/tile/entries/{bundle}"),
        ("/audit/proof/inclusion?index=5", "/audit/proof/inclusion"),
        ("/audit/proof/consistency?old=5", "/audit/proof/consistency"),
    ],
)
def test_bundles_and_proofs_are_recorded_each(serving, drive, path, route):
    async def scenario():
        running, _ = serving()
        for _ in range(2):
            assert (await running.ask("GET", path, headers=AUDITOR)).status == 200
        assert [(record.route, record.status) for record in running.ledger.of_kind(records.Request)] == [
            (route, 200)
        ] * 2

    drive(scenario)


def test_who_read_a_bundle_is_on_record(serving, drive):
    async def scenario():
        running, _ = serving()
        await running.ask("GET", "/tile/entries/000", headers=AUDITOR)
        assert [record.actor for record in running.ledger.of_kind(records.Request)] == ["reader"]

    drive(scenario)


@pytest.mark.parametrize("path", ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/audit/proof/inclusion?index=5"])
def test_nothing_of_the_log_is_served_that_cannot_be_recorded(serving, drive, path):
    async def scenario():
        running, _ = serving()
        running.ledger.down = "the database is away"
        answer = await running.ask("GET", path, headers=AUDITOR)
        assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")

    drive(scenario)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/tile/0/x001/000", "/tile/{level}/{tile}"),
        ("DELETE", "/tile/entries/x001/000.p/5", "/tile/entries/{bundle}"),
        ("PUT", "/checkpoint", "/checkpoint"),
    ],
)
def test_another_method_is_recorded_under_the_route_that_it_missed(serving, drive, method, path, route):
    async def scenario():
        running, _ = serving()
        answer = await running.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert [record.route for record in running.ledger.of_kind(records.Request)] == [route]

    drive(scenario)


@pytest.mark.parametrize("path", ["/checkpoint", "/tile/0/000", "/audit/proof/inclusion?index=5"])
def test_head_gives_the_headers_of_get(serving, drive, path):
    async def scenario():
        running, _ = serving()
        asked, got = await running.ask("HEAD", path), await running.ask("GET", path)
        assert (asked.status, asked.body) == (200, b"")
        assert asked.headers["content-length"] == str(len(got.body))

    drive(scenario)


@pytest.mark.parametrize(("path", "accept"), [("/checkpoint", "image/png"), ("/tile/0/000", "text/html")])
def test_who_cannot_read_the_answer_is_told(serving, drive, path, accept):
    async def scenario():
        assert (await serving()[0].ask("GET", path, headers={"accept": accept})).status == 406

    drive(scenario)


# -- a database that cannot be read


@pytest.mark.parametrize("path", ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/audit/proof/inclusion?index=5"])
def test_a_log_that_cannot_be_read_is_on_record_and_no_outage(serving, drive, path):
    async def scenario():
        running, served = serving()
        served.database.reachable = False
        answer = await running.ask("GET", path, headers=AUDITOR)
        assert (answer.status, answer.json["code"]) == (503, "log_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (running.ledger.refused_count, len(running.ledger.of_kind(records.Request))) == (0, 1)

    drive(scenario)


class _Slow:
    """A reader that answers when it is told to."""

    def __init__(self, reader):
        self._reader = reader
        self.gate = asyncio.Event()
        self.waiting = 0

    async def checkpoint(self):
        self.waiting += 1
        await self.gate.wait()
        return await self._reader.checkpoint()


def test_more_readers_than_may_wait_are_told_to_come_back(serving, drive):
    async def scenario():
        running, served = serving(max_log_reads=2)
        slow = _Slow(served.reader)
        running.read_from(slow)
        first = [asyncio.ensure_future(running.ask("GET", "/checkpoint")) for _ in range(2)]
        while slow.waiting < 2:
            await asyncio.sleep(0)
        answer = await running.ask("GET", "/checkpoint")
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        slow.gate.set()
        assert [(await one).status for one in first] == [200, 200]
        assert (await running.ask("GET", "/checkpoint")).status == 200

    drive(scenario)


def test_a_reading_that_failed_leaves_its_place(serving, drive):
    async def scenario():
        running, served = serving(max_log_reads=1)

        class Failing(_Slow):
            async def checkpoint(self):
                raise LedgerUnavailable("away")

        running.read_from(Failing(served.reader))
        for _ in range(3):
            assert (await running.ask("GET", "/checkpoint")).json["code"] == "log_unavailable"

    drive(scenario)
