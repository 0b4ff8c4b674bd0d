"""`medai token issue | list | revoke`. Who issues or revokes is on record before it is done."""

import argparse
import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from audit import administering, command, operators, secrets_configured
from audit.clock import SystemClock
from audit.secret_sources import SecretSource
from audit.settings import places
from service import settings as service_settings
from service.adapters import tokens
from service.adapters.tokens import FilePlace, TokenPlace, VaultPlace
from traceability.marks import implements

_HOUR_US = 3_600_000_000


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
    tokens.require_name(options.name)
    with _kept() as (source, place):
        if options.name not in _names(source):
            _note("token_issued", options.name)
        print(tokens.issue(place, options.name, options.scope, now_us=now_us, expires_us=expires_us))
    return 0


def show(arguments: Sequence[str]) -> int:
    """One line a token: name, scopes, and when it was issued and expires. Never the token or its hash."""
    argparse.ArgumentParser(prog="medai token list", description="List tokens by name.").parse_args(arguments)
    with _kept() as (source, _):
        for token in tokens.listed(source):
            expires = _day(token.expires_us) if token.expires_us is not None else "never"
            print(f"{token.name}  {','.join(sorted(token.scopes))}  issued {_day(token.issued_us)}  expires {expires}")
    return 0


def revoke(arguments: Sequence[str]) -> int:
    """The token stops working within seconds, without a restart."""
    parser = argparse.ArgumentParser(prog="medai token revoke", description="End a token.")
    parser.add_argument("name", metavar="NAME")
    name = parser.parse_args(arguments).name
    tokens.require_name(name)
    with _kept() as (source, place):
        if name in _names(source):
            _note("token_revoked", name)
        tokens.revoke(place, name)
    return 0


@contextmanager
def _kept() -> Iterator[tuple[SecretSource, TokenPlace]]:
    """Where tokens are read and edited: in their file, or in the vault."""
    settings = service_settings.read(os.environ)
    path = service_settings.tokens_file(settings, places(os.environ).home)
    with secrets_configured.opened(os.environ) as held:
        source = held.token_hashes(tokens.file_of(path))
        yield source, VaultPlace(source, held.put_token_hashes) if held.has_token_hashes else FilePlace(path)


def _names(source: SecretSource) -> frozenset[str]:
    return frozenset(token.name for token in tokens.listed(source))


@implements("REQ-SEC-049")
def _note(action: str, name: str) -> None:
    """It is on record who is about to do this. Raises where it cannot be: then nothing is done.

    Before the first start on a machine of one's own there is no ledger, and nobody to serve.
    """
    where = places(os.environ)
    if where.database_url is None and not (where.home / "postgres").is_dir():
        return
    operator = operators.current(os.environ, SystemClock().now_us)

    async def note() -> None:
        async with command.writing() as (store, reader):
            await administering.noted(store, reader, SystemClock(), operator, action, name)

    asyncio.run(note())


def _day(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
