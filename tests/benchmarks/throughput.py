"""Rows a and b: what `/infer` gives with the ledger, without it, and what the same cores give with no server."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from service.adapters.model_store import BUNDLED
from tests.benchmarks.crew import Crew
from tests.benchmarks.fleet import AUDITED, UNAUDITED, Fleet, environment, request
from tests.benchmarks.place import Log, Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes

AUDITED_TARGET = 0.9
SERVED_TARGET = 0.7
MODEL = "ct-lesion-demo@1.0.0"


class Image(Struct, frozen=True, kw_only=True):
    """What is sent."""

    title: str
    path: Path
    media_type: str = "application/dicom"


class Configuration(Struct, frozen=True, kw_only=True):
    """How it is sent. The headline's targets are the issue's; the others are for comparison."""

    workers: int
    clients: int
    image: Image
    headline: bool = False

    @property
    def words(self) -> str:
        return f"{MODEL}, {self.image.title}, {self.workers} worker processes, {self.clients} clients in 1 process"


def slice_of_the_model() -> Image:
    """What the model was made for: a CT slice of 256 x 256, 16 bits, not compressed."""
    return Image(title="CT 256x256 (samples/positive.dcm)", path=BUNDLED / "ct-lesion-demo/1.0.0/samples/positive.dcm")


def small_slice() -> Image:
    """The smallest CT slice that pydicom carries: the least work beside which recording could hide."""
    spec = importlib.util.find_spec("pydicom")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data" / "test_files"
    return Image(title="CT 128x128 (pydicom's CT_small.dcm)", path=folder / "CT_small.dcm")


def configurations() -> tuple[Configuration, ...]:
    """Fixed before anything is measured: a worker for each core and eight clients for each worker is the headline."""
    cores = len(os.sched_getaffinity(0))
    usual, small = slice_of_the_model(), small_slice()
    return (
        Configuration(workers=cores, clients=8 * cores, image=usual, headline=True),
        Configuration(workers=cores, clients=2 * cores, image=usual),
        Configuration(workers=cores, clients=16 * cores, image=usual),
        Configuration(workers=cores, clients=8 * cores, image=small),
        Configuration(workers=1, clients=4, image=usual),
        Configuration(workers=1, clients=16, image=usual),
    )


def rows(place: Place, sizes: Sizes, wanted: tuple[Configuration, ...]) -> Iterator[Row]:
    """One or two rows for each configuration; those of as many workers share their processes."""
    with Crew("load", (), count=1) as load:
        for workers in dict.fromkeys(one.workers for one in wanted):
            name = f"infer_{workers}"
            log = place.log(name)
            with Fleet(AUDITED, log, workers=workers) as audited, Fleet(UNAUDITED, log, workers=workers) as unaudited:
                for one in wanted:
                    if one.workers == workers:
                        yield from _rows(one, sizes, load, log, audited, unaudited)


def _rows(one: Configuration, sizes: Sizes, load: Crew, log: Log, audited: Fleet, unaudited: Fleet) -> Iterator[Row]:
    with Crew(
        "bare", (str(one.image.path), one.image.media_type), count=one.workers, environment=environment(log)
    ) as bare:
        slices: dict[str, list[float]] = {"audited": [], "unaudited": [], "no server": [], "ms": [], "ms unaudited": []}
        for at in range(sizes.rounds if one.headline else sizes.other_rounds):
            both = [("audited", "ms", audited), ("unaudited", "ms unaudited", unaudited)]
            for variant, latency, fleet in both if at % 2 == 0 else reversed(both):
                (told,) = load.ask(
                    port=fleet.port, clients=one.clients, seconds=sizes.slice_s, request=_file(log, fleet, one, variant)
                )
                slices[variant].append(told["per_s"])
                slices[latency].append(told["median_ms"])
            slices["no server"].append(sum(bare.ask(seconds=sizes.slice_s)))
    per_s = {variant: of_slices(measured) for variant, measured in slices.items()}
    rates = {"audited/s": per_s["audited"], "unaudited/s": per_s["unaudited"], "no server/s": per_s["no server"]}
    latencies = {"audited median ms": per_s["ms"], "unaudited median ms": per_s["ms unaudited"]}
    yield Row(
        name="audited over unaudited throughput of /infer",
        configuration=one.words,
        ratio=per_s["audited"] / per_s["unaudited"],
        target=AUDITED_TARGET if one.headline else None,
        measured={**rates, **latencies},
    )
    yield Row(
        name="audited /infer over decode + preprocess + run without a server",
        configuration=f"{one.words}; {one.workers} bare processes",
        ratio=per_s["audited"] / per_s["no server"],
        target=SERVED_TARGET if one.headline else None,
        measured=rates,
    )


def _file(log: Log, fleet: Fleet, one: Configuration, variant: str) -> str:
    """The request's bytes in a file: the load generator reads it once a slice."""
    path = log.home / f"request-{variant}"
    path.write_bytes(request(fleet, one.image.media_type, one.image.path.read_bytes()))
    return str(path)
