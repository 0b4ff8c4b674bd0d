"""`medai trace ...`: the gate, the module of the marks, and the mutants. The reports are in `cli_reports`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from traceability import identifiers, matrix, project
from traceability.errors import TraceError
from traceability.marks import implements
from traceability.rows import Finding, Matrix, Summary
from traceability.survey import survey

EXIT_FINDINGS: Final = 1
EXIT_UNCHECKED: Final = 3
FORMAT: Final = "medai.check/1"
_SHOWN: Final = 200  # findings that are printed; `--json` has them all


class Verdict(Struct, frozen=True, kw_only=True):
    """What `--json` writes."""

    verdict: str
    """`passed`, `findings`, or `unchecked`."""
    error: str
    summary: Summary | None
    findings: tuple[Finding, ...]
    format: str = FORMAT


@implements("REQ-TRC-013")
def check(arguments: Sequence[str]) -> int:
    """The gate: 0 where nothing fails, 1 where something does, 3 where it could not be checked."""
    parser = _parser("check", "prove each requirement by its code and tests, and say what is not proved")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict and all findings there")
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="write the whole matrix there, as canonical JSON")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="what a test run left, where it is elsewhere")
    parser.add_argument("--notes", action="store_true", help="show also what does not close the gate")
    given = parser.parse_args(arguments)
    try:
        found = survey(given.root.absolute(), given.evidence)
    except TraceError as error:
        _write(given.json, Verdict(verdict="unchecked", error=f"{error.code}: {error}", summary=None, findings=()))
        return _complain(error)
    if given.matrix is not None:
        given.matrix.parent.mkdir(parents=True, exist_ok=True)
        given.matrix.write_bytes(matrix.encode(found))
    shown = [finding for finding in found.findings if given.notes or finding.severity == "fail"]
    for finding in shown[:_SHOWN]:
        print(f"{finding.file}:{finding.line}: {finding.code}: {finding.text}\n    {finding.remedy}")
    if len(shown) > _SHOWN:
        print(f"... and {len(shown) - _SHOWN} more; --json has them all")
    exit_code = _verdict(found)
    name = {0: "passed", EXIT_FINDINGS: "findings", EXIT_UNCHECKED: "unchecked"}[exit_code]
    _write(given.json, Verdict(verdict=name, error="", summary=found.summary, findings=found.findings))
    print(_words(found, name))
    return exit_code


def ids(arguments: Sequence[str]) -> int:
    """Make the module of the marks anew."""
    parser = _parser("ids", "make the module of the marks, in which an unknown id is a type error")
    given = parser.parse_args(arguments)
    root = given.root.absolute()
    try:
        chosen = project.settings_of(root)
        written = project.requirements_of(root, chosen)
    except TraceError as error:
        return _complain(error)
    if not chosen.marks:
        print('medai: trace_setting_invalid: name the module: marks = "PACKAGE/marks.py"', file=sys.stderr)
        return EXIT_UNCHECKED
    (root / chosen.marks).write_text(identifiers.render(written.requirements), "utf-8")
    print(f"{chosen.marks}: {len(written.ids() - written.retired())} ids")
    return 0


def _verdict(found: Matrix) -> int:
    """What could not be known closes the gate like what is known to be wrong, and is told apart from it."""
    failing = [finding for finding in found.findings if finding.severity == "fail"]
    if not failing:
        return 0
    unknown = not found.evidence.coverage.available
    return EXIT_UNCHECKED if unknown and all(item.code in _FOLLOWS_UNKNOWN for item in failing) else EXIT_FINDINGS


_FOLLOWS_UNKNOWN: Final = frozenset({"unavailable", "hazard_uncontrolled"})


def _words(found: Matrix, name: str) -> str:
    summary = found.summary
    classes = "; ".join(
        f"class {row.safety_class}: {row.proved} of {row.requirements} proved at level {row.demanded}"
        for row in summary.classes
        if row.requirements
    )
    why = "" if found.evidence.coverage.available else f" (coverage unavailable: {found.evidence.coverage.why})"
    return (
        f"trace: {name}{why}: {summary.requirements} requirements, {summary.units} units, {summary.tests} tests, "
        f"{summary.links} links; {classes}; hazards controlled: {summary.hazards_controlled} of {summary.hazards}; "
        f"{summary.failing} findings to remedy, {len(found.findings) - summary.failing} notes; "
        f"not reviewed: {summary.reviews_open}"
    )


def _parser(name: str, what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"medai trace {name}", description=what)
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the project (default: this folder)")
    return parser


def _write(file: Path | None, verdict: Verdict) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(verdict, order="sorted"), indent=1) + b"\n")


def _complain(error: TraceError) -> int:
    print(f"medai: {error.code}: {error}", file=sys.stderr)
    return EXIT_UNCHECKED
