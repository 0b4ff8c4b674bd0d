"""Row d: what group commit gives, over a commit for each record."""

from audit.settings import LedgerSettings
from tests.benchmarks.appender import told
from tests.benchmarks.crew import Crew
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes

TARGET = 10.0
PROCESSES = 4
IN_FLIGHT = 32
RECORDS_A_S = 25_000  # more than one process can append


def row(place: Place, sizes: Sizes) -> Row:
    """Both variants in the same processes, each in a database of its own, in turns."""
    variants = {"group commit": LedgerSettings().max_batch_records, "a commit a record": 1}
    logs = [told(place.log(f"append_{at}"), max_batch_records=batch) for at, batch in enumerate(variants.values())]
    per_s: dict[str, list[float]] = {name: [] for name in variants}
    with Crew("appender", logs, count=PROCESSES) as processes:
        for _ in range(sizes.append_rounds):
            for at, name in enumerate(variants):
                processes.ask(make=int(RECORDS_A_S * sizes.append_slice_s))
                answers = processes.ask(log=at, seconds=sizes.append_slice_s, in_flight=IN_FLIGHT)
                per_s[name].append(sum(one["per_s"] for one in answers))
    measured = {f"{name}/s": of_slices(slices) for name, slices in per_s.items()}
    grouped, single = measured.values()
    return Row(
        name="appends with group commit over a commit a record",
        configuration=f"{PROCESSES} processes with {IN_FLIGHT} in flight each, records as of a prediction",
        ratio=grouped / single,
        target=TARGET,
        measured=measured,
    )
