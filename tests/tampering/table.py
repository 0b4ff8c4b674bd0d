"""What is done to a ledger's tables, and the one class and place that verification must give it.

These are the lines of docs/tamper.md; a test holds the page to them. `at` is the index of the record that is meant, of
one in the batch or tile that is, or the size of a checkpoint.
"""

from typing import Final

from audit.derived import COLUMNS
from tests.tampering import changes, places
from tests.tampering import tables as do
from tests.tampering.changes import beside, far, partner, shortly_before
from tests.tampering.ledger import FOREIGN_KEY, KEY, NEXT_KEY, ORIGIN, OTHER_POLICY, key_of
from tests.tampering.mutation import Mutation

LEAF: Final = "leaf hash"
ROW: Final = "leaf hash, columns"
CHAIN: Final = "leaf hash, columns, chain"
TREE: Final = "leaf hash, columns, frontiers, tiles"
BATCHES: Final = "leaf hash, columns, chain, frontiers"
TILES: Final = "leaf hash, columns, tiles"
ALL: Final = "everything in the database"

ROW_COLUMNS: Final = ("idx", "event_id", "record", "leaf_hash", *COLUMNS)


def _columns(table: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{table}.{name}" for name in names)


_RECORD: Final = _columns("records", "record")
_WHOLE_ROWS: Final = _columns("records", *ROW_COLUMNS)

EDITED: Final = (
    Mutation(columns=_RECORD, what="a record", change=changes.reworded),
    Mutation(
        columns=_RECORD, what="a record, in what a column says", recomputed=LEAF,
        change=changes.with_leaf(changes.redated),
    ),
    Mutation(
        columns=_RECORD, what="a record, in what no column says", recomputed=LEAF,
        where=places.hashed_with, change=changes.with_leaf(changes.reworded),
    ),
    Mutation(columns=_RECORD, what="a record", recomputed=ROW, where=places.hashed_with, change=changes.rewritten),
    Mutation(
        columns=_RECORD, what="a record", recomputed=TILES, where=places.hashed_with,
        change=changes.then(changes.rewritten, do.recompute_tiles),
    ),
    Mutation(
        columns=_RECORD, what="a record", recomputed=CHAIN, where=places.hashed_with,
        change=changes.then(changes.rewritten, do.recompute_chain),
    ),
    Mutation(
        columns=_RECORD, what="a record", recomputed=TREE, where=places.batch,
        change=changes.then(changes.rewritten, do.recompute_frontiers, do.recompute_tiles),
    ),
    Mutation(
        columns=_RECORD, what="a record of a whole tile", recomputed=BATCHES, fault="suffix_rewritten",
        where=places.interval_in_tile, at=(35, 300),
        change=changes.then(changes.rewritten, do.recompute_chain, do.recompute_frontiers),
    ),
    Mutation(
        columns=_RECORD, what="a record", recomputed=ALL, fault="suffix_rewritten", where=places.interval,
        change=changes.then(changes.rewritten, do.recompute_all),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="another record's row over it", where=places.hashed_with, change=changes.overwrite
    ),
    Mutation(
        columns=_columns("records", "leaf_hash"), what="a leaf hash", fault="hash_edited", part="leaf",
        change=changes.flipped("leaf_hash"),
    ),
    *(
        Mutation(
            columns=_columns("records", name), what=f"the column {name}", fault="derived_column", part="column",
            change=changes.flipped(name), at=(2, 5, 300),
        )
        for name in ("event_id", *COLUMNS)
    ),
)  # fmt: skip

MOVED: Final = (
    Mutation(
        columns=_RECORD, what="the bytes of two records of a batch, swapped", fault="reordered",
        where=places.both(partner), place="both records", change=changes.swap(partner, "record"),
    ),
    Mutation(
        columns=_RECORD, what="the bytes of two records of two batches, swapped", fault="reordered",
        where=places.both(far), place="both records", change=changes.swap(far, "record"),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="two records of a batch, swapped", fault="reordered",
        where=places.both(partner), place="both records", change=changes.swap(partner, "idx"),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="two records of two batches, swapped", fault="reordered",
        where=places.both(far), place="both records", change=changes.swap(far, "idx"),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a batch's first record and one of the batch before, swapped",
        fault="reordered", where=places.both(shortly_before), place="both records",
        change=changes.swap(shortly_before, "idx"), at=(65, 272, 532),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="two records, swapped", recomputed=ALL, fault="suffix_rewritten",
        where=lambda plan, at: [plan.between_signed(min(at, far(at)))], place=places.interval.__doc__ or "",
        change=changes.then(changes.swap(far, "idx"), do.recompute_all),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved within its batch, the others making place",
        fault="reordered", where=places.span(partner), place="from the one place to the other",
        change=changes.move(partner),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved to another batch, the others making place",
        fault="reordered", where=places.span(far), place="from the one place to the other", change=changes.move(far),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved to the batch after or before, the others making place",
        fault="reordered", where=places.span(beside), place="from the one place to the other",
        change=changes.move(beside), at=(50, 70, 300, 560, 595),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved to the ledger's end, the others making place",
        fault="reordered", where=lambda plan, at: [(at, plan.size)], place="from the one place to the other",
        change=lambda tables, at: changes.move(lambda _: len(tables.records) - 1)(tables, at), at=(150, 300),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved beyond the ledger's end", fault="reordered",
        change=lambda tables, at: tables.record(at).update(idx=1 << 40),
    ),
    Mutation(
        columns=_columns("records", "idx"), what="a record moved below 0", fault="reordered",
        change=lambda tables, at: tables.record(at).update(idx=-1),
    ),
)  # fmt: skip

COUNTED: Final = (
    Mutation(columns=_WHOLE_ROWS, what="a record deleted", fault="deleted", change=changes.delete),
    Mutation(
        columns=_WHOLE_ROWS, what="a record deleted, those after it moved up", fault="deleted",
        where=places.hashed_with, change=changes.delete_and_close, at=(35, 300),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record deleted, those after it moved up", recomputed=ALL,
        fault="suffix_rewritten", where=places.interval, at=(35, 300),
        change=changes.then(changes.delete_and_close, do.recompute_all),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record before the key's rotation deleted, those after it moved up", recomputed=ALL,
        fault="suffix_rewritten", where=places.interval, at=(1, 7),
        change=changes.then(changes.delete_and_close, do.recompute_all),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record put in, those after it moved down", fault="inserted",
        change=changes.insert,
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record twice, those after it moved down", fault="inserted", where=places.after,
        change=changes.insert_copy,
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record put in, those after it moved down", recomputed=ALL,
        fault="suffix_rewritten", where=places.interval, change=changes.then(changes.insert, do.recompute_all),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record added at the end", fault="inserted", where=places.added,
        change=changes.append,
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="a record again at the end", fault="inserted", where=places.added,
        change=changes.append_copy,
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="the last records deleted, and all that is about them (a rolled-back backup)",
        fault="truncated", where=places.end, change=changes.cut(), at=(41, 272, 592),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="the last records deleted, and their batches' rows", fault="truncated",
        where=places.end, change=changes.cut("nodes", "checkpoints"), at=(41, 272, 592),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="the last records deleted", fault="truncated", where=places.rest,
        change=changes.cut("batches", "nodes", "checkpoints"), at=(60, 300, 580),
    ),
    Mutation(
        columns=_WHOLE_ROWS, what="the last records deleted, in the middle of a batch, and its row",
        fault="truncated", where=lambda plan, at: places.end(plan, plan.batch_of(at)[0]),
        place=places.end.__doc__ or "", change=changes.cut("nodes", "checkpoints"), at=(60, 300, 596),
    ),
)  # fmt: skip

BATCHES_AND_TILES: Final = (
    Mutation(
        columns=_columns("batches", "chain"), what="a chain hash", fault="hash_edited", part="chain",
        where=places.batch, change=changes.flip_batch("chain"),
    ),
    Mutation(
        columns=_columns("batches", "frontier"), what="a hash of a frontier", fault="hash_edited", part="batch",
        where=places.batch, change=changes.flip_batch("frontier"),
    ),
    Mutation(
        columns=_columns("batches", "chain", "frontier"), what="a chain hash and a hash of the frontier",
        fault="hash_edited", part="batch", where=places.batch, change=changes.flip_batch("chain", "frontier"),
        at=(35, 300),
    ),
    Mutation(
        columns=_columns("batches", "frontier"), what="a frontier with a hash too few", fault="hash_edited",
        part="batch", where=places.batch, change=changes.of_batch("frontier", lambda row: row["frontier"][1:]),
    ),
    *(
        Mutation(
            columns=_columns("batches", "first"), what=f"where a batch begins, {words}", fault="hash_edited",
            part="batch", where=places.batch, change=changes.batch_moved("first", by),
        )
        for by, words in ((1, "by 1"), (-1, "by -1"), (1 << 40, "far"))
    ),
    *(
        Mutation(
            columns=_columns("batches", "size"), what=f"where a batch ends, {words}", fault="hash_edited",
            part="batch", where=places.batch, change=changes.batch_moved("size", by),
        )
        for by, words in ((1, "by 1"), (-1, "by -1"), (-20, "by -20"), (1 << 40, "far"), (-(1 << 40), "below 0"))
        if by != 1
    ),
    Mutation(
        columns=_columns("batches", "size"), what="where a batch ends, by 2", fault="hash_edited", part="batch",
        where=places.batch, change=changes.batch_moved("size", 2), at=(35, 300),
    ),
    Mutation(
        columns=_columns("batches", "size", "first", "chain", "frontier"), what="a batch's row deleted",
        fault="hash_edited", part="batch", where=places.batch_and_next, change=changes.delete_batch,
    ),
    Mutation(
        columns=_columns("nodes", "hash"), what="a subtree hash", fault="hash_edited", part="tile",
        where=places.tile, change=lambda tables, at: changes.flip(changes.tile_row(tables, at), "hash"), at=(35, 300),
    ),
    Mutation(
        columns=_columns("nodes", "idx"), what="a subtree hash's index", fault="hash_edited", part="tile",
        where=places.tile, change=changes.of_tile(idx=7), at=(35, 300),
    ),
    Mutation(
        columns=_columns("nodes", "height"), what="a subtree hash's height", fault="hash_edited", part="tile",
        where=places.tile, change=changes.of_tile(height=16), at=(35, 300),
    ),
    Mutation(
        columns=_columns("nodes", "height"), what="a subtree hash's height, to one that is never stored",
        fault="hash_edited", part="tile", where=places.tile, change=changes.of_tile(height=9), at=(35, 300),
    ),
    Mutation(
        columns=_columns("nodes", "height", "idx", "hash"), what="a subtree hash deleted", fault="hash_edited",
        part="tile", where=places.tile, change=changes.delete_tile, at=(35, 300),
    ),
    Mutation(
        columns=_columns("nodes", "height", "idx", "hash"), what="a subtree hash of records that are not there",
        fault="hash_edited", part="tile", where=lambda _plan, _at: [(1280, 1536)], place="its subtree's records",
        change=changes.add_tile, at=(35,),
    ),
)  # fmt: skip

SIGNED: Final = (
    Mutation(
        columns=_columns("checkpoints", "checkpoint"), what="a published checkpoint", fault="hash_edited",
        part="checkpoint", where=places.size, at=(6, 129, 600),
        change=lambda tables, at: changes.flip(changes.published(tables, at), "checkpoint"),
    ),
    Mutation(
        columns=_columns("checkpoints", "size"), what="a published checkpoint's size", fault="hash_edited",
        part="checkpoint", where=lambda _, at: places.size(_, at + 1), place="the size that is stored",
        at=(41, 129, 600), change=lambda tables, at: changes.published(tables, at).update(size=at + 1),
    ),
    Mutation(
        columns=_columns("checkpoints", "checkpoint"), what="a published checkpoint, another tree's, signed by another",
        fault="wrong_key", part="key", where=places.size, at=(6, 129, 600),
        change=changes.signed_otherwise(lambda _: FOREIGN_KEY),
    ),
    Mutation(
        columns=_columns("checkpoints", "checkpoint"), what="a published checkpoint, another tree's, signed by the log",
        fault="forked", part="key", where=places.size, at=(6, 129, 600), change=changes.signed_otherwise(key_of),
    ),
    Mutation(
        columns=_columns("checkpoints", "size", "checkpoint"), what="a published checkpoint deleted, an anchor kept",
        fault="deleted", part="checkpoint", where=places.size, altered=False, at=(129, 600),
        change=lambda tables, at: tables.checkpoints.remove(changes.published(tables, at)),
    ),
    Mutation(
        columns=_columns("cosigned", "checkpoint"), what="a cosigned checkpoint", fault="hash_edited",
        part="checkpoint", where=places.size, at=(6, 272),
        change=lambda tables, at: changes.flip(changes.cosigned(tables, at), "checkpoint"),
    ),
    Mutation(
        columns=_columns("cosigned", "size"), what="a cosigned checkpoint's size", fault="hash_edited",
        part="checkpoint", where=lambda _, at: [(at + 1, at + 1), (at + 1, at + 1)][:1],
        place="the size that is stored", at=(272,),
        change=lambda tables, at: [row.update(size=at + 1) for row in tables.cosigned if row["size"] == at] and None,
    ),
    Mutation(
        columns=_columns("cosigned", "version"), what="a cosigned checkpoint's version", fault="hash_edited",
        part="checkpoint", where=places.size, at=(6, 272),
        change=lambda tables, at: changes.cosigned(tables, at).update(version=7),
    ),
    Mutation(
        columns=_columns("cosigned", "size", "version", "attested", "policy", "checkpoint"),
        what="a cosigned checkpoint deleted, but not the last of its size", fault="hash_edited", part="checkpoint",
        where=places.size, at=(6, 272),
        change=lambda tables, at: tables.cosigned.remove(next(row for row in tables.cosigned if row["size"] == at)),
    ),
    Mutation(
        columns=_columns("cosigned", "attested"), what="a cosigned checkpoint's verdict", fault="derived_column",
        part="column", where=places.size, at=(6, 272),
        change=lambda tables, at: changes.cosigned(tables, at).update(attested=False),
    ),
    Mutation(
        columns=_columns("cosigned", "policy"), what="which policy a cosigned checkpoint was judged by",
        fault="hash_edited", part="checkpoint", where=places.size, at=(6, 272),
        change=lambda tables, at: changes.flip(changes.cosigned(tables, at), "policy"),
    ),
    Mutation(
        columns=_columns("policies", "policy"), what="a policy", fault="hash_edited", part="checkpoint",
        where=lambda plan, _: [(size, size) for size in plan.cosigned], place="each size that it was asked of", at=(6,),
        change=lambda tables, _: tables.policies[0].update(policy=OTHER_POLICY),
    ),
    Mutation(
        columns=_columns("policies", "digest"), what="a policy's digest", fault="hash_edited", part="checkpoint",
        where=lambda plan, _: [(size, size) for size in plan.cosigned], place="each size that it was asked of", at=(6,),
        change=lambda tables, _: changes.flip(tables.policies[0], "digest"),
    ),
)  # fmt: skip

BEGINNING: Final = (
    Mutation(
        columns=_RECORD, what="the origin in record 0", recomputed=LEAF, where=places.first, key=KEY, at=(0,),
        change=changes.with_leaf(changes.genesis(origin="log.example/another")),
    ),
    Mutation(
        columns=_RECORD, what="the origin in record 0", recomputed=ALL, fault="suffix_rewritten", where=places.first,
        key=KEY, at=(0,),
        change=changes.then(changes.with_leaf(changes.genesis(origin=f"{ORIGIN}/2")), do.recompute_all),
    ),
    Mutation(
        columns=_RECORD, what="the key in record 0", recomputed=LEAF, where=places.first, key=KEY, at=(0,),
        change=changes.with_leaf(changes.genesis(verifier_key=str(FOREIGN_KEY.verifier))),
    ),
    Mutation(
        columns=_RECORD, what="the key in record 0", recomputed=ALL, fault="wrong_key", part="key",
        where=places.first, key=KEY, at=(0,),
        change=changes.then(
            changes.with_leaf(changes.genesis(verifier_key=str(FOREIGN_KEY.verifier))), do.recompute_all
        ),
    ),
    *(
        mutation
        for key, words in ((NEXT_KEY, ""), (KEY, ", seen with the first key"))
        for mutation in (
            Mutation(
                columns=_RECORD, what=f"the record that rotates the key{words}", key=key, at=(9,),
                change=changes.flipped("record"),
            ),
            Mutation(
                columns=_WHOLE_ROWS, what=f"the record that rotates the key, deleted{words}", fault="deleted", key=key,
                at=(9,), change=changes.delete,
            ),
            Mutation(
                columns=_columns("records", "kind"), what=f"the kind of the record that rotates the key{words}",
                fault="derived_column", part="column", key=key, at=(9,), change=changes.flipped("kind"),
            ),
        )
    ),
)  # fmt: skip

TABLE: Final = (*EDITED, *MOVED, *COUNTED, *BATCHES_AND_TILES, *SIGNED, *BEGINNING)
