"""pymerkle's tree on SQLite, in an environment of its own: run by `others.py`, with that environment's Python.

    python pymerkle_log.py DATABASE RECORD_BYTES

Standard library and pymerkle alone. Orders on standard input, a line each: {"fill": 5000} appends so many in one go;
{"seconds": 2.0} appends one after the other, each durable before the next; {"proofs": 100, "size": 5000} proves random
records of the tree of that size.
"""

import json
import os
import random
import sys
from time import perf_counter

from pymerkle import SqliteTree  # type: ignore[import-not-found]  # of that environment


def main(database: str, record_bytes: int) -> None:
    tree = SqliteTree(database)
    _say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        if "fill" in order:
            _say(tree.append_entries(os.urandom(record_bytes) for _ in range(order["fill"])))
        elif "seconds" in order:
            _say(_appended(tree, order["seconds"], record_bytes))
        else:
            _say(_proved(tree, order["proofs"], order["size"]))
    tree.close()


def _appended(tree: SqliteTree, seconds: float, record_bytes: int) -> dict[str, object]:
    made = [os.urandom(record_bytes) for _ in range(int(20_000 * seconds))]
    start = perf_counter()
    taken = []
    while made and (begun := perf_counter()) - start < seconds:
        tree.append_entry(made.pop())
        taken.append(round(1000 * (perf_counter() - begun), 3))
    return {"per_s": len(taken) / (perf_counter() - start), "ms": taken}


def _proved(tree: SqliteTree, proofs: int, size: int) -> list[float]:
    taken = []
    for _ in range(proofs):
        index = random.randrange(size) + 1  # pymerkle counts from 1
        begun = perf_counter()
        tree.prove_inclusion(index, size)
        taken.append(round(1000 * (perf_counter() - begun), 3))
    return taken


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
