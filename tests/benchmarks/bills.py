"""Row g: this project's bill of materials, built, validated and judged, over cyclonedx-bom's own run beside it."""

import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes

TARGET = 2.0
LIMIT_S = 600


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """In turns: theirs of the environment, as it is by default; ours, all that is installed, built and then checked."""
    theirs, ours, document = place.folder / "theirs.json", place.folder / "sbom.json", []
    seconds: dict[str, list[float]] = {"cyclonedx-py": [], "build": [], "check": []}
    for _ in range(sizes.bill_rounds):
        seconds["cyclonedx-py"].append(
            _run("cyclonedx_py", "environment", sys.executable, "--of", "JSON", "-o", str(theirs))
        )
        seconds["build"].append(_run("service", "sbom", "build", "--all", "-o", str(ours)))
        seconds["check"].append(_run("service", "sbom", "check", str(ours), complete=False))
        document.append(ours.read_bytes())
    assert len(set(document)) == 1, "each build gives the same bytes"
    s = {name: of_slices(taken) for name, taken in seconds.items()}
    yield Row(
        name="medai sbom build and check over cyclonedx-py environment",
        configuration=f"everything installed here, {document[0].count(b'pkg:pypi')} mentions of packages; processes",
        ratio=(s["build"] + s["check"]) / s["cyclonedx-py"],
        target=TARGET,
        bound="at most",
        measured={f"{name} s": taken for name, taken in s.items()},
    )


def _run(module: str, *arguments: str, complete: bool = True) -> float:
    """Seconds. `complete`: any exit code but 0 is a failure; else 1, a verdict, is none."""
    started = perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, timeout=LIMIT_S)
    taken = perf_counter() - started
    assert done.returncode in ((0,) if complete else (0, 1)), done.stderr
    return taken
