"""What the files say by themselves, whatever any test run saw; kept, so that it is read once for each state of them.

The key of what is kept is made from the bytes of every file that was read, the settings, and this tool: as soon as one
of them differs, everything is read anew. It lies among the evidence of a test run, and is as good as that.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from traceability import lobster, openfasttrace, reading, requirements
from traceability.citations import Reading
from traceability.errors import RequirementInvalid
from traceability.requirements import Document, Requirement, Requirements
from traceability.settings import Settings

FILE: Final = "readings.cache"


class Sources(Struct, frozen=True, kw_only=True):
    """The bytes of all files, by their paths from the root."""

    requirements: dict[str, bytes]
    specifications: dict[str, bytes]
    lobster: dict[str, bytes]
    code: dict[str, bytes]
    tests: dict[str, bytes]


class Standing(Struct, frozen=True, kw_only=True):
    """What they say."""

    key: bytes
    written: Requirements
    readings: tuple[Reading, ...]
    fingerprints: dict[str, str]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Standing)


def known(sources: Sources, chosen: Settings, folder: Path) -> Standing:
    """What `sources` say, from `folder` where it is kept there, else read and kept there."""
    key = _key(sources, chosen)
    file = folder / FILE
    try:
        kept = _DECODER.decode(file.read_bytes())
        if kept.key == key:
            return kept
    except (OSError, msgspec.DecodeError):
        pass  # it is not there, or was made by another version
    made = _made(sources, chosen, key)
    with suppress(OSError):  # evidence that is kept where nobody may write is as good
        file.write_bytes(_ENCODER.encode(made))
    return made


def written(documents: Mapping[str, bytes], foreign: list[Requirement]) -> Requirements:
    """The requirements in these files, and those of other tools. Raises `RequirementInvalid` with every fault."""
    read: list[Document] = []
    faults: list[str] = []
    for file, body in documents.items():
        try:
            read.append(requirements.parse(reading.decoded(file, body), file))
        except RequirementInvalid as error:
            faults.append(str(error))
    if faults:
        raise RequirementInvalid("\n".join(faults))
    return Requirements(
        requirements=(*(item for document in read for item in document.requirements), *foreign),
        hazards=tuple(item for document in read for item in document.hazards),
        origins=tuple(item for document in read for item in document.origins),
    )


def foreign(sources: Sources, chosen: Settings) -> Iterator[Requirement]:
    """The requirements that other tools' files hold."""
    for file, body in sources.lobster.items():
        yield from lobster.parse(body, file, chosen.imported_class).requirements
    for file, body in sources.specifications.items():
        yield from openfasttrace.parse(reading.decoded(file, body), file, chosen.imported_class)


def _made(sources: Sources, chosen: Settings, key: bytes) -> Standing:
    tree = reading.Tree(sources.code, sources.tests, frozenset(chosen.readers))
    placed = [
        place
        for file, body in sources.lobster.items()
        for place in lobster.parse(body, file, chosen.imported_class).placed
    ]
    readings = (*tree.readings, *reading.located(tree, placed))
    found = written(sources.requirements, list(foreign(sources, chosen)))
    fingerprints = reading.fingerprinted(tree, readings, found.requirements, found.hazards)
    return Standing(key=key, written=found, readings=readings, fingerprints=fingerprints)


def _key(sources: Sources, chosen: Settings) -> bytes:
    whole = hashlib.sha256(_ENCODER.encode(chosen))
    for path in sorted(Path(__file__).parent.glob("*.py")):
        state = path.stat()
        whole.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    for part in msgspec.structs.astuple(sources):
        whole.update(b"\1")
        for file, body in part.items():
            whole.update(file.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(body).digest())
    return whole.digest()
