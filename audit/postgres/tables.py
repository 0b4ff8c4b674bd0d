"""The ledger's tables as SQLAlchemy Core describes them; `migrations` makes them, and a test compares the two."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

writer_lock: Final = Table("writer_lock", metadata, Column("only_row", Boolean, primary_key=True))
