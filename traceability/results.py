"""What a test run leaves behind, apart from coverage: `results.json`, format `medai.results/1`.

It names every test that was collected, with its outcome, and the SHA-256 of every file that was read, so that a
matrix made later can tell that the code has moved since. It is written by `plugin` and read by `project`.
"""

from typing import Final

import msgspec
from msgspec import Struct

from traceability.errors import EvidenceInvalid
from traceability.rows import Outcome

FORMAT: Final = "medai.results/1"
RESULTS: Final = "results.json"
COVERAGE: Final = "coverage.db"
BRANCHES: Final = "branches.json"
JUNIT: Final = "junit.xml"

CORE_CLASS: Final = "CTracer"
"""What coverage calls its core `ctrace`."""

RUN_PHASE: Final = "|run"
"""A context is a test's node id and its phase. Only this one counts: a fixture's work proves nothing of the test."""


class Node(Struct, frozen=True, kw_only=True):
    """One test that pytest collected, and what became of it."""

    node: str
    file: str
    name: str
    """The test function with its classes, `TestLedger::test_...`, without parameters."""
    line: int
    outcome: Outcome
    duration_us: int
    verifies: tuple[str, ...] = ()
    """What pytest itself saw in its marks."""
    reason: str = ""
    attempts: int = 1
    traced: bool = False
    """Whether coverage was watching from the beginning to the end of its run phase."""


class Tracing(Struct, frozen=True, kw_only=True):
    """How coverage was taken. `probe` is the file of the self-check; every context in `probes` must show its line."""

    core: str = ""
    version: str = ""
    probe: str = ""
    probe_line: int = 0
    probes: tuple[str, ...] = ()
    why_not: str = ""
    """Why there is none; empty where there is."""


class Results(Struct, frozen=True, kw_only=True):
    """One test run."""

    root: str
    """The folder that the run took place in: coverage names files by it."""
    started_at: str
    duration_us: int
    complete: bool
    """Whether the whole suite was asked for and came to its end."""
    exit_code: int
    environment: dict[str, str]
    tracing: Tracing
    files: dict[str, str]
    """SHA-256 of each file of code and tests; empty for one that was written to during the run."""
    nodes: tuple[Node, ...]
    format: str = FORMAT


_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Results)


def encode(results: Results) -> bytes:
    return msgspec.json.format(_ENCODER.encode(results), indent=1) + b"\n"


def decode(body: bytes, file: str = RESULTS) -> Results:
    """Raises `EvidenceInvalid` where `body` is not what `encode` writes."""
    try:
        found = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise EvidenceInvalid(f"{file}: not the results of a test run: {error}: run the tests again") from error
    if found.format != FORMAT:
        raise EvidenceInvalid(f"{file}: expected the format {FORMAT}, got {found.format!r}: run the tests again")
    return found
