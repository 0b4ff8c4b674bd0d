"""`medai trace report` and `medai trace diff`: the files for assessors, and what changed between two of them."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from traceability import difference, reports
from traceability.errors import TraceError
from traceability.survey import survey

EXIT_WORSE: Final = 1
EXIT_UNDONE: Final = 3
OUT: Final = Path("build/evidence")


def report(arguments: Sequence[str]) -> int:
    """Write all reports: 0 where they are written, whatever they say; 3 where there is no matrix to write."""
    parser = argparse.ArgumentParser(
        prog="medai trace report", description="write the matrix as a page, CSV, JSON, ReqIF and a summary"
    )
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the project (default: this folder)")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="what a test run left, where it is elsewhere")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"where to (default: {OUT} of the project)")
    parser.add_argument("--base", type=Path, metavar="MATRIX", help="a matrix.json that the summary compares with")
    given = parser.parse_args(arguments)
    root = given.root.absolute()
    try:
        found = survey(root, given.evidence)
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
            found = reports.timeless(found, epoch)
        base = reports.read(given.base) if given.base is not None else None
        for path in reports.write(found, given.out or root / OUT, base):
            print(path)
    except TraceError as error:
        return _complain(error)
    return 0


def diff(arguments: Sequence[str]) -> int:
    """What changed: 0 where nothing got worse, 1 where something did, 3 where it could not be compared."""
    parser = argparse.ArgumentParser(
        prog="medai trace diff",
        description="say what changed between two matrices: 0 nothing got worse, 1 something did, 3 it is not known",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="a matrix.json, or a folder with one")
    parser.add_argument("new", type=Path, metavar="NEW", help="the later one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as tables, for a pull request")
    form.add_argument("--json", action="store_true", help="as JSON")
    given = parser.parse_args(arguments)
    try:
        found = difference.between(reports.read(given.old), reports.read(given.new))
    except TraceError as error:
        return _complain(error)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=1).decode("utf-8"))
    else:
        print(difference.text(found, "markdown" if given.markdown else "plain"), end="")
    return EXIT_WORSE if found.worse else 0


def _complain(error: TraceError) -> int:
    print(f"medai: {error.code}: {error}", file=sys.stderr)
    return EXIT_UNDONE
