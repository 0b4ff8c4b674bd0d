"""CycloneDX JSON against its own strict schema, by cyclonedx-python-lib's validator.

What two readers would read differently is refused before: a member given twice, a number that JSON has not, text that
no encoding can carry.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator, JsonValidator
from jsonschema import FormatChecker, ValidationError
from jsonschema.exceptions import best_match

from sbom.errors import DocumentInvalid
from traceability.marks import implements

VERSIONS: Final = {
    "1.4": SchemaVersion.V1_4,
    "1.5": SchemaVersion.V1_5,
    "1.6": SchemaVersion.V1_6,
    "1.7": SchemaVersion.V1_7,
}
MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ADDRESS: Final = 512
"""Characters of an address that the full grammar reads: its parser needs up to the third power of them in time."""

_PCHAR: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_PLAIN_ADDRESS: Final = re.compile(  # RFC 3986 section 3, without user information, addresses in brackets and the rest
    rf"[A-Za-z][A-Za-z0-9+.-]*+://[A-Za-z0-9\-._~]++(?::[0-9]*+)?(?:/{_PCHAR}*+)*+"
    rf"(?:\?(?:{_PCHAR}|[/?])*+)?(?:#(?:{_PCHAR}|[/?])*+)?"
).fullmatch


@implements("REQ-SBM-007")
def require_valid(document: bytes, *, strict: bool) -> dict[str, Any]:
    """The document, valid in its own version (1.4 to 1.7). Raises `DocumentInvalid` with the path and the reason."""
    if len(document) > MAX_BYTES:
        raise DocumentInvalid(f"{len(document)} bytes, at most {MAX_BYTES}")
    parsed = decode(document)
    if not isinstance(parsed, dict) or parsed.get("bomFormat") != "CycloneDX":
        raise DocumentInvalid("/bomFormat: expected CycloneDX")
    version = VERSIONS.get(str(parsed.get("specVersion")))
    if version is None:
        raise DocumentInvalid(f"/specVersion: expected one of {', '.join(VERSIONS)}")
    # The library's own schemas and registry; its validator reads each address with a general parser, which takes
    # nine tenths of the time, so that plain ones are told by a regular expression first.
    validator: Any = (JsonStrictValidator if strict else JsonValidator)(version)._validator
    try:
        fault = next(validator.evolve(format_checker=_formats(validator.format_checker)).iter_errors(parsed), None)
    except RecursionError as error:
        raise DocumentInvalid("nested too deeply") from error
    if fault is not None:
        raise DocumentInvalid(_told(fault))
    return parsed


def read(path: Path) -> dict[str, Any]:
    """The valid document in the file `path`; no more of it than may be is read. Raises `DocumentInvalid`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentInvalid(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return require_valid(content, strict=False)
    except DocumentInvalid as error:
        raise DocumentInvalid(f"{path}: {error}") from error


def plain(text: str) -> str:
    """`text` for a terminal: what would steer one, or that no encoding carries, is written as its escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


@implements("REQ-SBM-007")
def decode(document: bytes) -> Any:
    """The JSON value that any reader would read in `document`. Raises `DocumentInvalid`."""
    try:
        text = document.decode(json.detect_encoding(document))
        parsed = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DocumentInvalid("half of a surrogate pair is in it: no encoding carries that (RFC 8259, 8.2)") from error
    except (ValueError, RecursionError) as error:
        kind = "it is XML; give the JSON form of it" if document.lstrip()[:1] == b"<" else str(error)
        raise DocumentInvalid(f"not JSON: {kind}") from error
    return parsed


def _once(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259, section 4: what a reader makes of a name given twice is its own affair."""
    made: dict[str, Any] = {}
    for name, value in members:
        if name in made:
            raise DocumentInvalid(f"the member {name[:80]!r} is given twice in one object")
        made[name] = value
    return made


def _no_number(name: str) -> Any:
    raise DocumentInvalid(f"not JSON: {name} is no number of it")


def _told(fault: ValidationError) -> str:
    """The place and the reason; where no alternative of several holds, those of the one that comes nearest."""
    near = best_match(iter([fault])) or fault
    path = "/" + "/".join(str(step) for step in near.absolute_path)
    return f"{plain(path)}: {plain(str(near.message)[:300])}"


def _formats(theirs: FormatChecker) -> FormatChecker:
    full, raises = theirs.checkers["iri-reference"]

    def address(value: object) -> bool:
        if not isinstance(value, str) or is_plain_address(value):
            return True
        return len(value) <= MAX_ADDRESS and bool(full(value))

    made = FormatChecker(formats=())
    made.checkers = {**theirs.checkers, "iri-reference": (address, raises)}
    return made


def is_plain_address(text: str) -> bool:
    """Whether `text` is an address of the common kind, SCHEME://HOST/..., in ASCII: each such is an IRI."""
    return _PLAIN_ADDRESS(text) is not None
