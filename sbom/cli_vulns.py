"""`medai sbom vulns`: known vulnerabilities of what ships, held to what was decided about them.

Exit codes: 0 none is open; 1 some are; 2 usage; 3 it could not be found out (too few looked up, a feed too old).
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sbom import feeds, lockfile, report, schema, standards, vex, vulnerabilities
from sbom.errors import FeedUnusable, SbomError
from sbom.report import Report
from sbom.vulnerabilities import Feed, Finding

EXIT_OPEN: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNCHECKED: Final = 3


def vulns(arguments: Sequence[str]) -> int:
    """Look every shipped Python package up; fail closed."""
    parser = argparse.ArgumentParser(prog="medai sbom vulns", description="known vulnerabilities of what ships")
    parser.add_argument("--sbom", type=Path, required=True, help="the bill of materials")
    parser.add_argument("--advisories", type=Path, help="a folder, a zip or a bundle of OSV records (default: ask OSV)")
    parser.add_argument("--osv-url", help="another OSV service than the public one")
    parser.add_argument("--kev", type=Path, help="CISA's known_exploited_vulnerabilities.json")
    parser.add_argument("--epss", type=Path, help="FIRST's EPSS scores, CSV or .gz")
    parser.add_argument("--vex", type=Path, help="what was decided (sbom/vex.toml)")
    parser.add_argument("--lock", type=Path, help="every distribution pinned here must have been looked up")
    parser.add_argument("--expect", type=int, help="at least so many components must have been looked up")
    parser.add_argument("--max-age-days", type=int, default=7, help="how old a feed may be (default: 7)")
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the day to judge by (default: today, UTC)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    given = parser.parse_args(arguments)
    try:
        made = _report(given, given.today or dt.datetime.now(dt.UTC).date())
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


def _report(given: argparse.Namespace, today: dt.date) -> Report:
    document = schema.require_valid(given.sbom.read_bytes(), strict=False)
    release = str((document.get("metadata", {}).get("component") or {}).get("version", ""))
    serial = str(document.get("serialNumber", ""))
    try:
        audited, found, used = _looked_up(given, document, today)
    except FeedUnusable as error:
        return report.unchecked(str(error), sbom=serial, release=release, today=today)
    statements = vex.parse(given.vex.read_text("utf-8")) if given.vex else ()
    judged = vex.judge(found, statements, hashes=_hashes(document), release=release, today=today)
    return Report(
        checked=True,
        sbom=serial,
        release=release,
        today=today,
        audited=audited,
        feeds=used,
        findings=judged,
        open=sum(each.closed_by is None for each in judged),
    )


def _looked_up(
    given: argparse.Namespace, document: dict[str, Any], today: dt.date
) -> tuple[int, tuple[Finding, ...], tuple[Feed, ...]]:
    """How many components were looked up, what was found, and in what. Raises `FeedUnusable` for anything less."""
    components = feeds.audited(document)
    if given.expect is not None and len(components) < given.expect:
        raise FeedUnusable(f"{len(components)} components to look up, at least {given.expect} were expected")
    if given.lock is not None:
        there = {(each.name, each.version) for each in components}
        pins = lockfile.parse(given.lock.read_text("utf-8"))
        missed = [each.name for each in pins if each.marker is None and (each.name, each.version) not in there]
        if missed:
            raise FeedUnusable(f"pinned in {given.lock.name} and not looked up: {', '.join(missed)}")
    if given.advisories is None:
        opinions, used = feeds.opinions(given.kev, given.epss)
        feeds.require_fresh(used, today, given.max_age_days)
        found = vulnerabilities.weighed(feeds.online(components, osv_url=given.osv_url), opinions)
        asked = Feed(name="osv, asked for each component", date=today, records=len(components))
        return len(components), found, (asked, *used)
    told = feeds.offline(given.advisories, kev=given.kev, epss=given.epss)
    feeds.require_fresh(told.feeds, today, given.max_age_days)
    return len(components), vulnerabilities.match(components, told.records, told.opinions), told.feeds


def _hashes(document: dict[str, Any]) -> dict[str, str]:
    return {
        each["purl"]: digest["content"]
        for each in standards.walk(document.get("components", ()))
        if each.get("purl")
        for digest in each.get("hashes", ())
        if digest["alg"] == "SHA-256"
    }


def _show(made: Report) -> None:
    used = ", ".join(f"{each.name} of {each.date.isoformat()} ({each.records})" for each in made.feeds)
    print(f"{made.audited} components looked up in {used}: {len(made.findings)} found, {made.open} open")
    for each in made.findings:
        finding = each.finding
        marks = [
            *(["known to be exploited"] if finding.exploited else []),
            *([f"EPSS {finding.epss_ppm / 10_000:.2f} %"] if finding.epss_ppm is not None else []),
            *([f"CVSS {finding.cvss_tenths / 10:.1f}"] if finding.cvss_tenths is not None else []),
        ]
        state = f"closed: {each.closed_by.state}" if each.closed_by else f"OPEN: {each.why_open}"
        fixed = f"; fixed in {', '.join(finding.fixed_in)}" if finding.fixed_in else ""
        print(f"  {finding.id} {finding.name} {finding.version} {' '.join(marks)}{fixed}")
        print(f"    {finding.summary}\n    {state}")
