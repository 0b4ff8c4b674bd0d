"""What was measured, as a table for people and as JSON for programs. Only the ratios are comparable anywhere."""

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec
import psycopg
from msgspec import Struct

PACKAGES = ("litestar", "uvicorn", "uvloop", "httptools", "msgspec", "numpy", "onnxruntime", "psycopg", "cryptography")


class Row(Struct, frozen=True, kw_only=True):
    """One ratio. `target` is None where it is there for comparison only; `measured` holds what it was made of."""

    name: str
    configuration: str
    ratio: float
    target: float | None = None
    bound: Literal["at least", "at most"] = "at least"
    measured: dict[str, float] = {}

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.ratio >= self.target if self.bound == "at least" else self.ratio <= self.target


def of_slices(slices: Sequence[float]) -> float:
    """The median of a variant's interleaved slices."""
    return float(median(slices))


def percentile(sample: Sequence[float], percent: int) -> float:
    """The smallest that `percent` of the sample do not exceed."""
    assert sample
    return sorted(sample)[max(0, -(-len(sample) * percent // 100) - 1)]


def environment(admin_url: str, mode: str) -> dict[str, object]:
    """Everything that the numbers hang on besides the code."""
    with psycopg.connect(admin_url) as connection:
        found = connection.execute("SHOW server_version").fetchone()
    assert found is not None
    return {
        "mode": mode,
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": found[0],
        "packages": {name: version(name) for name in PACKAGES},
    }


def write(folder: Path, about: dict[str, object], rows: Sequence[Row], *, name: str = "bench") -> str:
    """`NAME.json` and `NAME.txt` in `folder`; the table is also returned."""
    folder.mkdir(parents=True, exist_ok=True)
    table = _table(about, rows)
    entries = [{**msgspec.to_builtins(row), "met": row.met} for row in rows]
    (folder / f"{name}.json").write_text(json.dumps({"environment": about, "rows": entries}, indent=2) + "\n", "utf-8")
    (folder / f"{name}.txt").write_text(table, "utf-8")
    return table


def _table(about: dict[str, object], rows: Sequence[Row]) -> str:
    lines = [f"{name}: {value}" for name, value in about.items() if name != "packages"]
    lines.append(f"packages: {about['packages']}")
    for row in rows:
        verdict = {None: "", True: "met", False: "NOT MET"}[row.met]
        target = "" if row.target is None else f"{row.bound} {row.target:g}"
        measured = "  ".join(f"{name} {_number(value)}" for name, value in row.measured.items())
        lines += ["", f"{row.ratio:8.3f}  {target:14} {verdict:8} {row.name}", f"{'':10}{row.configuration}"]
        lines.append(f"{'':10}{measured}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
