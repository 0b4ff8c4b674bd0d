"""What the tests of faults do with a whole service that has a database of its own."""

from collections.abc import Iterable

from audit.ports import Proven
from tests.system.callers import Held
from tests.system.faults.log import Account, Log
from tests.system.running import Server


def issue_a_token(server: Server) -> None:
    """Callers of `server` have one that opens `/infer`. Development tokens come with the embedded database alone."""
    issued = server.medai("token", "issue", "caller", "--scope", "infer")
    assert issued.returncode == 0, issued.stderr
    folder = server.home / "tokens"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "infer").write_text(issued.stdout, "ascii")


def receipts(held: Iterable[Held]) -> list[Proven]:
    """Those in the findings."""
    ledgers = [one.response.json()["ledger"] for one in held if one.response.status == 200]
    return [
        Proven(index=one["index"], leaf_hash=bytes.fromhex(one["leaf_hash"]), proof=one["proof"]) for one in ledgers
    ]


async def account_of(log: Log, held: list[Proven]) -> Account:
    """The account of a service's log against `held`; the log is closed."""
    log.held = held
    try:
        return await log.account()
    finally:
        await log.close()
