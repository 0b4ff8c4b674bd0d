"""A long ledger in a short time: the very rows that `ledger.append` would have written, copied in.

Records, hashes, tiles and batches are made here and copied into the tables with every index in place, so that indexes
grow as they would have. `tests/integration/test_benchmarks_scale.py` holds it to `ledger.append`, row by row. Nothing
of it is seen before all of it is there; the caller signs and anchors the end.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from typing import Final

import msgspec
import psycopg
from msgspec import Struct

from audit import record
from audit.derived import COLUMNS, columns_of
from audit.ports import Head
from audit.record import Prediction
from tests.benchmarks.predictions import prediction

# PostgreSQL, COPY, "Binary Format": a signature, flags, the length of an extension; then rows; then a mark of the end.
BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
BYTEA_OID: Final = 17
RANDOM_BYTES: Final = 16 * 3 + 32 * 5
CHUNK_ROWS: Final = 1_024
PACE_US: Final = 1
"""The clock never steps back by more than it may: not from record 0, nor to what is appended afterwards."""
BYTES_A_RECORD: Final = 2_500
"""More than the tables and indexes take on disk; the write-ahead log comes besides."""


class Chunk(Struct, frozen=True, kw_only=True):
    """Rows of each table, as COPY takes them."""

    records: bytes
    nodes: bytes
    batches: bytes


def build(admin_url: str, head: Head, count: int, *, batch: int, first_us: int) -> Head:
    """The ledger of `admin_url` is longer by `count` records in batches of `batch`: its new head.

    Requires `head` to be the ledger's, with record 0, and nobody else to write. The clock goes on by `PACE_US` a record
    from `first_us`.
    """
    maker = Maker(head, batch=batch, first_us=first_us)
    columns = {
        "records": f"(idx, event_id, record, leaf_hash, {', '.join(COLUMNS)})",
        "nodes": "(height, idx, hash)",
        "batches": "(size, first, chain, frontier)",
    }
    with ExitStack() as open_copies:
        connection = {name: open_copies.enter_context(psycopg.connect(admin_url)) for name in columns}
        copies = {
            name: open_copies.enter_context(
                connection[name].cursor().copy(f"COPY ledger.{name} {listed} FROM STDIN (FORMAT binary)".encode())
            )
            for name, listed in columns.items()
        }
        for copy in copies.values():
            copy.write(BEGIN)
        for chunk in maker.chunks(count):
            for name, copy in copies.items():
                copy.write(getattr(chunk, name))
        for copy in copies.values():
            copy.write(END)
    return maker.head


class Maker:
    """Makes records of nobody, and what the ledger keeps of them. `head` is where it has come to."""

    def __init__(self, head: Head, *, batch: int, first_us: int) -> None:
        self._size, self._stack, self._chain = head.size, list(head.frontier), head.chain
        self._batch, self._now_us = batch, first_us
        self._record, self._row = _templates()

    @property
    def head(self) -> Head:
        return Head(size=self._size, frontier=tuple(self._stack), chain=self._chain)

    def chunks(self, count: int) -> Iterator[Chunk]:
        end = self._size + count
        while self._size < end:
            records: list[bytes] = []
            nodes: list[bytes] = []
            batches: list[bytes] = []
            while self._size < end and len(records) < CHUNK_ROWS:
                first = self._size
                self._append(min(self._batch, end - first), records, nodes)
                batches.append(_batch_row(self._size, first, self._chain, self._stack))
            yield Chunk(records=b"".join(records), nodes=b"".join(nodes), batches=b"".join(batches))

    def _append(self, count: int, records: list[bytes], nodes: list[bytes]) -> None:
        """RFC 6962 section 2.1 and the chain of DESIGN, as step 8 of `ledger.append` has them."""
        random = os.urandom(RANDOM_BYTES * count).hex()
        for at in range(count):
            leaf, row = self._made(random[at * 2 * RANDOM_BYTES : (at + 1) * 2 * RANDOM_BYTES])
            records.append(row)
            self._chain = sha256(b"\x02" + self._chain + leaf).digest()
            node, height, place = leaf, 0, self._size
            while place >> height & 1:
                node = sha256(b"\x01" + self._stack.pop() + node).digest()
                height += 1
                if height % 8 == 0:
                    key = struct.pack(">hihiqi", 3, 2, height, 8, place >> height, 32)
                    nodes.append(key + node)
            self._stack.append(node)
            self._size += 1

    def _made(self, random: str) -> tuple[bytes, bytes]:
        """One record's leaf hash, and its row."""
        event_id, request_id, correlation_id = _uuid(random[:32]), _uuid(random[32:64]), _uuid(random[64:96])
        digests = [random[at : at + 64].encode() for at in range(96, 416, 64)]
        self._now_us += PACE_US
        body = self._record % {
            b"event_id": event_id, b"request_id": request_id, b"correlation_id": correlation_id,
            b"now": b"%d" % self._now_us, b"input": digests[0], b"pixels": digests[1], b"patient": digests[2],
            b"study": digests[3], b"answer": digests[4],
        }  # fmt: skip
        leaf = sha256(b"\x00" + body).digest()
        row = self._row % {
            b"idx": struct.pack(">q", self._size), b"event_id": _packed(event_id),
            b"record": struct.pack(">i", len(body)) + body, b"leaf": leaf, b"now": struct.pack(">q", self._now_us),
            b"request_id": _packed(request_id), b"correlation_id": correlation_id, b"patient": digests[2],
            b"study": digests[3],
        }  # fmt: skip
        return leaf, row


