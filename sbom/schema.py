"""CycloneDX JSON against its own strict schema, by cyclonedx-python-lib's validator."""

import json
import re
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator, JsonValidator
from jsonschema import FormatChecker

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
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid(f"not JSON: {error}") from error
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
        path = "/" + "/".join(str(step) for step in fault.absolute_path)
        raise DocumentInvalid(f"{path}: {str(fault.message)[:300]}")
    return parsed


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
