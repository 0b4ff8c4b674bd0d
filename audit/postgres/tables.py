"""The ledger's tables as SQLAlchemy Core describes them; `migrations` makes them, and a test compares the two."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

metadata: Final = MetaData(schema="ledger")

records: Final = Table(
    "records",
    metadata,
    Column("idx", BigInteger, CheckConstraint("idx >= 0"), primary_key=True, autoincrement=False),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("record", LargeBinary, CheckConstraint("octet_length(record) <= 16384"), nullable=False),
    Column("leaf_hash", LargeBinary, CheckConstraint("octet_length(leaf_hash) = 32"), nullable=False),
    # Derived from `record` by ledger.append, to search by; verification derives them again and compares.
    Column("kind", Text, nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("request_id", Uuid),
    Column("correlation_id", Text),
    Column("actor", Text),
    Column("peer", Text),
    Column("route", Text),
    Column("status", SmallInteger),
    Column("code", Text),
    Column("decision", Text),
    Column("model", Text),
    Column("release", Text),
    Column("patient", Text),
    Column("study", Text),
    Column("process_id", Uuid),
    Column("phase", Text),
    Column("minute_us", BigInteger),
    Column("of_index", BigInteger),
)
Index("records_windows_opened", records.c.idx, postgresql_where=text("phase = 'opened'"))
Index("records_of_index", records.c.of_index, postgresql_where=text("of_index IS NOT NULL"))
Index("records_key_rotated", records.c.idx, postgresql_where=text("kind = 'key_rotated'"))

nodes: Final = Table(
    "nodes",
    metadata,
    Column("height", SmallInteger, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

batches: Final = Table(
    "batches",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("frontier", ARRAY(LargeBinary), nullable=False),
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("checkpoint", LargeBinary, nullable=False),
)

policies: Final = Table(
    "policies",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("policy", LargeBinary, nullable=False),
)

cosigned: Final = Table(
    "cosigned",
    metadata,
    Column("size", BigInteger, ForeignKey("ledger.checkpoints.size"), primary_key=True, autoincrement=False),
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    # The verdict of `policy` when this was stored; verification works it out again and compares.
    Column("attested", Boolean, nullable=False),
    Column("policy", LargeBinary, ForeignKey("ledger.policies.digest"), nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
)
Index("cosigned_attested", cosigned.c.size, cosigned.c.version, postgresql_where=text("attested"))

# Who leads, for as long as it says: the one table whose rows change, because they are nobody's evidence.
leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Uuid, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

writer_lock: Final = Table("writer_lock", metadata, Column("only_row", Boolean, primary_key=True))
