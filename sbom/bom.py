"""The bill of materials as one CycloneDX document: components, who depends on whom, and what is not known.

The document is a function of what was found: no clock, no randomness. Its serial number is derived from its content
(UUIDv5), so that the same product gives the same bytes and another product another number.

Pure.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import UUID, uuid5

from msgspec import Struct

from sbom.components import UNKNOWN, Component
from traceability.marks import implements

SpecVersion = Literal["1.6", "1.7"]
ROOT: Final = "urn:medai-flow:product"
_NAMESPACE: Final = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562 section 6.6: names that are URLs


class Product(Struct, frozen=True, kw_only=True):
    """What the document is about. `commit` and `made_at` (RFC 3339, UTC: the commit's time) are None outside of git."""

    name: str
    version: str
    description: str
    commit: str | None
    made_at: str | None
    author: Component | None = None
    """Who says so, as a CycloneDX organisation; None where nobody was named."""
    tool_version: str
    """Of cyclonedx-bom, whose view of the environment is the start of this one."""


class Parts(Struct, frozen=True, kw_only=True):
    """Everything that was found, and the edges between: `bom-ref` to the `bom-ref`s that it needs."""

    components: Sequence[Component]
    depends: Mapping[str, Sequence[str]]
    complete: Sequence[str]
    """The refs whose dependencies are all known."""
    unknowns: Sequence[str]
    """Sentences: what this document does not account for."""


@implements("REQ-SBM-001")
def assemble(product: Product, parts: Parts, *, spec_version: SpecVersion = "1.6") -> dict[str, Any]:
    """The document. Components and edges are in order of their refs."""
    components = sorted(parts.components, key=lambda each: str(each["bom-ref"]))
    refs = {str(each["bom-ref"]) for each in components}
    edges = {ref: sorted(set(parts.depends.get(ref, ())) & refs) for ref in (ROOT, *sorted(refs))}
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec_version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec_version,
        "version": 1,
        "metadata": _metadata(product, parts),
        "components": components,
        "dependencies": [
            {"ref": ref, "dependsOn": needed} if needed else {"ref": ref} for ref, needed in edges.items()
        ],
        "compositions": _compositions(components, parts),
    }
    serial = uuid5(_NAMESPACE, json.dumps(document, sort_keys=True, ensure_ascii=False))
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


@implements("REQ-SBM-001")
def encode(document: Mapping[str, Any]) -> bytes:
    """The one spelling of `document`."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _metadata(product: Product, parts: Parts) -> dict[str, Any]:
    component: Component = {
        "bom-ref": ROOT,
        "type": "application",
        "name": product.name,
        "version": product.version,
        "description": product.description,
        "purl": f"pkg:generic/{product.name}@{quote(product.version)}",
        "properties": [
            {"name": UNKNOWN, "value": "licence"},
            {"name": "medai:licence", "value": "not chosen"},
            *([{"name": "medai:git:commit", "value": product.commit}] if product.commit else []),
        ],
    }
    if product.author is not None:
        component["supplier"] = product.author
    tools = [
        {"type": "application", "name": "medai sbom", "version": product.version},
        {"type": "application", "name": "cyclonedx-bom", "version": product.tool_version},
    ]
    made: dict[str, Any] = {
        "component": component,
        "tools": {"components": tools},
        "lifecycles": [{"phase": "build"}],
        "properties": [{"name": "medai:known-unknown", "value": each} for each in parts.unknowns],
    }
    if product.author is not None:
        made["manufacturer"] = product.author
    return {**made, "timestamp": product.made_at} if product.made_at else made


def _compositions(components: Sequence[Component], parts: Parts) -> list[dict[str, Any]]:
    """Whose dependencies are all listed, and whose are not known: native code may hold more than its file's name."""
    complete = sorted(set(parts.complete))
    others = sorted({str(each["bom-ref"]) for each in components} - set(complete))
    if parts.unknowns:
        made: list[dict[str, Any]] = [{"aggregate": "incomplete", "assemblies": [ROOT], "dependencies": [ROOT]}]
    else:
        made = [{"aggregate": "complete", "assemblies": [ROOT], "dependencies": [ROOT]}]
    if complete:
        made.append({"aggregate": "complete", "dependencies": complete})
    if others:
        made.append({"aggregate": "unknown", "dependencies": others})
    return made
