"""`medai sbom vulns`: known vulnerabilities of what ships, held to what was decided about them.

Exit codes: 0 none is open; 1 some are; 2 usage; 3 it could not be found out (too few looked up, a feed too old).
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from sbom import feeds, schema, vex, vulnerabilities
from sbom.errors import FeedUnusable, SbomError
from sbom.feeds import Feed
from sbom.vex import Judged

EXIT_OPEN: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNCHECKED: Final = 3


class Report(Struct, frozen=True, kw_only=True):
    """What was looked up, in what, and what came of it."""

    sbom: str
    release: str
    today: dt.date
    audited: int
    feeds: tuple[Feed, ...]
    findings: tuple[Judged, ...]
    open: int


def vulns(arguments: Sequence[str]) -> int:
    """Look every shipped Python package up; fail closed."""
    parser = argparse.ArgumentParser(prog="medai sbom vulns", description="known vulnerabilities of what ships")
    parser.add_argument("--sbom", type=Path, required=True, help="the bill of materials")
    parser.add_argument("--advisories", type=Path, help="a folder, a zip or a bundle of OSV records (default: ask OSV)")
    parser.add_argument("--osv-url", help="another OSV service than the public one")
    parser.add_argument("--kev", type=Path, help="CISA's known_exploited_vulnerabilities.json")
    parser.add_argument("--epss", type=Path, help="FIRST's EPSS scores, CSV or .gz")
    parser.add_argument("--vex", type=Path, help="what was decided (sbom/vex.toml)")
    parser.add_argument("--expect", type=int, help="at least so many components must have been looked up")
    parser.add_argument("--max-age-days", type=int, default=7, help="how old a feed may be (default: 7)")
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the day to judge by (default: today, UTC)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    given = parser.parse_args(arguments)
    try:
        report = _report(given)
    except FeedUnusable as error:
        sys.stderr.write(f"medai: {error.code}: {error}\n")
        return EXIT_UNCHECKED
    except (SbomError, OSError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n")
    _show(report)
    return EXIT_OPEN if report.open else 0


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


def _report(given: argparse.Namespace) -> Report:
    today = given.today or dt.datetime.now(dt.UTC).date()
    document = schema.require_valid(given.sbom.read_bytes(), strict=False)
    components = feeds.audited(document)
    if given.expect is not None and len(components) < given.expect:
        raise FeedUnusable(f"{len(components)} components to look up, at least {given.expect} were expected")
    if given.advisories is None:
        found = feeds.online(components, osv_url=given.osv_url)
        used: tuple[Feed, ...] = (_asked_today(today, len(components)),)
    else:
        told = feeds.offline(given.advisories, kev=given.kev, epss=given.epss)
        feeds.require_fresh(told.feeds, today, given.max_age_days)
        found, used = vulnerabilities.match(components, told.records, told.opinions), told.feeds
    statements = vex.parse(given.vex.read_text("utf-8")) if given.vex else ()
    release = str(document["metadata"].get("component", {}).get("version", ""))
    judged = vex.judge(found, statements, hashes=_hashes(document), release=release, today=today)
    return Report(
        sbom=str(document.get("serialNumber", "")),
        release=release,
        today=today,
        audited=len(components),
        feeds=used,
        findings=judged,
        open=sum(each.closed_by is None for each in judged),
    )


def _asked_today(today: dt.date, count: int) -> Feed:
    return Feed(name="osv (asked for each component)", date=today, records=count)


def _hashes(document: dict[str, Any]) -> dict[str, str]:
    return {
        each["purl"]: digest["content"]
        for each in document["components"]
        if each.get("purl")
        for digest in each.get("hashes", ())
        if digest["alg"] == "SHA-256"
    }


def _show(report: Report) -> None:
    used = ", ".join(f"{each.name} of {each.date.isoformat()} ({each.records})" for each in report.feeds)
    print(f"{report.audited} components looked up in {used}: {len(report.findings)} found, {report.open} open")
    for each in report.findings:
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
