"""`medai token issue | list | revoke`."""

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from audit.clock import SystemClock
from audit.settings import places
from service import settings as service_settings
from service.adapters import tokens
from traceability.marks import implements

_HOUR_US = 3_600_000_000


@implements("REQ-DEP-014")
def issue(arguments: Sequence[str]) -> int:
    """Prints the new token, alone; it is kept nowhere."""
    parser = argparse.ArgumentParser(prog="medai token issue", description="Make a token and print it, once.")
    parser.add_argument("name", metavar="NAME", help="whose it is; records call the caller by it")
    parser.add_argument(
        "--scope", action="append", required=True, choices=tokens.SCOPES, metavar="S", help="repeatable"
    )
    parser.add_argument("--hours", type=int, metavar="N", help="expires after N hours (default: never)")
    options = parser.parse_args(arguments)
    if options.hours is not None and not 1 <= options.hours <= 24 * 366 * 10:
        parser.error("--hours: from 1 to ten years")
    now_us = SystemClock().now_us()
    expires_us = now_us + options.hours * _HOUR_US if options.hours is not None else None
    print(tokens.issue(_path(), options.name, options.scope, now_us=now_us, expires_us=expires_us))
    return 0


@implements("REQ-DEP-014")
def show(arguments: Sequence[str]) -> int:
    """One line a token: name, scopes, and when it was issued and expires. Never the token or its hash."""
    argparse.ArgumentParser(prog="medai token list", description="List tokens by name.").parse_args(arguments)
    for token in tokens.listed(_path()):
        expires = _day(token.expires_us) if token.expires_us is not None else "never"
        print(f"{token.name}  {','.join(sorted(token.scopes))}  issued {_day(token.issued_us)}  expires {expires}")
    return 0


@implements("REQ-DEP-014")
def revoke(arguments: Sequence[str]) -> int:
    """The token stops working within seconds, without a restart."""
    parser = argparse.ArgumentParser(prog="medai token revoke", description="End a token.")
    parser.add_argument("name", metavar="NAME")
    tokens.revoke(_path(), parser.parse_args(arguments).name)
    return 0


def _path() -> Path:
    return service_settings.tokens_file(service_settings.read(os.environ), places(os.environ).home)


def _day(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
