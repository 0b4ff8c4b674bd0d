"""The matrix: what was read of requirements, code, tests and their results, brought together and judged.

    inputs = project.gather(root)     what is on disk: the only part that reads files
    found = matrix.build(inputs)      pure: the same inputs give the same `rows.Matrix`
    matrix.encode(found)              its canonical JSON, `matrix.decode` back

`rows` has the shape of all of it: `Matrix.requirements`, `.hazards`, `.units`, `.tests`, `.links`, `.findings`,
`.summary`. A link's `level` is the highest of which all below are reached; `demanded` is what the safety class asks;
`why` says what is missing. Links carry a `review` (`rows.NOT_REVIEWED` here): what is known of reviews is put in
afterwards with `msgspec.structs.replace`, together with findings of its own, and `matrix.summarised` counts anew.
Requirement, unit, test and hazard rows each have a `fingerprint`, which moves when what they mean moves.
"""

from typing import Final

import msgspec

from traceability.errors import EvidenceInvalid
from traceability.rows import FORMAT, Matrix

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Matrix)


def encode(found: Matrix) -> bytes:
    """The one JSON encoding of `found`: sorted members, integers only, no white space, a line feed at the end."""
    return _ENCODER.encode(found) + b"\n"


def decode(body: bytes) -> Matrix:
    """The matrix that `encode` wrote. Raises `EvidenceInvalid` where `body` is none."""
    try:
        found = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise EvidenceInvalid(f"matrix: this is not a matrix in the format {FORMAT}: {error}") from error
    if found.format != FORMAT:
        raise EvidenceInvalid(f"matrix: expected the format {FORMAT}, got {found.format!r}: make it anew")
    return found
