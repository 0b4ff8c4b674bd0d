"""The files that are made from a matrix, for whoever is to rely on it: `write` makes all of them.

    matrix.html     one page that needs nothing else
    matrix.csv      a line for each citation, for spreadsheets
    matrix.json     the canonical matrix, and matrix.schema.json what is in it
    matrix.reqif    for requirement tools
    summary.md      one screen, for a pull request

No clock is read: what they say of time is what the test run said. Two runs of the same tests differ in their times;
`timeless` takes those out, so that the same source gives the same bytes.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from traceability import matrix, page, reqif_export, schema, summary, table
from traceability.errors import ConfigurationInvalid, EvidenceMissing
from traceability.marks import implements
from traceability.rows import Matrix, TestRow

SUMMARY: Final = "summary.md"
FILES: Final[Mapping[str, Callable[[Matrix], bytes]]] = {
    "matrix.html": lambda found: page.text(found).encode("utf-8"),
    "matrix.csv": lambda found: table.text(found).encode("utf-8", "surrogatepass"),
    "matrix.json": matrix.encode,
    "matrix.schema.json": lambda _: schema.text().encode("utf-8"),
    "matrix.reqif": lambda found: reqif_export.text(found).encode("utf-8"),
}


@implements("REQ-TRC-009")
def write(found: Matrix, folder: Path, base: Matrix | None = None) -> tuple[Path, ...]:
    """All files in `folder`, which is made; where there is a `base`, the summary says what changed since."""
    made = {name: make(found) for name, make in FILES.items()}
    made[SUMMARY] = summary.text(found, base).encode("utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in made.items():
            (folder / name).write_bytes(body)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{folder}: cannot be written ({error.strerror}): name another with --out"
        ) from error
    return tuple(folder / name for name in made)


def read(place: Path) -> Matrix:
    """The matrix in a file, or in a folder that `write` filled. Raises `EvidenceMissing`, `EvidenceInvalid`."""
    file = place / "matrix.json" if place.is_dir() else place
    try:
        return matrix.decode(file.read_bytes())
    except OSError as error:
        raise EvidenceMissing(f"{file}: no matrix ({error.strerror}): `medai trace report` writes one") from error


def timeless(found: Matrix, source_date_epoch: str) -> Matrix:
    """`found` as if its tests had been run at `source_date_epoch` (in seconds), and had taken no time.

    reproducible-builds.org/specs/source-date-epoch. Raises `ConfigurationInvalid` for what is no such number.
    """
    if not (source_date_epoch.isascii() and source_date_epoch.isdigit() and len(source_date_epoch) <= 11):
        raise ConfigurationInvalid("SOURCE_DATE_EPOCH: expected seconds since 1970, in digits")
    moment = datetime.fromtimestamp(int(source_date_epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    replace = msgspec.structs.replace
    return replace(
        found,
        evidence=replace(found.evidence, started_at=moment, duration_us=0),
        tests=tuple(_untimed(row) for row in found.tests),
    )


def _untimed(row: TestRow) -> TestRow:
    nodes = tuple(msgspec.structs.replace(node, duration_us=0) for node in row.nodes)
    return msgspec.structs.replace(row, nodes=nodes)
