"""`make bench`: how fast it is, as ratios that hold on any machine, each made in one run.

    python -m tests.benchmarks [PART ...]    parts: infer pods lone append writers others flood capacity verify
    trace sbom
    (all, unless some are named)

BENCH_QUICK=1 runs each part for moments only, to see that it runs. Nothing here passes or fails: a machine that is
busy with something else measures badly, and says so nowhere but in its load average.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks import (
    appends,
    bills,
    capacity,
    floods,
    lone,
    others,
    place,
    pods,
    report,
    sizes,
    throughput,
    tracing,
    verifying,
    writers,
)  # fmt: skip
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row
from tests.benchmarks.sizes import Sizes

OUT = Path("build/bench")

PARTS: dict[str, Callable[[Place, Sizes], Iterator[Row]]] = {
    "infer": lambda where, size: throughput.rows(where, size, throughput.configurations()[: size.configurations]),
    "pods": pods.rows,
    "lone": lambda where, size: iter((lone.row(where, size),)),
    "append": lambda where, size: iter((appends.row(where, size),)),
    "writers": writers.rows,
    "others": others.rows,
    "flood": floods.rows,
    "capacity": capacity.rows,
    "verify": verifying.rows,
    "trace": tracing.rows,
    "sbom": bills.rows,
}


def main(arguments: Sequence[str]) -> int:
    wanted = list(arguments) or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended first
    size = sizes.chosen()
    rows: list[Row] = []
    with place.made() as where:
        about = report.environment(where.maintenance_url, "quick" if size is sizes.QUICK else "full")
        for part in wanted:
            sys.stderr.write(f"measuring: {part}\n")
            rows += PARTS[part](where, size)
    sys.stdout.write(report.write(OUT, about, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
