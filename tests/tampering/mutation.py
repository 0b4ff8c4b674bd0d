"""One line of the table of alterations: what is done, and what verification must say of it."""

from typing import Final

from msgspec import Struct

from audit.findings import Fault, Part
from audit.note import Signer
from tests.tampering import places
from tests.tampering.changes import Change
from tests.tampering.ledger import NEXT_KEY
from tests.tampering.places import Where

NOTHING: Final = "nothing"
RECORDS: Final = (35, 300, 597)


class Mutation(Struct, frozen=True, kw_only=True):
    """One line of the table."""

    columns: tuple[str, ...]
    what: str
    recomputed: str = NOTHING
    fault: Fault = "record_edited"
    part: Part = "record"
    where: Where = places.record
    place: str = ""
    """In words, where the function does not say it."""
    change: Change
    altered: bool = True
    """False where it is told, and is no alteration of what was recorded."""
    key: Signer = NEXT_KEY
    """Of which the auditor has the public half."""
    at: tuple[int, ...] = RECORDS

    @property
    def name(self) -> str:
        return self.what if self.recomputed == NOTHING else f"{self.what}, with {self.recomputed}"

    @property
    def shown_place(self) -> str:
        said = (self.place or self.where.__doc__ or "").rstrip(".")
        return said[0].lower() + said[1:]
