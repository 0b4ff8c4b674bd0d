"""What PostgreSQL's errors mean to the ledger.

Only the database's own complaint about one batch's data is `RecordRefused`; whatever may pass, or is an
operator's to mend, is `LedgerUnavailable`: a batch is then tried again as it is.
"""

from typing import Final

import psycopg

from audit.errors import (
    AuditError,
    CallerBehind,
    LeaseLost,
    LedgerExists,
    LedgerForked,
    LedgerNotInitialised,
    LedgerUnavailable,
    RecordRefused,
)
from traceability.marks import implements

# Raised by the functions of migrations/versions.
OURS: Final[dict[str, type[AuditError]]] = {
    "ML001": LedgerForked,
    "ML002": CallerBehind,
    "ML003": RecordRefused,
    "ML004": LedgerExists,
    "ML005": LedgerNotInitialised,
    "ML008": LeaseLost,
}
# PostgreSQL, appendix A: 22 data exception, 23 integrity constraint violation, 54 program limit exceeded.
OF_THE_DATA: Final = ("22", "23", "54")
# Under the lock an index is taken only where batches were deleted: the database lost its end.
OF_THE_TREE: Final = frozenset({"records_pkey", "nodes_pkey", "batches_pkey"})
NOT_MIGRATED: Final = frozenset({"3F000", "42883", "42P01"})  # no such schema, function, table
NOT_ALLOWED: Final = "42501"


@implements("REQ-DEP-015")
def translate(error: psycopg.Error) -> AuditError:
    """The ledger's own error for PostgreSQL's. Its words hold no value of a record."""
    state = error.sqlstate
    if state is None:  # the connection failed before, or instead of, an answer
        return LedgerUnavailable(f"database: {' '.join(str(error).split())[:300] or 'the connection was lost'}")
    if state in OURS:
        return OURS[state](error.diag.message_primary or state)
    if error.diag.constraint_name in OF_THE_TREE:
        return LedgerForked(f"database: {error.diag.constraint_name} holds what its last batch does not know of")
    if state.startswith(OF_THE_DATA):
        # PostgreSQL's own message may quote the data.
        return RecordRefused(f"database: it refuses the batch's data ({type(error).__name__}, SQLSTATE {state})")
    if state in NOT_MIGRATED:
        return LedgerUnavailable("database: the ledger's schema is not there; run `medai migrate`")
    if state == NOT_ALLOWED:
        return LedgerUnavailable("database: the login may not do this; grant it ledger_writer or ledger_reader")
    return LedgerUnavailable(f"database: {error.diag.message_primary or type(error).__name__} (SQLSTATE {state})")
