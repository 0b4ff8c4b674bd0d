"""The whole matrix of a project on disk: what `check`, the reports and the reviews all begin with."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from traceability import matrix, places, project, reviews
from traceability.marks import implements
from traceability.reviews import Recorded, Rules
from traceability.rows import Matrix
from traceability.settings import Settings


@implements("REQ-TRC-013")
def survey(root: Path, evidence: Path | None = None) -> Matrix:
    """The matrix of the project at `root`, reviews included, from the test run that left `evidence`.

    Raises `TraceError` where something that it is made of cannot be read: then nothing is known, good or bad.
    """
    with _unswept():
        inputs = project.gather(root, evidence)
        found = matrix.build(inputs)
    found = reviews.applied(found, reviews_of(root, inputs.settings), rules_of(inputs.settings))
    ordered = sorted(found.findings, key=lambda finding: (finding.file, finding.line, finding.code, finding.subject))
    return matrix.summarised(msgspec.structs.replace(found, findings=tuple(ordered)))


@contextmanager
def _unswept() -> Iterator[None]:
    """Without the search for cycles: of millions of nodes of syntax none is garbage before the end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def reviews_of(root: Path, chosen: Settings) -> list[Recorded]:
    """All reviews that were ever recorded; none where the folder is not there."""
    if not (root / chosen.review_records).exists():
        return []
    found: list[Recorded] = []
    for path in places.files(root, (chosen.review_records,), {".toml"}):
        found += reviews.parse(path.read_text("utf-8"), path.relative_to(root).as_posix())
    return found


def rules_of(chosen: Settings) -> Rules:
    return Rules(required=chosen.reviews == "required", independent=frozenset(chosen.independent_reviews))
