"""`medai sbom vulns`: known vulnerabilities of what ships, held to what was decided about them.

Exit codes: 0 none is open; 1 some are; 2 usage; 3 it could not be found out (too few looked up, a feed too old).
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sbom import feeds, looking, report, schema
from sbom.errors import FeedUnusable, SbomError
from sbom.report import Report
from traceability.marks import implements

EXIT_OPEN: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNCHECKED: Final = 3


@implements("REQ-SBM-009")
def vulns(arguments: Sequence[str]) -> int:
    """Look every shipped Python package up; fail closed."""
    parser = argparse.ArgumentParser(prog="medai sbom vulns", description="known vulnerabilities of what ships")
    parser.add_argument("--sbom", type=Path, required=True, help="the bill of materials")
    looking.arguments(parser)
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the day to judge by (default: today, UTC)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    given = parser.parse_args(arguments)
    try:
        document = schema.read(given.sbom)
        made = looking.look_up(given, document, given.today or dt.datetime.now(dt.UTC).date())
    except (SbomError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(report.encode(made))
    if not made.checked:
        sys.stderr.write(f"medai: {FeedUnusable.code}: NOT CHECKED: {made.why_not}\n")
        return EXIT_UNCHECKED
    _show(made)
    return EXIT_OPEN if made.open else 0


def bundle(arguments: Sequence[str]) -> int:
    """Pack advisories and second opinions for a site without a network."""
    parser = argparse.ArgumentParser(
        prog="medai sbom bundle", description="pack advisories for a site without a network"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--advisories", type=Path, required=True)
    parser.add_argument("--kev", type=Path)
    parser.add_argument("--epss", type=Path)
    parser.add_argument("--date", type=dt.date.fromisoformat, required=True, help="the day on which they were fetched")
    given = parser.parse_args(arguments)
    try:
        count = feeds.bundle(given.output, given.advisories, kev=given.kev, epss=given.epss, date=given.date)
    except (SbomError, OSError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
    print(f"{given.output}: {count} files of {given.date.isoformat()}")
    return 0


def _show(made: Report) -> None:
    used = ", ".join(f"{each.name} of {each.date.isoformat()} ({each.records})" for each in made.feeds)
    print(f"{made.audited} components looked up in {used}: {len(made.findings)} found, {made.open} open")
    if made.unaudited:
        kinds = ", ".join(f"{count} {kind}" for kind, count in made.unaudited.items())
        print(f"not looked up, so nothing is known of them: {kinds}")
    for each in made.findings:
        finding = each.finding
        marks = [
            *(["known to be exploited"] if finding.exploited else []),
            *([f"EPSS {finding.epss_ppm / 10_000:.2f} %"] if finding.epss_ppm is not None else []),
            *([f"CVSS {finding.cvss_tenths / 10:.1f}"] if finding.cvss_tenths is not None else []),
        ]
        state = f"closed: {each.closed_by.state}" if each.closed_by else f"OPEN: {each.why_open}"
        fixed = f"; fixed in {', '.join(finding.fixed_in)}" if finding.fixed_in else ""
        named = f"{finding.id} {finding.name} {finding.version} {' '.join(marks)}{fixed}"
        for indent, line in (("  ", named), ("    ", finding.summary), ("    ", state)):
            print(f"{indent}{schema.plain(line)}")
