"""A tile is accepted at once only where it would be accepted record by record."""

from hashlib import sha256
from struct import pack
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from audit import packed, record
from audit.derived import COLUMNS, columns_of
from audit.errors import Malformed
from tests.audit_records import values
from tests.benchmarks.predictions import prediction

KINDS = get_args(record.Record)
FULL_PREDICTIONS = st.just(prediction())  # every member is there but a frame, as of most
PREDICTIONS = FULL_PREDICTIONS | values(inspect.type_info(record.Prediction))
RECORDS = st.one_of(FULL_PREDICTIONS, *(values(inspect.type_info(kind)) for kind in KINDS))
FULL = (record.Prediction, record.Request)
"""The kinds that an expression reads; the others are decoded."""


def tile_of(entries, *, first=512):
    return tile_of_bytes([record.encode(entry) for entry in entries], [packed.line(entry) for entry in entries], first)


def tile_of_bytes(bodies, lines, first=512):
    return packed.Tile(
        first=first,
        indices=pack(f">{len(bodies)}q", *range(first, first + len(bodies))),
        lengths=pack(f">{len(bodies)}I", *(len(body) + 1 for body in bodies)),
        bodies=b"\x00".join(bodies),
        leaves=b"".join(sha256(b"\x00" + body).digest() for body in bodies),
        lines=b"\n".join(lines),
    )


def accepted(tile, count, *, schema=True):
    return packed.judge(tile, tile.first, tile.first + count, schema=schema)


@pytest.mark.verifies("REQ-AUD-022")
@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_records_of_any_kind_are_accepted_with_their_leaves_and_clocks(entries):
    judged = accepted(tile_of(entries), len(entries))
    assert judged is not None
    assert judged.leaves == [sha256(b"\x00" + record.encode(entry)).digest() for entry in entries]
    assert judged.clocks == [entry.recorded_at_us for entry in entries]


@pytest.mark.verifies("REQ-AUD-022")
@given(RECORDS, st.data())
def test_bytes_that_are_no_record_are_not_accepted(entry, data):
    body = bytearray(record.encode(entry))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    mutant = bytes(body)
    try:
        line = packed.line(record.decode(mutant))
    except Malformed:
        line = packed.line(entry)
        assert accepted(tile_of_bytes([mutant], [line]), 1) is None
    else:
        assert accepted(tile_of_bytes([mutant], [line]), 1) is not None


INSERTED = st.sampled_from([b" ", b",", b'"', b"{", b"}", b"\n", b"\x00", b'"actor":"a",', b"null", b"0", b"A", b"-"])


@pytest.mark.verifies("REQ-AUD-022")
@given(PREDICTIONS, INSERTED, st.data())
def test_a_prediction_with_something_inserted_is_accepted_only_if_it_is_one(entry, inserted, data):
    body = record.encode(entry)
    at = data.draw(st.integers(0, len(body)))
    mutant = body[:at] + inserted + body[at:]
    try:
        line = packed.line(record.decode(mutant))
    except Malformed:
        assert accepted(tile_of_bytes([mutant], [packed.line(entry)]), 1) is None
    else:
        assert accepted(tile_of_bytes([mutant], [line]), 1) is not None


@pytest.mark.verifies("REQ-AUD-022")
@given(PREDICTIONS | values(inspect.type_info(record.Request)), st.sampled_from([*COLUMNS, "event_id"]))
def test_a_search_column_that_differs_is_not_accepted(entry, column):
    names = ("event_id", *packed.LINE_COLUMNS[:-1], "name", "version")
    cells = packed.line(entry).split(b",")
    at = names.index("name" if column == "model" else column)
    assume(at < len(cells))
    cells[at] += b"0"
    assert accepted(tile_of_bytes([record.encode(entry)], [b",".join(cells)]), 1) is None


@pytest.mark.parametrize("kind", FULL)
@given(st.data())
def test_a_line_says_every_search_column(kind, data):
    entry = data.draw(values(inspect.type_info(kind)))
    columns = dict(zip(COLUMNS, columns_of(entry), strict=True))
    cells = packed.line(entry).decode().split(",")
    model = cells[len(packed.LINE_COLUMNS) :]
    assert cells[0] == entry.event_id
    assert cells[1 : len(packed.LINE_COLUMNS)] == [
        "" if columns[n] is None else str(columns[n]) for n in packed.LINE_COLUMNS[:-1]
    ]
    assert "@".join(model) == (columns["model"] or "")


@pytest.mark.verifies("REQ-AUD-022")
def test_a_tile_with_a_doubtful_column_is_not_accepted(entries):
    assert accepted(replace(tile_of([entries.request()]), doubtful=1), 1) is None


@pytest.mark.verifies("REQ-AUD-022")
@pytest.mark.parametrize("schema", [True, False])
@pytest.mark.parametrize("member", ["indices", "lengths", "bodies", "leaves"])
def test_a_tile_with_one_byte_changed_is_not_accepted(entries, member, schema):
    tile = tile_of([entries.request() for _ in range(3)])
    content = getattr(tile, member)
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert accepted(replace(tile, **{member: changed}), 3, schema=schema) is None


@pytest.mark.verifies("REQ-AUD-022")
@pytest.mark.parametrize("count", [2, 4])
def test_a_tile_of_another_size_than_expected_is_not_accepted(entries, count):
    assert accepted(tile_of([entries.request() for _ in range(3)]), count) is None


@pytest.mark.verifies("REQ-AUD-022")
def test_records_in_another_order_are_not_accepted(entries):
    tile = tile_of([entries.request() for _ in range(2)])
    swapped = replace(tile, indices=tile.indices[8:] + tile.indices[:8])
    assert accepted(swapped, 2) is None


@pytest.mark.verifies("REQ-AUD-022")
def test_an_empty_tile_is_not_accepted():
    assert accepted(packed.Tile(first=0, indices=b"", lengths=b"", bodies=b"", leaves=b""), 1) is None