def _uuid(digits: str) -> bytes:
    """As `record.new_event_id` writes one: version 4, variant 1 (RFC 9562, section 5.4)."""
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}".encode()


def _packed(uuid: bytes) -> bytes:
    return bytes.fromhex(uuid.replace(b"-", b"").decode())


def _templates() -> tuple[bytes, bytes]:
    """A prediction's bytes, and its row, with a name where each one's own values go."""
    names = ("event_id", "request_id", "correlation_id", "input", "pixels", "patient", "study", "answer")
    marks = {
        name: _uuid(os.urandom(16).hex()) if name.endswith("_id") else os.urandom(32).hex().encode() for name in names
    }
    text = {name: mark.decode() for name, mark in marks.items()}
    now_us = 1_700_000_000_123_456
    entry = _marked(prediction(), text, now_us)
    body = record.encode(entry)
    assert b"%" not in body
    for name, mark in {**marks, "now": b"%d" % now_us}.items():
        assert body.count(mark) == 1, name
        body = body.replace(mark, b"%%(%s)b" % name.encode())
    assert record.decode(record.encode(entry)) == entry
    return body, _row_template(entry)


def _marked(entry: Prediction, text: dict[str, str], now_us: int) -> Prediction:
    change = msgspec.structs.replace
    return change(
        entry,
        event_id=text["event_id"],
        recorded_at_us=now_us,
        request_id=text["request_id"],
        correlation_id=text["correlation_id"],
        input=change(entry.input, sha256=text["input"], pixels_sha256=text["pixels"]),
        subject=record.Subject(patient=f"k1:{text['patient']}", study=f"k1:{text['study']}"),
        answer_sha256=text["answer"],
    )


def _row_template(entry: Prediction) -> bytes:
    """The row in COPY's binary format: what is the same for all as it is, names for the rest."""
    own = {
        "recorded_at_us": (8, b"%(now)b"),
        "request_id": (16, b"%(request_id)b"),
        "correlation_id": (36, b"%(correlation_id)b"),
        "patient": (67, b"k1:%(patient)b"),
        "study": (67, b"k1:%(study)b"),
    }
    fields = [
        _field(8, b"%(idx)b"),
        _field(16, b"%(event_id)b"),
        b"%(record)b",  # its length and its bytes
        _field(32, b"%(leaf)b"),
    ]
    for name, value in zip(COLUMNS, columns_of(entry), strict=True):
        if name in own:
            fields.append(_field(*own[name]))
        elif value is None:
            fields.append(NULL)
        elif name == "status":
            fields.append(_literal(struct.pack(">ih", 2, value)))
        else:
            content = value.encode()
            fields.append(_field(len(content), _literal(content)))
    return _literal(struct.pack(">h", len(fields))) + b"".join(fields)


def _literal(content: bytes) -> bytes:
    """As it stands in a template."""
    return content.replace(b"%", b"%%")


def _field(length: int, content: bytes) -> bytes:
    """A field of a template: `content` is one already."""
    return _literal(struct.pack(">i", length)) + content


def _bytea(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _batch_row(size: int, first: int, chain: bytes, frontier: list[bytes]) -> bytes:
    array = struct.pack(">iiiii", 1, 0, BYTEA_OID, len(frontier), 1)  # dimensions, nulls, type, length, lower bound
    array += b"".join([_bytea(node) for node in frontier])
    return struct.pack(">hiqiq", 4, 8, size, 8, first) + _bytea(chain) + _bytea(array)
