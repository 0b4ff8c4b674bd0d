"""What a superuser may do to the tables: each takes `Tables` and the index of the record that is meant, or a size."""

from collections.abc import Callable

from msgspec import structs

from audit import note, record
from audit.derived import COLUMNS, columns_of
from audit.record import Genesis, Prediction, Record, Request
from tests.held_anchors import signed_by
from tests.tampering import tables as do
from tests.tampering.tables import Row, Tables

Change = Callable[[Tables, int], object]


def partner(at: int) -> int:
    """Another record of the same batch, two places on."""
    return at + 2


def far(at: int) -> int:
    """A record of another batch."""
    return 70


def beside(at: int) -> int:
    """A record of the batch after, or before, that of `at`."""
    return {50: 70, 70: 50, 300: 560, 560: 300, 595: 540}[at]


def shortly_before(at: int) -> int:
    """A record of the batch before, where `at` is a batch's first."""
    return at - 2 if at == 272 else at - 20


def flip(row: Row, column: str) -> None:
    """One bit of a value of any type; a value where there was none."""
    value = row[column]
    if isinstance(value, bytes):
        middle = len(value) // 2
        row[column] = value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    elif isinstance(value, tuple):
        row[column] = (bytes([value[0][0] ^ 1]) + value[0][1:], *value[1:])
    elif column in do.UUIDS:
        row[column] = (
            "00000000-0000-4000-8000-000000000000" if value is None else f"{int(value[0], 16) ^ 1:x}{value[1:]}"
        )
    elif isinstance(value, str):
        row[column] = chr(ord(value[0]) ^ 1) + value[1:]
    elif value is None:
        row[column] = 1 if column in {"status", "minute_us", "of_index"} else "x"
    elif isinstance(value, bool):
        row[column] = not value
    else:
        row[column] = value ^ 1


def flipped(column: str) -> Change:
    return lambda tables, at: flip(tables.record(at), column)


def reworded(tables: Tables, at: int) -> Row:
    """The record says something else that no column does."""
    row = tables.record(at)
    entry = record.decode(row["record"])
    if isinstance(entry, Prediction):
        other: Record = structs.replace(entry, answer_sha256="0" * 64)
    else:
        assert isinstance(entry, Request)
        other = structs.replace(entry, method="DELETE")
    row["record"] = record.encode(other)
    return row


def redated(tables: Tables, at: int) -> Row:
    """The record says something else that one column does."""
    row = tables.record(at)
    entry = record.decode(row["record"])
    row["record"] = record.encode(structs.replace(entry, recorded_at_us=entry.recorded_at_us + 1))
    return row


def rewritten(tables: Tables, at: int) -> None:
    """Another record altogether, and its columns and leaf hash."""
    row = redated(tables, at)
    row.update(zip(COLUMNS, columns_of(record.decode(row["record"])), strict=True))
    do.rehash(row)


def then(first: Callable[[Tables, int], object], *more: Callable[[Tables], None]) -> Change:
    def change(tables: Tables, at: int) -> None:
        first(tables, at)
        for recompute in more:
            recompute(tables)

    return change


def with_leaf(change: Callable[[Tables, int], Row]) -> Change:
    return lambda tables, at: do.rehash(change(tables, at))


def swap(other: Callable[[int], int], *columns: str) -> Change:
    def change(tables: Tables, at: int) -> None:
        one, two = tables.record(at), tables.record(other(at))
        for column in columns:
            one[column], two[column] = two[column], one[column]
        tables.sort()

    return change


def move(other: Callable[[int], int]) -> Change:
    def change(tables: Tables, at: int) -> None:
        tables.records.insert(other(at), tables.records.pop(at))
        do.renumber(tables)

    return change


def delete(tables: Tables, at: int) -> None:
    tables.records.remove(tables.record(at))


def delete_and_close(tables: Tables, at: int) -> None:
    delete(tables, at)
    do.renumber(tables)


def fresh(tables: Tables, at: int) -> Row:
    """A record of the attacker's, like the one at `at`."""
    row = dict(tables.record(at))
    entry = structs.replace(record.decode(row["record"]), event_id=record.new_event_id())
    row.update(event_id=entry.event_id, record=record.encode(entry))
    do.rehash(row)
    return row


def insert(tables: Tables, at: int) -> None:
    tables.records.insert(at, fresh(tables, at))
    do.renumber(tables)


def insert_copy(tables: Tables, at: int) -> None:
    tables.records.insert(at + 1, dict(tables.record(at)))
    do.renumber(tables)


def append(tables: Tables, at: int) -> None:
    tables.records.append(fresh(tables, at))
    do.renumber(tables)


def append_copy(tables: Tables, at: int) -> None:
    tables.records.append(dict(tables.record(at)))
    do.renumber(tables)


def overwrite(tables: Tables, at: int) -> None:
    row, copied = tables.record(at), tables.record(far(at))
    row.update({name: value for name, value in copied.items() if name != "idx"})


def cut(*kept: str) -> Change:
    """Records from `at` on are gone, and what is about them, but for the tables that are kept."""

    def change(tables: Tables, at: int) -> None:
        tables.records[:] = [row for row in tables.records if row["idx"] < at]
        if "batches" not in kept:
            tables.batches[:] = [row for row in tables.batches if row["size"] <= at]
        if "nodes" not in kept:
            tables.nodes[:] = [row for row in tables.nodes if row["idx"] + 1 << row["height"] <= at]
        if "checkpoints" not in kept:
            tables.checkpoints[:] = [row for row in tables.checkpoints if row["size"] <= at]
            tables.cosigned[:] = [row for row in tables.cosigned if row["size"] <= at]

    return change


def of_batch(column: str, value: Callable[[Row], object]) -> Change:
    def change(tables: Tables, at: int) -> None:
        row = next(row for row in tables.batches if row["first"] <= at < row["size"])
        row[column] = value(row)
        tables.sort()

    return change


def batch_moved(column: str, by: int) -> Change:
    return of_batch(column, lambda row: row[column] + by)


def flip_batch(*columns: str) -> Change:
    def change(tables: Tables, at: int) -> None:
        for column in columns:
            flip(next(row for row in tables.batches if row["first"] <= at < row["size"]), column)

    return change


def delete_batch(tables: Tables, at: int) -> None:
    tables.batches[:] = [row for row in tables.batches if not row["first"] <= at < row["size"]]


def tile_row(tables: Tables, at: int) -> Row:
    return next(row for row in tables.nodes if (row["height"], row["idx"]) == (8, at // 256))


def of_tile(**values: int) -> Change:
    return lambda tables, at: tile_row(tables, at).update(values)


def delete_tile(tables: Tables, at: int) -> None:
    tables.nodes.remove(tile_row(tables, at))


def add_tile(tables: Tables, at: int) -> None:
    tables.nodes.append({**tile_row(tables, at), "idx": 5})


def published(tables: Tables, at: int) -> Row:
    return next(row for row in tables.checkpoints if row["size"] == at)


def cosigned(tables: Tables, at: int) -> Row:
    return next(row for row in reversed(tables.cosigned) if row["size"] == at)


def signed_otherwise(key: Callable[[int], note.Signer]) -> Change:
    def change(tables: Tables, at: int) -> None:
        published(tables, at)["checkpoint"] = signed_by(key(at), at, b"\x11" * 32).encode()

    return change


def genesis(**values: str) -> Callable[[Tables, int], Row]:
    def change(tables: Tables, _: int) -> Row:
        row = tables.record(0)
        entry = record.decode(row["record"])
        assert isinstance(entry, Genesis)
        row["record"] = record.encode(structs.replace(entry, **values))
        return row

    return change
