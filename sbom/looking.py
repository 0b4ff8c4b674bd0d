"""Looking known vulnerabilities of a bill of materials up, as the command line asks for it; failing closed."""

import argparse
import datetime as dt
from pathlib import Path
from typing import Any

from sbom import feeds, fields, lockfile, report, vex, vulnerabilities
from sbom.errors import FeedUnusable
from sbom.report import Report
from sbom.vulnerabilities import Feed, Finding


def arguments(parser: argparse.ArgumentParser) -> None:
    """What there is to look in, and what is expected of it."""
    parser.add_argument("--advisories", type=Path, help="a folder, a zip or a bundle of OSV records (default: ask OSV)")
    parser.add_argument("--osv-url", help="another OSV service than the public one")
    parser.add_argument("--kev", type=Path, help="CISA's known_exploited_vulnerabilities.json")
    parser.add_argument("--epss", type=Path, help="FIRST's EPSS scores, CSV or .gz")
    parser.add_argument("--vex", type=Path, help="what was decided (sbom/vex.toml)")
    parser.add_argument("--lock", type=Path, help="every distribution pinned here must have been looked up")
    parser.add_argument("--expect", type=int, help="at least so many components must have been looked up")
    parser.add_argument("--max-age-days", type=int, default=7, help="how old a feed may be (default: 7)")


def look_up(given: argparse.Namespace, document: dict[str, Any], today: dt.date) -> Report:
    """The report. Where it could not be found out, it says so and why."""
    named = release(document)
    serial = str(document.get("serialNumber", ""))
    try:
        audited, found, used = _looked_up(given, document, today)
    except FeedUnusable as error:
        return report.unchecked(str(error), sbom=serial, release=named, today=today)
    statements = vex.parse(given.vex.read_text("utf-8")) if given.vex else ()
    judged = vex.judge(found, statements, hashes=hashes(document), release=named, today=today)
    return Report(
        checked=True,
        sbom=serial,
        release=named,
        today=today,
        audited=audited,
        unaudited=feeds.unaudited(document),
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


def release(document: dict[str, Any]) -> str:
    """The version of the product that `document` is about: what a decision is made for."""
    return str((document.get("metadata", {}).get("component") or {}).get("version", ""))


def hashes(document: dict[str, Any]) -> dict[str, str]:
    """Each component's SHA-256 by its package URL, where it has both."""
    return {
        each["purl"]: digest["content"]
        for each in fields.walk(document.get("components", ()))
        if each.get("purl")
        for digest in each.get("hashes", ())
        if digest["alg"] == "SHA-256"
    }
