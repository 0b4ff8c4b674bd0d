"""How far a ledger reaches, and what is stored outside of it: one statement, so that all of it is of one moment.

What lies within is for the walk to look at. Each part here reads the ends of an index, and little else: on a ledger
that is as it must be, nothing is beyond them.
"""

from typing import Final

from audit.extent import Batch, Extent, Stray
from audit.ports import Row

MAX_LISTED: Final = 1_000

# A batch row that no append could have written tells no size: the last that one could is where batches end.
EXTENT: Final = f"""
    WITH batched AS MATERIALIZED (
        SELECT coalesce((
            SELECT b.size FROM ledger.batches AS b WHERE b.first >= 0 AND b.size - b.first BETWEEN 1 AND 1024
            ORDER BY b.size DESC LIMIT 1
        ), 0) AS size
    ), reached AS MATERIALIZED (
        SELECT greatest(batched.size, coalesce((
            SELECT max(idx) + 1 FROM (
                SELECT idx, idx - row_number() OVER (ORDER BY idx) AS ahead FROM ledger.records
                WHERE idx >= batched.size
            ) AS beyond WHERE ahead = batched.size - 1
        ), 0)) AS size FROM batched
    ), strays AS (
        SELECT coalesce(idx, -1) AS idx, sha256('\\x00'::bytea || coalesce(record, '')) AS leaf FROM (
            (SELECT idx, record FROM ledger.records WHERE idx < 0 ORDER BY idx LIMIT {MAX_LISTED})
            UNION ALL (SELECT idx, record FROM ledger.records WHERE idx IS NULL LIMIT {MAX_LISTED})
            UNION ALL (SELECT idx, record FROM ledger.records
                WHERE idx >= greatest(0, (SELECT size FROM reached)) ORDER BY idx LIMIT {MAX_LISTED})
        ) AS r ORDER BY idx LIMIT {MAX_LISTED}
    ), rows AS (
        SELECT coalesce(first, -1) AS first, coalesce(size, -1) AS size, coalesce(chain, '') AS chain,
            coalesce(frontier, '{{}}') AS frontier FROM (
            (SELECT * FROM ledger.batches WHERE size < 1 ORDER BY size LIMIT {MAX_LISTED})
            UNION ALL (SELECT * FROM ledger.batches WHERE size IS NULL LIMIT {MAX_LISTED})
            UNION ALL (SELECT * FROM ledger.batches
                WHERE size > greatest(0, (SELECT size FROM reached)) ORDER BY size LIMIT {MAX_LISTED})
        ) AS b ORDER BY size LIMIT {MAX_LISTED}
    ), subtrees AS (
        (SELECT n.height, n.idx, n.hash FROM reached, generate_series(8, 56, 8) AS h (height)
            JOIN ledger.nodes AS n USING (height)
            WHERE n.idx < 0 OR n.idx >= reached.size >> h.height LIMIT {MAX_LISTED})
        UNION ALL
        (SELECT coalesce(height, 0::smallint), coalesce(idx, -1), hash FROM ledger.nodes
            WHERE height <> ALL ('{{8,16,24,32,40,48,56}}') OR height IS NULL OR idx IS NULL LIMIT {MAX_LISTED})
    ), published AS (
        SELECT coalesce(c.size, 0) AS size, c.checkpoint FROM reached, (
            SELECT size, checkpoint FROM ledger.checkpoints UNION ALL SELECT size, checkpoint FROM ledger.cosigned
        ) AS c WHERE c.size < 1 OR c.size > reached.size OR c.size IS NULL ORDER BY c.size LIMIT {MAX_LISTED}
    )
    SELECT batched.size, reached.size,
        coalesce((SELECT idx + 1 FROM ledger.records WHERE idx >= 0 AND idx < reached.size
            ORDER BY idx DESC LIMIT 1), 0),
        (SELECT count(*) FROM ledger.policies WHERE digest IS DISTINCT FROM sha256(policy)),
        ARRAY(SELECT idx FROM strays), ARRAY(SELECT leaf FROM strays),
        ARRAY(SELECT first FROM rows), ARRAY(SELECT size FROM rows), ARRAY(SELECT chain FROM rows),
        ARRAY(SELECT array_to_string(ARRAY(SELECT encode(part, 'hex') FROM unnest(frontier) AS part), ',') FROM rows),
        ARRAY(SELECT height FROM subtrees), ARRAY(SELECT idx FROM subtrees), ARRAY(SELECT hash FROM subtrees),
        ARRAY(SELECT size FROM published), ARRAY(SELECT checkpoint FROM published)
    FROM batched, reached
"""  # nosec B608  # numbers of ours


def extent_of(row: Row) -> Extent:
    batched, end, stored_end, policies = row[:4]
    indices, leaves, firsts, sizes, chains, frontiers, heights, places, hashes, signed_sizes, checkpoints = row[4:]
    return Extent(
        batched=batched,
        end=end,
        stored_end=stored_end,
        policies=policies,
        records=tuple(Stray(index=index, leaf=leaf) for index, leaf in zip(indices, leaves, strict=True)),
        batches=tuple(
            Batch(first=first, size=size, chain=linked, frontier=tuple(map(bytes.fromhex, parts.split(","))))
            for first, size, linked, parts in zip(firsts, sizes, chains, frontiers, strict=True)
        ),
        nodes=tuple(zip(heights, places, hashes, strict=True)),
        checkpoints=tuple(zip(signed_sizes, checkpoints, strict=True)),
    )
