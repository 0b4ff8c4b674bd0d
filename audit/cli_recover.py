"""`medai audit recover`: close a log that lost signed records, and open the one that continues it."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from audit import anchors_configured, command, genesis, receipt, recovery
from audit.clock import SystemClock
from audit.errors import Malformed, SettingInvalid
from audit.home import alone
from audit.note import Verifier
from audit.recovering import Journal, Notes, Recovery
from audit.settings import LedgerSettings, Places, ledger_settings, places, publish_settings, vault_settings

if TYPE_CHECKING:
    from audit.postgres.ground import ServerGround

MAX_CHECKPOINT_BYTES: Final = 4 * 1024 * 1024


def recover(arguments: Sequence[str]) -> int:
    """`medai audit recover`."""
    parser = argparse.ArgumentParser(
        prog="medai audit recover",
        description="Close a log whose database lost signed records, for good, and open another that says so in its "
        "record 0, with a name, a key and a database of its own. Stop every process of the service first. Run again "
        "after a crash, it goes on where it was. docs/recovery.md",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what is lost, and change nothing of the log")
    parser.add_argument("--into", metavar="NAME", help="the new database on the same server (default: NAME_2, _3 ...)")
    parser.add_argument("--origin", help="the new log's name, for ever (default: <host>/<random>)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="F",
        action="append",
        default=[],
        help="a signed checkpoint, or a receipt, of the old log that was kept elsewhere; may be given again",
    )
    parser.add_argument(
        "--even-without-loss", action="store_true", help="close a log that could go on, as after its key was stolen"
    )
    options = parser.parse_args(arguments)
    return command.run(lambda: _recover(options))


def _recover(options: argparse.Namespace) -> int:
    where, settings = places(os.environ), ledger_settings(os.environ)
    if vault_settings(os.environ).signing_key:
        raise SettingInvalid(
            "MEDAI_VAULT_SIGNING_KEY: recovery makes a key; give the closed log's as a file, MEDAI_SIGNING_KEY_FILE, "
            "and put the new one into the vault afterwards"
        )
    kept = [_checkpoint(path) for path in options.checkpoint]
    with alone(where.home, "`medai serve` runs here; stop it first, everywhere"), _ground(where, settings) as ground:
        notes = Notes(where.home)
        under_way = notes.load()
        if under_way is None:
            ground.make_readable()
        work = Recovery(
            ground=ground,
            notes=notes,
            key_path=where.signing_key,
            second_key_path=where.ml_dsa_key,
            anchor=anchors_configured.every(where, publish_settings(os.environ), (), "")[anchors_configured.FOLDER],
            clock=SystemClock(),
            kept=lambda keys: [*kept, *_anchored(where, keys)],
        )
        if options.dry_run:
            found = asyncio.run(work.assess(under_way.old_database if under_way else ground.database))
            return command.say(f"{found.words()}{'' if found.needed else ': there is nothing to recover'}")
        if under_way is not None:
            sys.stderr.write("medai: a recovery is under way, and goes on as it was begun\n")
        intended = Journal(
            old_database=ground.database,
            new_database=options.into or ground.free_name(),
            origin=options.origin or genesis.default_origin(),
            even_without_loss=options.even_without_loss,
        )
        done = asyncio.run(work.run(intended))
    return _say(done, where)


def _anchored(where: Places, keys: Sequence[Verifier]) -> Iterator[str]:
    """Every checkpoint that any anchor holds."""
    anchors = anchors_configured.every(where, publish_settings(os.environ), keys, keys[0].name if keys else "")
    for anchor in anchors.values():
        yield from (anchored.checkpoint for anchored in anchor.all())


def _checkpoint(path: Path) -> str:
    """The signed checkpoint in a file: alone, or in a receipt."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CHECKPOINT_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"--checkpoint: {path} cannot be read: {error}") from error
    with contextlib.suppress(Malformed):
        return receipt.parse(text).checkpoint
    return text


@contextlib.contextmanager
def _ground(where: Places, settings: LedgerSettings) -> "Iterator[ServerGround]":
    from audit import secrets_configured
    from audit.postgres import embedded, ground

    if where.database_url is not None:
        assert where.reader_url is not None
        assert where.admin_url is not None
        with secrets_configured.opened(os.environ) as secrets:
            yield ground.own_ground(
                msgspec.structs.replace(
                    where,
                    database_url=secrets.url(where.database_url),
                    reader_url=secrets.url(where.reader_url),
                    admin_url=secrets.url(where.admin_url),
                ),
                settings,
            )
        return
    with embedded.using(where.home) as cluster:
        yield ground.embedded_ground(cluster, where.home, settings)


def _say(done: Journal, where: Places) -> int:
    continued = done.continued
    signed = "signed for by its last key" if continued.signature else "not signed for: its last key was not at hand"
    command.say(f"closed: {recovery.words(continued)}")
    command.say(f"it stays readable in the database {done.old_database}")
    command.say(f"opened: {done.origin} in the database {done.new_database}, {signed}")
    if where.database_url is not None:
        command.say(f"name {done.new_database} in MEDAI_DATABASE_URL and MEDAI_DATABASE_READER_URL, everywhere")
    command.say("the new log's verifier key, to be handed to auditors on a second channel:")
    return command.say(done.record_0.verifier_key)
