"""`medai sbom policy`, `medai sbom diff` and `medai sbom vex`: may it be released, what changed, what was decided.

Exit codes: 0 nothing stands against it, or nothing changed; 1 something does; 2 usage, or a file that cannot be read.
"""

import argparse
import datetime as dt
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sbom import bom, difference, exchange, looking, policy, report, schema
from sbom.difference import Difference
from sbom.errors import DocumentInvalid, SbomError
from traceability.marks import implements

EXIT_FOUND: Final = 1
EXIT_USAGE: Final = 2
_SIGNS: Final = {
    "added": "+", "removed": "-", "up": "^", "down": "v", "same_version_other_hash": "!", "vulnerability_new": "!",
}  # fmt: skip


@implements("REQ-SBM-009")
def judge(arguments: Sequence[str]) -> int:
    """Hold what ships to the policy."""
    parser = argparse.ArgumentParser(prog="medai sbom policy", description="hold what ships to the policy")
    parser.add_argument("file", type=Path, help="a CycloneDX JSON document")
    parser.add_argument("--policy", type=Path, default=Path("sbom/policy.toml"), help="default: sbom/policy.toml")
    parser.add_argument(
        "--before", type=Path, help="the document of the last release: a file may change under a version"
    )
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the day to judge by (default: today, UTC)")
    parser.add_argument("--json", type=Path, help="write every finding to this file")
    given = parser.parse_args(arguments)

    def work() -> int:
        rules = policy.parse(given.policy.read_text("utf-8"))
        components = policy.required(schema.read(given.file))
        before = policy.required(schema.read(given.before)) if given.before else ()
        today = given.today or dt.datetime.now(dt.UTC).date()
        breaches = policy.judge(rules, components, today=today, before=before)
        _write(given.json, breaches)
        failing = sum(each.fails for each in breaches)
        print(f"{len(components)} components: {failing} against the policy, {len(breaches) - failing} waived or told")
        for each in breaches:
            word = "FAILS" if each.fails else f"waived by {each.waived}" if each.waived else "note"
            print(f"  {word}: {each.rule}: {schema.plain(f'{each.component}: {each.message}')}")
        return EXIT_FOUND if failing else 0

    return _run(work)


@implements("REQ-SBM-009")
def diff(arguments: Sequence[str]) -> int:
    """What changed between two documents of any origin."""
    parser = argparse.ArgumentParser(prog="medai sbom diff", description="what changed between two documents")
    parser.add_argument("old", type=Path, help="a CycloneDX JSON document")
    parser.add_argument("new", type=Path, help="another")
    parser.add_argument("--json", type=Path, help="write every change to this file")
    given = parser.parse_args(arguments)

    def work() -> int:
        changes = difference.diff(schema.read(given.old), schema.read(given.new))
        _write(given.json, changes)
        counted = ", ".join(f"{count} {change}" for change, count in sorted(Counter(c.change for c in changes).items()))
        print(counted or "nothing changed")
        for each in changes:
            print(f"  {schema.plain(_line(each))}")
        return EXIT_FOUND if changes else 0

    return _run(work)


@implements("REQ-SBM-009")
def vex(arguments: Sequence[str]) -> int:
    """Write what was decided as CycloneDX VEX or OpenVEX; show what others say as proposals."""
    parser = argparse.ArgumentParser(prog="medai sbom vex", description="exchange decisions about vulnerabilities")
    chosen = parser.add_subparsers(dest="what", required=True, metavar="export|import")
    out = chosen.add_parser("export", help="from the report of `medai sbom vulns --json`")
    out.add_argument("report", type=Path)
    out.add_argument("--sbom", type=Path, required=True, help="the bill of materials that was looked up")
    out.add_argument("--format", choices=("cyclonedx", "openvex"), default="cyclonedx")
    out.add_argument("--author", help="who says so (OpenVEX)")
    out.add_argument("-o", "--output", type=Path, required=True)
    into = chosen.add_parser("import", help="show what another says, as proposals for two of us to sign")
    into.add_argument("file", type=Path)
    into.add_argument(
        "--sbom", type=Path, help="write them as statements for sbom/vex.toml, of what this document lists"
    )
    into.add_argument("--today", type=dt.date.fromisoformat, help="the day of the proposals (default: today, UTC)")
    given = parser.parse_args(arguments)
    return _run(lambda: _export(given, parser) if given.what == "export" else _import(given))


def _export(given: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    told, document = report.decode(given.report.read_bytes()), schema.read(given.sbom)
    if told.sbom != document.get("serialNumber", ""):
        raise DocumentInvalid(f"vex: the report is of {told.sbom or 'no document'}, not of {given.sbom}")
    if given.format == "openvex" and not given.author:
        parser.error("OpenVEX names its author: give --author")
    timestamp = f"{told.today.isoformat()}T00:00:00Z"
    made = (
        exchange.cyclonedx(told.findings, serial=told.sbom, timestamp=timestamp)
        if given.format == "cyclonedx"
        else exchange.openvex(told.findings, author=given.author, identifier=f"{told.sbom}#vex", timestamp=timestamp)
    )
    encoded = bom.encode(made)
    if given.format == "cyclonedx":
        schema.require_valid(encoded, strict=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_bytes(encoded)
    print(f"{given.output}: {len(told.findings)} statements")
    return 0


def _import(given: argparse.Namespace) -> int:
    told = schema.decode(given.file.read_bytes())
    if not isinstance(told, dict):
        raise DocumentInvalid(f"vex: {given.file}: neither OpenVEX nor CycloneDX")
    said = exchange.imported(told)
    if given.sbom is None:
        for each in said:
            why = f" ({each.justification})" if each.justification else ""
            print(schema.plain(f"{each.vulnerability}  {each.component}  {each.state}{why}"))
            print(schema.plain(f"  {each.source}: {each.detail}"))
        return 0
    document = schema.read(given.sbom)
    digests, release = looking.hashes(document), looking.release(document)
    ours = [each for each in said if each.component in digests]
    print(
        f"# {len(ours)} of {len(said)} are about what {given.sbom.name} lists. Two people decide: author and approver."
    )
    for each in ours:
        today = given.today or dt.datetime.now(dt.UTC).date()
        print(exchange.proposal(each, sha256=digests[each.component], release=release, today=today) + "\n")
    return 0


def _line(change: Difference) -> str:
    what = change.change.replace("_", " ") + (f" {change.what}" if change.what else "")
    values = " -> ".join(each for each in (change.old, change.new) if each)
    return f"{_SIGNS.get(change.change, '~')} {change.component}: {what} {values}".rstrip()


def _write(path: Path | None, made: object) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made, order="sorted"), indent=2) + b"\n")


def _run(work: Callable[[], int]) -> int:
    try:
        return work()
    except (SbomError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
