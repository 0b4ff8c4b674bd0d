"""Several services on one database, as pods would be: what two give over what one gives, with one log behind both.

The load is divided among their ports as a balancer would; the balancer's own work is not measured. On a machine of few
cores everything shares them: the services, PostgreSQL and the clients. What grows is then what one service left idle.
"""

from collections.abc import Iterator

from tests.benchmarks.crew import Crew
from tests.benchmarks.fleet import AUDITED, Fleet, request
from tests.benchmarks.place import Log, Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.throughput import Image, slice_of_the_model

PODS = 2
CLIENTS = 16


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    image = slice_of_the_model()
    log = place.log("pods")
    with (
        Fleet(AUDITED, log, workers=1) as one,
        Fleet(AUDITED, log, workers=1) as other,
        Crew("load", (), count=1) as first,
        Crew("load", (), count=1) as second,
    ):
        alone, together = [], []
        for at in range(sizes.other_rounds):
            for variant in ("alone", "together") if at % 2 == 0 else ("together", "alone"):
                if variant == "alone":
                    alone.append(_asked(log, sizes, image, [(first, one)]))
                else:
                    together.append(_asked(log, sizes, image, [(first, one), (second, other)]))
    per_s = {"1 service/s": of_slices(alone), f"{PODS} services/s": of_slices(together)}
    yield Row(
        name=f"throughput of /infer of {PODS} services over that of 1, on one database",
        configuration=f"{image.title}, a process each, {CLIENTS} clients in all; PostgreSQL and they on the same cores",
        ratio=of_slices(together) / of_slices(alone),
        measured=per_s,
    )


def _asked(log: Log, sizes: Sizes, image: Image, pairs: list[tuple[Crew, Fleet]]) -> float:
    """Answers a second of all, at the same time."""
    for crew, fleet in pairs:
        path = log.home / f"request-pod-{fleet.port}"
        path.write_bytes(request(fleet, image.media_type, image.path.read_bytes()))
        crew.order(port=fleet.port, clients=CLIENTS // len(pairs), seconds=sizes.slice_s, request=str(path))
    return sum(told["per_s"] for crew, _ in pairs for told in crew.answers())
