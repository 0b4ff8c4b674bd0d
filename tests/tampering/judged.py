"""What verification says of altered tables, in the words of the table: class, part and place."""

from audit import verification
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.note import Signer
from tests.held_anchors import HeldAnchor
from tests.tampering import ledger
from tests.tampering import tables as do
from tests.tampering.ledger import NEXT_KEY, Made, Plan
from tests.tampering.mutation import Mutation
from tests.tampering.tables import Tables

Said = tuple[str, str, int, int]


async def written(plan: Plan) -> tuple[Made, Tables]:
    """The ledger of `plan` in memory."""
    database = MemoryDatabase()
    made = await ledger.write(MemoryStore(database), plan)
    return made, do.from_memory(database)


async def report_on(tables: Tables, made: Made, key: Signer = NEXT_KEY) -> verification.Report:
    database = do.to_memory(tables)
    anchor = HeldAnchor(made.anchors)
    return await verification.verify(lambda: MemoryReader(database), key.verifier, anchor, processes=1)


def said(report: verification.Report, *, altered: bool = True) -> list[Said]:
    """Everything that was altered, or that is told besides. A clock that went back may be where records were moved."""
    found = [one for one in report.found if one.altered is altered and one.fault != "time"]
    return sorted((one.fault, one.part, one.first, one.end) for one in found)


def expected(mutation: Mutation, plan: Plan, at: int) -> list[Said]:
    return sorted((mutation.fault, mutation.part, *place) for place in mutation.where(plan, at))


def changed(tables: Tables, mutation: Mutation, at: int) -> Tables:
    """`tables` as they are after it."""
    copied = tables.copy()
    mutation.change(copied, at)
    copied.sort()
    return copied
