"""Rows t: the matrix of requirements, code, tests and results, beside StrictDoc's warm JSON export of the same set.

"Warm" is the second time: StrictDoc has its caches then, and we have what we read of the same files. Both start as
processes, read everything, and write JSON. What is compared is how long one waits; processor seconds stand beside it.
StrictDoc reads the JUnit file of the run besides, so that both know the results; it does not know which test ran which
code, which is what the matrix is about. How ours grows is told in processor seconds, since that is about the program.
"""

import os
import resource
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from msgspec import Struct

from tests.benchmarks import trace_set
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes
from traceability.standing import FILE as KEPT

ENVIRONMENT = Path("build/bench/strictdoc")
"""Kept: what is installed in it is the same for every run."""
PINNED = Path(__file__).with_name("strictdoc.txt")
INSTALL_LIMIT_S = 900
RUN_LIMIT_S = 900
REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHECK = "import sys; from traceability import cli; sys.exit(cli.check(sys.argv[1:]))"
LARGER = 10


class Spent(Struct, frozen=True, kw_only=True):
    """What a process took."""

    wait_s: float
    cpu_s: float


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """The cost of contexts, the growth to a larger set, and StrictDoc, which is left out, aloud, without a network."""
    count = sizes.traced
    root = place.folder / "traced"
    trace_set.ours(root, count)
    tests = ["-m", "pytest", "-q"]
    runs = [(_ours(tests, root), _ours([*tests, "--evidence"], root)) for _ in range(sizes.trace_rounds)]
    plain, traced = (of_slices([spent.cpu_s for spent in slices]) for slices in zip(*runs, strict=True))
    yield Row(
        name="a test run with a context for each test over one without",
        configuration=f"{count} tests of a few lines each, where the cost of a context weighs most",
        ratio=traced / plain,
        measured={"with cpu s": traced, "without cpu s": plain},
    )
    cold, warm = _checks(root, sizes.trace_rounds)
    yield _growth(place, count, sizes.trace_rounds)
    strictdoc = _strictdoc(place, count, root / "build/trace/junit.xml", sizes.trace_rounds)
    if strictdoc is not None:
        first, later = strictdoc
        yield Row(
            name="StrictDoc's warm JSON export over the full matrix",
            configuration=f"{count} requirements, {count} marks, {count} tests with their results",
            ratio=_wait(later) / _wait(warm),
            target=10.0,
            measured={
                "StrictDoc warm s": _wait(later), "StrictDoc cold s": first.wait_s, "matrix warm s": _wait(warm),
                "matrix cold s": _wait(cold), "StrictDoc warm cpu s": _cpu(later), "matrix warm cpu s": _cpu(warm),
            },
        )  # fmt: skip


def _growth(place: Place, count: int, rounds: int) -> Row:
    """Both sets with evidence that is written as a run would leave it."""
    taken = []
    for size in (count, count * LARGER):
        root = place.folder / f"growth{size}"
        trace_set.ours(root, size)
        trace_set.evidence(root, size)
        taken.append(_checks(root, rounds))
    (small, small_warm), (large, large_warm) = taken
    return Row(
        name=f"the matrix of a set {LARGER} times as large, over {LARGER} times the processor's time",
        configuration=f"{count * LARGER} requirements, marks and tests, all files read anew",
        ratio=_cpu(large) / (LARGER * _cpu(small)),
        target=1.3,
        bound="at most",
        measured={
            f"{count} cpu s": _cpu(small), f"{count * LARGER} cpu s": _cpu(large), f"{count} s": _wait(small),
            f"{count * LARGER} s": _wait(large), f"{count} warm s": _wait(small_warm),
            f"{count * LARGER} warm s": _wait(large_warm),
        },
    )  # fmt: skip


def _checks(root: Path, rounds: int) -> tuple[list[Spent], list[Spent]]:
    """The gate with everything read anew, and the next one."""
    cold, warm = [], []
    for _ in range(rounds):
        (root / "build/trace" / KEPT).unlink(missing_ok=True)
        cold.append(_check(root))
        warm.append(_check(root))
    return cold, warm


def _check(root: Path) -> Spent:
    return _ours(["-c", CHECK, "--root", str(root), "--matrix", str(root / "build/matrix.json")], root)


def _ours(arguments: Sequence[str], folder: Path) -> Spent:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {**kept, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return _spent([sys.executable, *arguments], folder, environment)


def _spent(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Spent:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        timeout=RUN_LIMIT_S,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Spent(wait_s=perf_counter() - begun, cpu_s=cpu_s)


def _wait(slices: Sequence[Spent]) -> float:
    return of_slices([spent.wait_s for spent in slices])


def _cpu(slices: Sequence[Spent]) -> float:
    return of_slices([spent.cpu_s for spent in slices])


def _strictdoc(place: Place, count: int, junit: Path, rounds: int) -> tuple[Spent, list[Spent]] | None:
    """Its first export and those after it; None where it cannot be installed."""
    program = _installed()
    if program is None:
        return None
    root = place.folder / "strictdoc"
    trace_set.strictdocs(root, count)
    shutil.copy(junit, root / "docs" / "results.pytest.junit.xml")
    taken = [_spent([str(program), "export", ".", "--formats=json"], root) for _ in range(rounds + 1)]
    return taken[0], taken[1:]


def _installed() -> Path | None:
    folder = ENVIRONMENT.absolute() / "bin"
    if not (folder / "python").exists():
        venv.create(ENVIRONMENT, with_pip=True)
    install = [
        str(folder / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--requirement",
        str(PINNED),
    ]
    done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    if done.returncode != 0:
        sys.stderr.write(f"left out: {PINNED.name} cannot be installed: {done.stderr.strip()[-300:]}\n")
        return None
    return folder / "strictdoc"
