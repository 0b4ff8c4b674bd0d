"""`medai audit watch`: verify the ledger by schedule, and say what was found to whoever watches metrics.

Once, for a job (`--state` keeps what was verified, so that the next one goes on from there); or again and again
(`--interval`). It needs the reader's login alone. Exit codes are those of `medai audit verify`, of the last look.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from audit import command, findings, look
from audit.errors import AuditError, SettingInvalid
from audit.note import Verifier
from audit.settings import watch_settings
from audit.verification import Report, Verified
from audit.watch import Pass, Remembered, Watch

FORMAT: Final = "medai.watch/1"
SHOWN: Final = 20
METRICS: Final = """\
# HELP medai_audit_verified_size Records that the last self-audit verified.
# TYPE medai_audit_verified_size gauge
medai_audit_verified_size {size}
# HELP medai_audit_anchored_size Records that the anchors vouch for.
# TYPE medai_audit_anchored_size gauge
medai_audit_anchored_size {anchored}
# HELP medai_audit_timestamp_seconds When the last self-audit ended.
# TYPE medai_audit_timestamp_seconds gauge
medai_audit_timestamp_seconds {ended_s:.3f}
# HELP medai_audit_pass_seconds How long it took.
# TYPE medai_audit_pass_seconds gauge
medai_audit_pass_seconds {seconds:.3f}
# HELP medai_audit_verdict Its verdict: 0 valid, 1 altered or broken, 3 consistent but unattested.
# TYPE medai_audit_verdict gauge
medai_audit_verdict {verdict}
"""
FINDINGS: Final = """\
# HELP medai_audit_findings What it found, by class.
# TYPE medai_audit_findings gauge
"""


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a look leaves to the next, on disk. Whoever can write it can have a look leave out what came before."""

    format: str
    key: str
    remembered: Remembered


def watch(arguments: Sequence[str]) -> int:
    """`medai audit watch`."""
    options = _parser().parse_args(arguments)
    return command.run(lambda: _watch(options))


def _parser() -> argparse.ArgumentParser:
    knobs = watch_settings(os.environ)
    parser = argparse.ArgumentParser(
        prog="medai audit watch",
        description="Verify the ledger, at the lowest priority: once, or at each interval. What was verified before is "
        "looked at again at the longer one.",
    )
    parser.add_argument("--interval", type=int, metavar="S", help="look again after so many seconds, until interrupted")
    parser.add_argument(
        "--whole-interval",
        type=int,
        metavar="S",
        default=knobs.whole_interval_s,
        help=f"how long all of it is not looked at again (default {knobs.whole_interval_s})",
    )
    parser.add_argument("--state", type=Path, metavar="F", help="where to keep what was verified, for the next look")
    parser.add_argument("--metrics", type=Path, metavar="F", help="where to put the verdict for Prometheus")
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key, or a file that holds it (default: ours)")
    parser.add_argument("--json", action="store_true", help="each look as a line of JSON")
    return parser


def _watch(options: argparse.Namespace) -> int:
    if options.interval is not None and options.interval < 1:
        raise SettingInvalid("--interval: at least 1 second")
    key = command.verifier_of(options.key)
    os.nice(look.LOWEST_PRIORITY)
    teller = _Teller(options)
    watch = Watch(
        _OwnEyes(key),
        interval_s=options.interval or 0,
        whole_interval_s=options.whole_interval,
        observer=teller,
        contradicted=lambda _: None,
        remembered=_load(options.state, key),
    )
    return asyncio.run(_looking(watch, options, key))


async def _looking(watch: Watch, options: argparse.Namespace, key: Verifier) -> int:
    while True:
        try:
            seen = await watch.look()
        except AuditError as error:
            if options.interval is None:
                raise
            sys.stderr.write(f"medai: {error.code}: {error}\n")
        else:
            if options.state is not None:
                _save(options.state, State(format=FORMAT, key=str(key), remembered=watch.remembered))
            if options.interval is None:
                return seen.report.exit_code
        await asyncio.sleep(options.interval)


class _OwnEyes:
    """Looks in this process: it is there for nothing else."""

    def __init__(self, key: Verifier) -> None:
        self._key = key

    async def look(self, since: Verified | None) -> Report:
        return await look.look(self._key, since)


class _Teller:
    """Prints each look, and puts it where Prometheus's node exporter reads it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json, self._metrics = options.json, options.metrics

    def verified(self, seen: Pass) -> None:
        if self._metrics is not None:
            _replace(self._metrics, exposition(seen).encode(), "--metrics")
        if self._json:
            command.say(json.dumps(summary(seen)))
            return
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen.ended_s))
        extent = "all" if seen.whole else "what came since"
        command.say(f"{when}  {seen.report.words}  ({extent}, {seen.seconds:.1f} s)")
        for one in seen.report.found[:SHOWN]:
            command.say(findings.as_text(one))

    def event(self, code: str, message: str) -> None:
        sys.stderr.write(f"medai: {code}: {message}\n")


def summary(seen: Pass) -> dict[str, object]:
    """One look, for machines."""
    report = seen.report
    return {
        "exit_code": report.exit_code,
        "words": report.words,
        "origin": report.origin,
        "size": report.size,
        "anchored": report.anchored,
        "whole": seen.whole,
        "seconds": round(seen.seconds, 3),
        "ended_s": round(seen.ended_s, 3),
        "classes": dict(seen.classes),
    }


def exposition(seen: Pass) -> str:
    """One look in Prometheus's text format."""
    lines = METRICS.format(
        size=seen.report.size,
        anchored=seen.report.anchored,
        ended_s=seen.ended_s,
        seconds=seen.seconds,
        verdict=seen.report.exit_code,
    )
    findings = [f'medai_audit_findings{{class="{name}"}} {count}\n' for name, count in sorted(seen.classes.items())]
    return lines + FINDINGS + "".join(findings)


def _load(path: Path | None, key: Verifier) -> Remembered | None:
    """What the last look left; nothing where there is no such file, or it is another log's."""
    if path is None or not path.exists():
        return None
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingInvalid(f"--state: {path} cannot be read; remove it to begin anew ({error})") from error
    return state.remembered if (state.format, state.key) == (FORMAT, str(key)) else None


def _save(path: Path, state: State) -> None:
    _replace(path, msgspec.json.encode(state), "--state")


def _replace(path: Path, content: bytes, option: str) -> None:
    """Whoever reads it finds the old or the new content, never a part."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise SettingInvalid(f"{option}: {path} cannot be written ({error.strerror})") from error
