"""`medai audit tiles export DIR`: the log as static files (C2SP tlog-tiles), for any web server to hand on."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from audit import anchors_configured, command, succession, tiles_export
from audit.acceptance import genesis_of
from audit.errors import SignatureMissing
from audit.settings import places


def main(arguments: Sequence[str]) -> int:
    """`medai audit tiles export DIR [--hashes-only] [--key VKEY]`."""
    parser = argparse.ArgumentParser(prog="medai audit tiles", description="The log as tiles (C2SP tlog-tiles).")
    what = parser.add_subparsers(required=True, metavar="export")
    export = what.add_parser(
        "export",
        help="write or continue a folder of tiles",
        description="Write the log to DIR as static files, or go on where the last export ended.",
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="made where there is none")
    export.add_argument("--hashes-only", action="store_true", help="leave out the records: tile/entries")
    export.add_argument("--key", metavar="VKEY", help="the log's verifier key, or a file that holds it (default: ours)")
    options = parser.parse_args(arguments)
    return command.run(lambda: asyncio.run(_export(options)))


async def _export(options: argparse.Namespace) -> int:
    key = command.verifier_of(options.key)
    async with command.reading(anchors_configured.served(places(os.environ))) as reader:
        # The keys before and after the one that is trusted are the log's as well: what they signed is held together
        # by the tree. Which of them is to sign which size is for the history to say.
        keys = (await succession.read(reader, await genesis_of(reader), (await reader.head()).size)).history
        if key not in keys.verifiers:
            raise SignatureMissing(f"--key: {key} is not, and was not, a key of the log {keys.origin}")
        exported = await tiles_export.export(reader, options.folder, keys.open, entries=not options.hashes_only)
    root = exported.checkpoint.root.hex()
    return command.say(f"{options.folder}: {exported.size} records, root {root}; {exported.written} files written")
