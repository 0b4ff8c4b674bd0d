"""One look of the self-audit in a process of its own, at the lowest priority: the parent's side, and the child's.

    python -m audit.look

The child is told on its standard input what to look at (msgpack of `Asked`), has the ledger from the environment like
every command, and answers on its standard output (msgpack of the report). What goes wrong is a sentence on its standard
error, and exit code 2. A parent that dies leaves a child that ends by itself, with nobody to answer to.
"""

import asyncio
import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from audit import anchors_configured, command, verification
from audit.errors import AuditError, LedgerUnavailable
from audit.note import Verifier
from audit.settings import ledger_settings, places, publish_settings
from audit.verification import Report, Verified
from traceability.marks import implements

LOWEST_PRIORITY: Final = 19
EXIT_FAILED: Final = 2
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MODULE: Final = "audit.look"


class Asked(Struct, frozen=True, kw_only=True):
    """What to look at: the ledger of this key, or what came since."""

    key: str
    since: Verified | None


@implements("REQ-AUD-020")
class ChildEyes:
    """Implements `audit.watch.Eyes` by a child."""

    def __init__(self, environment: Mapping[str, str], key: Callable[[], Verifier]) -> None:
        """`environment` names the ledger; `key` is the log's at the time of a look."""
        self._environment, self._key = dict(environment), key

    async def look(self, since: Verified | None) -> Report:
        """Raises `LedgerUnavailable` where the child did not come to a verdict."""
        asked = msgspec.msgpack.encode(Asked(key=str(self._key()), since=since))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, env=self._environment, limit=MAX_ANSWER_BYTES,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            answer, complaint = await child.communicate(asked)
        finally:
            if child.returncode is None:  # we are cancelled
                child.kill()
                await child.wait()
        if child.returncode != 0:
            words = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise LedgerUnavailable(f"watch: the verifying process ended with {child.returncode}: {words}")
        return msgspec.msgpack.decode(answer, type=Report)


async def look(key: Verifier, since: Verified | None) -> Report:
    """Verify the ledger that the environment names, in this process alone."""
    where, settings, publish = places(os.environ), ledger_settings(os.environ), publish_settings(os.environ)
    with command.database(where) as database:
        judging = verification.verify(
            functools.partial(command.open_reader, database.reader_url, settings),
            key,
            anchors_configured.together(where, publish, (key,), key.name),
            processes=1,
            since=since,
        )
        return await command.judged_with_schema(database.reader_url, settings, key.name, judging)


def main() -> int:
    """The child: exit code 0 with a report, whatever it says; 2 without."""
    os.nice(LOWEST_PRIORITY)
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Asked)
    try:
        report = asyncio.run(look(Verifier.parse(asked.key), asked.since))
    except AuditError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return EXIT_FAILED
    sys.stdout.buffer.write(msgspec.msgpack.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
