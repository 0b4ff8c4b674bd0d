"""CycloneDX JSON against its own strict schema, by cyclonedx-python-lib's validator."""

import json
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator, JsonValidator

from sbom.errors import DocumentInvalid

VERSIONS: Final = {
    "1.4": SchemaVersion.V1_4,
    "1.5": SchemaVersion.V1_5,
    "1.6": SchemaVersion.V1_6,
    "1.7": SchemaVersion.V1_7,
}


def require_valid(document: bytes, *, strict: bool) -> dict[str, Any]:
    """The document, valid in its own version (1.4 to 1.7). Raises `DocumentInvalid` with the path and the reason."""
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid(f"not JSON: {error}") from error
    if not isinstance(parsed, dict) or parsed.get("bomFormat") != "CycloneDX":
        raise DocumentInvalid("/bomFormat: expected CycloneDX")
    version = VERSIONS.get(str(parsed.get("specVersion")))
    if version is None:
        raise DocumentInvalid(f"/specVersion: expected one of {', '.join(VERSIONS)}")
    validator = (JsonStrictValidator if strict else JsonValidator)(version)
    fault = validator.validate_str(document.decode("utf-8"))
    if fault is not None:
        cause: Any = fault.data
        path = "/" + "/".join(str(step) for step in cause.absolute_path)
        raise DocumentInvalid(f"{path}: {str(cause.message)[:300]}")
    return parsed
