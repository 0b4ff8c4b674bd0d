"""What a flood of strangers costs a caller with a token: its latency meanwhile over its latency before and after."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from msgspec import Struct

from tests.benchmarks.crew import Crew
from tests.benchmarks.fleet import AUDITED, Fleet
from tests.benchmarks.lone import Caller
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, percentile
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.throughput import MODEL, slice_of_the_model

TARGET = 2.0
"""Of the medians. Generous: the flood shares the machine with what it floods."""
WARM_UP = 5


class Flood(Struct, frozen=True, kw_only=True):
    title: str
    connections: int
    addresses: int
    leaves: bool


FLOODS = (
    Flood(title="refusals to 64 connections of one address", connections=64, addresses=1, leaves=False),
    Flood(title="refusals to 64 connections of as many addresses", connections=64, addresses=64, leaves=False),
    Flood(title="connections of one address that ask and leave", connections=32, addresses=1, leaves=True),
    Flood(title="connections of 10,000 addresses that ask and leave", connections=32, addresses=10_000, leaves=True),
)


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """One for each flood: slices with and without it, again and again."""
    log, image = place.log("floods"), slice_of_the_model()
    with (
        Fleet(AUDITED, log, workers=1) as fleet,
        Crew("flooder", (), count=1) as flooder,
        ThreadPoolExecutor(1) as beside,
        Caller(fleet, image) as caller,
    ):
        for _ in range(WARM_UP):
            caller.seconds()
        for flood in FLOODS[: sizes.configurations]:
            quiet: list[float] = []
            flooded: list[float] = []
            told: dict[str, float] = {}
            order = {"connections": flood.connections, "addresses": flood.addresses, "leaves": flood.leaves}
            for _ in range(sizes.other_rounds):
                quiet += _slice(caller, sizes.slice_s)
                flooding = beside.submit(flooder.ask, port=fleet.port, seconds=sizes.slice_s, **order)
                flooded += _slice(caller, sizes.slice_s)
                (told,) = flooding.result()
            yield Row(
                name="median latency of /infer during a flood over without",
                configuration=f"{flood.title}; {MODEL}, {image.title}, 1 worker process, 1 client with a token",
                ratio=percentile(flooded, 50) / percentile(quiet, 50),
                target=TARGET,
                bound="at most",
                measured={
                    **{f"{name} ms": 1000 * percentile(quiet, at) for name, at in (("median", 50), ("p99", 99))},
                    **{
                        f"{name} ms flooded": 1000 * percentile(flooded, at)
                        for name, at in (("median", 50), ("p99", 99))
                    },
                    **{f"flood: {name}/s": per_s for name, per_s in told.items()},
                },
            )


def _slice(caller: Caller, seconds: float) -> list[float]:
    end = perf_counter() + seconds
    taken = []
    while perf_counter() < end:
        taken.append(caller.seconds())
    return taken
