"""How much is measured: enough for steady medians in some five minutes, or just enough to see that it runs."""

import os

from msgspec import Struct


class Sizes(Struct, frozen=True, kw_only=True):
    """`rounds` are interleaved: each holds one slice of every variant that is compared."""

    configurations: int
    """Of `/infer`; the headline is the first."""
    rounds: int
    slice_s: float
    other_rounds: int
    """Rounds of the configurations beside the headline."""
    lone_rounds: int
    append_rounds: int
    append_slice_s: float
    writers: int
    """How many of the configurations of clients and processes that append."""
    other_records: int
    """Appended to each of the logs that others built, and then proved."""
    proofs: int
    scale_batches: int
    """Appended to the long and to the short ledger."""
    scale_warm_batches: int
    """Appended to the long ledger before: until most pages of its index have been touched."""
    verified_records: int
    verify_rounds: int
    traced: int
    """Requirements, marks and tests of the project whose matrix is made."""
    trace_rounds: int
    bill_rounds: int
    capacity_records: int
    """Of which the bytes are counted, for each size of a commit."""


FULL = Sizes(
    configurations=6,
    rounds=9,
    slice_s=2.0,
    other_rounds=4,
    lone_rounds=800,
    append_rounds=4,
    append_slice_s=2.0,
    writers=8,
    other_records=5_000,
    proofs=2_000,
    scale_batches=200,
    scale_warm_batches=3_000,
    verified_records=200_000,
    verify_rounds=5,
    traced=2_000,
    trace_rounds=3,
    bill_rounds=3,
    capacity_records=10_000,
)
QUICK = Sizes(
    configurations=1,
    rounds=1,
    slice_s=0.4,
    other_rounds=1,
    lone_rounds=20,
    append_rounds=1,
    append_slice_s=0.4,
    writers=1,
    other_records=100,
    proofs=20,
    scale_batches=5,
    scale_warm_batches=5,
    verified_records=5_000,
    verify_rounds=1,
    traced=100,
    trace_rounds=1,
    bill_rounds=1,
    capacity_records=100,
)


def chosen() -> Sizes:
    """Full, unless BENCH_QUICK=1."""
    return QUICK if os.environ.get("BENCH_QUICK") == "1" else FULL
