"""Every byte of a small ledger in memory that holds a record of each kind: one bit of it is changed, and found."""

import asyncio
from collections.abc import Iterator

import pytest

from audit.derived import COLUMNS
from tests.tampering import judged
from tests.tampering import tables as do
from tests.tampering.ledger import SMALL
from tests.tampering.tables import Tables

BIT = 1
TEXTS = {
    "kind",
    "correlation_id",
    "actor",
    "peer",
    "route",
    "code",
    "decision",
    "model",
    "release",
    "patient",
    "study",
} | {"phase"}
NULLABLE = set(COLUMNS) - {"kind", "recorded_at_us"}
A_UUID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def whole():
    return asyncio.run(judged.written(SMALL))


def variants(value, column) -> Iterator[object]:
    """The value with one bit changed in each of its bytes; none where it may be none, one where there was none."""
    if value is None:
        yield A_UUID if column in do.UUIDS else "x" if column in TEXTS else 1
        return
    if isinstance(value, bytes):
        for at, byte in enumerate(value):
            yield value[:at] + bytes([byte ^ BIT]) + value[at + 1 :]
    elif isinstance(value, tuple):
        for at, part in enumerate(value):
            for changed in variants(part, column):
                yield (*value[:at], changed, *value[at + 1 :])
    elif isinstance(value, bool):
        yield not value
    elif column in do.UUIDS:
        for at, digit in enumerate(value):
            if digit != "-":
                yield f"{value[:at]}{int(digit, 16) ^ BIT:x}{value[at + 1 :]}"
    elif isinstance(value, str):
        for at, character in enumerate(value):
            yield value[:at] + chr(ord(character) ^ BIT) + value[at + 1 :]
        yield from ("", f"{value}x")
    else:
        width = {"status": 2, "height": 2, "version": 2}.get(column, 8)
        for byte in range(width):
            changed = value ^ BIT << 8 * byte
            yield changed if changed >> 8 * width - 1 in (0, -1) else changed - (1 << 8 * width)
        yield -value - 1
    if column in NULLABLE:
        yield None


def missed(whole, table, column, expected) -> list[object]:
    """Each change of the column that is not found as it should be, with what was said instead."""
    made, tables = whole

    async def each():
        found = []
        for number, row in enumerate(tables.of(table)):
            for changed in variants(row[column], column):
                altered = with_value(tables, table, number, column, changed)
                if is_possible(altered, table):
                    said = judged.said(await judged.report_on(altered, made))
                    if said != expected(row, changed):
                        found.append((number, changed, said))
        return found

    return asyncio.run(each())


def is_possible(tables, table) -> bool:
    """Whether the primary key, by which rows are told apart, allows it."""
    keys = [tuple(row[name] for name in do.KEYS[table]) for row in tables.of(table)]
    return len(keys) == len(set(keys))


def with_value(tables, table, number, column, value) -> Tables:
    rows = list(tables.of(table))
    rows[number] = {**rows[number], column: value}
    altered = Tables(**{name: tables.of(name) for name in do.NAMES} | {table: rows})
    altered.sort()
    return altered


def at_record(fault, part):
    return lambda row, _: [(fault, part, row["idx"], row["idx"] + 1)]


def at_batch(part):
    return lambda row, _: [("hash_edited", part, row["first"], row["size"])]


def at_size(fault, part):
    return lambda row, _: [(fault, part, row["size"], row["size"])]


def at_each_cosigned(_row, _value):
    return [("hash_edited", "checkpoint", size, size) for size in SMALL.cosigned]


def test_every_byte_of_every_record(whole):
    assert missed(whole, "records", "record", at_record("record_edited", "record")) == []


def test_every_byte_of_every_index(whole):
    assert missed(whole, "records", "idx", at_record("reordered", "record")) == []


def test_every_byte_of_every_leaf_hash(whole):
    assert missed(whole, "records", "leaf_hash", at_record("hash_edited", "leaf")) == []


@pytest.mark.parametrize("column", ["event_id", *COLUMNS])
def test_every_byte_of_every_search_column(whole, column):
    assert missed(whole, "records", column, at_record("derived_column", "column")) == []


def test_every_byte_of_every_chain_hash(whole):
    assert missed(whole, "batches", "chain", at_batch("chain")) == []


@pytest.mark.parametrize("column", ["frontier", "first", "size"])
def test_every_byte_of_every_other_column_of_a_batch(whole, column):
    assert missed(whole, "batches", column, at_batch("batch")) == []


def test_every_byte_of_every_published_checkpoint(whole):
    assert missed(whole, "checkpoints", "checkpoint", at_size("hash_edited", "checkpoint")) == []


@pytest.mark.parametrize("table", ["checkpoints", "cosigned"])
def test_every_byte_of_the_size_of_a_checkpoint(whole, table):
    expected = lambda _, size: [("hash_edited", "checkpoint", size, size)]  # noqa: E731  # one fact, in one line
    assert missed(whole, table, "size", expected) == []


@pytest.mark.parametrize("column", ["checkpoint", "policy", "version"])
def test_every_byte_of_every_checkpoint_with_cosignatures(whole, column):
    assert missed(whole, "cosigned", column, at_size("hash_edited", "checkpoint")) == []


def test_every_verdict_on_a_checkpoint_with_cosignatures(whole):
    assert missed(whole, "cosigned", "attested", at_size("derived_column", "column")) == []


@pytest.mark.parametrize("column", ["digest", "policy"])
def test_every_byte_of_a_policy(whole, column):
    assert missed(whole, "policies", column, at_each_cosigned) == []
