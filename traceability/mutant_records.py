"""What is known of mutants, kept from one run to the next: `medai.mutants/1`.

A record holds for a unit and the tests that claim one requirement of it, as they were. As soon as the fingerprint of
the unit or of one of the tests moves, or a test comes or goes, it says nothing any more and is made anew.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from traceability.errors import EvidenceInvalid
from traceability.marks import implements

FORMAT: Final = "medai.mutants/1"
ENGINE: Final = 1
"""Which mutants are made, and in which order: moves when that does, and takes all records with it."""


class MutantRecord(Struct, frozen=True, kw_only=True):
    """One unit against the tests of one requirement."""

    requirement: str
    unit: str
    unit_fingerprint: str
    tests: dict[str, str]
    """The claiming tests with their fingerprints."""
    total: int
    tried: int
    killed: int
    survivors: tuple[str, ...]
    exhausted: bool
    seed: int
    budget_s: int
    engine: int = ENGINE

    def holds(self, unit_fingerprint: str, tests: Mapping[str, str]) -> bool:
        """Whether it is about this code and these tests."""
        return self.engine == ENGINE and self.unit_fingerprint == unit_fingerprint and self.tests == dict(tests)


class MutantRecords(Struct, frozen=True, kw_only=True):
    """All of a project."""

    format: str
    records: tuple[MutantRecord, ...]

    def by_link(self) -> dict[tuple[str, str], MutantRecord]:
        return {(record.requirement, record.unit): record for record in self.records}


NOTHING: Final = MutantRecords(format=FORMAT, records=())

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(MutantRecords)


@implements("REQ-TRC-006")
def encode(records: Iterable[MutantRecord]) -> bytes:
    """One record a line, sorted, so that a change of one is a change of one line."""
    ordered = sorted(records, key=lambda record: (record.requirement, record.unit))
    lines = [_ENCODER.encode(record).decode("utf-8") for record in ordered]
    return ('{"format":"' + FORMAT + '","records":[\n' + ",\n".join(lines) + "\n]}\n").encode("utf-8")


@implements("REQ-TRC-006")
def decode(body: bytes, file: str) -> MutantRecords:
    """Raises `EvidenceInvalid` where `body` is not what `encode` writes."""
    try:
        found = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise EvidenceInvalid(f"{file}: these are no records of mutants: {error}: make them anew") from error
    if found.format != FORMAT:
        raise EvidenceInvalid(f"{file}: expected the format {FORMAT}, got {found.format!r}: make them anew")
    return found
