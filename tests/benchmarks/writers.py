"""Rows f: what appending gives as writers grow, and beside it the same table without a ledger."""

from collections.abc import Iterator

from msgspec import Struct

from tests.benchmarks import plain
from tests.benchmarks.appender import told
from tests.benchmarks.crew import Crew
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, of_slices, percentile
from tests.benchmarks.sizes import Sizes

TARGET = 0.6
KINDS = {"audited": "with a ledger", "plain": "plain", "sent": "plain, columns sent"}
RECORDS_A_S = 25_000  # more than one process can append


class Writers(Struct, frozen=True, kw_only=True):
    """So many processes with so many clients each. The target is for those in which batches form."""

    processes: int
    clients: int

    @property
    def words(self) -> str:
        return f"processes {self.processes}, clients of each {self.clients}, records as of a prediction"


WRITERS = (
    Writers(processes=1, clients=32),
    Writers(processes=2, clients=32),
    Writers(processes=4, clients=32),
    Writers(processes=1, clients=128),
    Writers(processes=2, clients=128),
    Writers(processes=4, clients=128),
    Writers(processes=1, clients=8),
    Writers(processes=1, clients=1),
)


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """Each configuration in processes of its own; what is compared takes turns in them."""
    log = place.log("writers")
    plain.make(place.admin_url("writers"))
    logs = [told(log, kind=kind) for kind in KINDS]
    for writers in WRITERS[: sizes.writers]:
        with Crew("appender", logs, count=writers.processes) as crew:
            yield from _rows(writers, sizes, crew)


def _rows(writers: Writers, sizes: Sizes, crew: Crew) -> Iterator[Row]:
    per_s: dict[str, list[float]] = {kind: [] for kind in KINDS}
    p50: dict[str, list[float]] = {kind: [] for kind in KINDS}
    p99: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(sizes.append_rounds):
        for at, kind in list(enumerate(KINDS))[:: 1 if turn % 2 == 0 else -1]:
            crew.ask(make=int(RECORDS_A_S * sizes.append_slice_s))
            answers = crew.ask(log=at, seconds=sizes.append_slice_s, in_flight=writers.clients)
            taken = [ms for answer in answers for ms in answer["ms"]]
            per_s[kind].append(sum(answer["per_s"] for answer in answers))
            p50[kind].append(percentile(taken, 50))
            p99[kind].append(percentile(taken, 99))
    measured = {f"{words}/s": of_slices(per_s[kind]) for kind, words in KINDS.items()}
    for kind, words in KINDS.items():
        measured[f"{words} p50 ms"] = of_slices(p50[kind])
        measured[f"{words} p99 ms"] = of_slices(p99[kind])
    for kind in ("plain", "sent"):
        yield Row(
            name=f"appends with a ledger over batched inserts without one ({KINDS[kind]})",
            configuration=writers.words,
            ratio=of_slices(per_s["audited"]) / of_slices(per_s[kind]),
            target=TARGET if kind == "plain" and writers.clients >= WRITERS[0].clients else None,
            measured=measured if kind == "plain" else {},
        )
