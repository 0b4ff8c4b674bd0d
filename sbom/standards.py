"""What each standard asks of a bill of materials, and what a document lacks: fields, not opinions.

A rule says which element it looks for, where, and how to see that it is there. It runs over raw CycloneDX JSON of any
version, ours or a stranger's. The wording is our own; `source` says which document each set is taken from, and `read`
what of it was read: the texts themselves were not at hand when these rules were written, and whoever relies on a
verdict holds it to the text. A rule that CycloneDX cannot carry is not here and not counted: `not_covered` names it.

The product that a document is about (its primary component) is a component of it, and is asked for the same fields; a
document that lists nothing is not complete.

Pure.
"""

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from sbom import fields
from sbom.fields import Document, Element, named
from traceability.marks import implements


class Rule(Struct, frozen=True, kw_only=True):
    """One required field: of the document, or of each component."""

    field: str
    holds: Callable[[Element, Document], bool]
    of_component: bool


class Standard(Struct, frozen=True, kw_only=True):
    """A set of rules under one name."""

    name: str
    source: str
    read: str
    """What these rules were written from."""
    rules: tuple[Rule, ...]
    asks: Literal["the product as well", "its components"] = "the product as well"
    not_covered: tuple[str, ...] = ()


class Missing(Struct, frozen=True, kw_only=True):
    """A field that is not there: of the document (`component` None) or of one component."""

    field: str
    component: str | None


class Verdict(Struct, frozen=True, kw_only=True):
    """One standard's verdict. `score_ppm`: of all fields asked for, the share that is there."""

    standard: str
    source: str
    read: str
    passed: bool
    score_ppm: int
    asked: int
    missing: tuple[Missing, ...]
    not_covered: tuple[str, ...]


@implements("REQ-SBM-007")
def judge(standard: Standard, document: Document) -> Verdict:
    """Whether every field that the standard asks for is there, and which are not."""
    missing = []
    asked = 0
    components = document.components if standard.asks == "the product as well" else document.listed
    for rule in standard.rules:
        elements = components if rule.of_component else (document.raw,)
        asked += len(elements)
        for each in elements:
            if not rule.holds(each, document):
                missing.append(Missing(field=rule.field, component=named(each) if rule.of_component else None))
    score = 1_000_000 if asked == 0 else (asked - len(missing)) * 1_000_000 // asked
    return Verdict(
        standard=standard.name,
        source=standard.source,
        read=standard.read,
        passed=not missing,
        score_ppm=score,
        asked=asked,
        missing=tuple(missing),
        not_covered=standard.not_covered,
    )


def _of_document(field: str, holds: Callable[[Element, Document], bool]) -> Rule:
    return Rule(field=field, holds=holds, of_component=False)


def _of_component(field: str, holds: Callable[[Element, Document], bool]) -> Rule:
    return Rule(field=field, holds=holds, of_component=True)


_LISTED: Final = _of_document("at least one component", fields.lists_something)
_BASELINE: Final = (
    _of_document("author of the SBOM", fields.author),
    _of_document("timestamp", fields.timestamp),
    _of_document("the product that it is about", fields.primary),
    _LISTED,
)
_NTIA: Final = (
    *_BASELINE,
    _of_component("supplier name", fields.supplier),
    _of_component("component name", fields.member("name")),
    _of_component("version", fields.member("version")),
    _of_component("other unique identifier", fields.identifier),
    _of_component("dependency relationship", fields.edge),
)
_ANY_HASH: Final = fields.hashed(
    frozenset({"SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512", "BLAKE2b-256", "BLAKE2b-384",
               "BLAKE2b-512", "BLAKE3"})
)  # fmt: skip

STANDARDS: Final = {
    "ntia": Standard(
        name="NTIA minimum elements (2021)",
        source="NTIA, The Minimum Elements For a Software Bill of Materials, July 2021: data fields",
        read="second hand: the report's table of data fields, as several others quote it in the same words",
        rules=_NTIA,
        not_covered=("frequency, access control, accommodation of mistakes: practices, not fields",),
    ),
    "cisa": Standard(
        name="CISA minimum elements (2025 draft)",
        source="CISA, 2025 Minimum Elements for a Software Bill of Materials, draft of August 2025: data fields",
        read="second hand: CISA's announcement and what others report of the draft's fields",
        rules=(
            *_BASELINE,
            _of_document("tool name", fields.tool),
            _of_document("generation context", fields.context),
            _of_component("software producer", fields.supplier),
            _of_component("component name", fields.member("name")),
            _of_component("version", fields.member("version")),
            _of_component("software identifier", fields.identifier),
            _of_component("component hash", _ANY_HASH),
            _of_component("licence", fields.licence),
            _of_component("dependency relationship", fields.edges_stated),
        ),
        not_covered=("practices and processes, coverage among them",),
    ),
    "bsi": Standard(
        name="BSI TR-03183-2 v2.1",
        source="BSI, Technical Guideline TR-03183 part 2, version 2.1.0: required data fields (5.2.1, 5.2.2)",
        read="second hand: a public checker's table of its fields for CycloneDX, and two summaries that agree with it",
        rules=(
            _of_document("CycloneDX 1.6 or later", fields.recent_format),
            _of_document("creator of the SBOM (e-mail or URL)", fields.author_reachable),
            _of_document("timestamp", fields.timestamp),
            _of_document("the product that it is about", fields.primary),
            _LISTED,
            _of_document("no vulnerabilities in the SBOM itself", fields.no_vulnerabilities),
            _of_component("component creator (e-mail or URL)", fields.reachable),
            _of_component("component name", fields.member("name")),
            _of_component("component version", fields.member("version")),
            _of_component("filename", fields.has_property("bsi:component:filename")),
            _of_component("dependencies, with their completeness", fields.edges_stated),
            _of_component("distribution licences (SPDX)", fields.spdx_licence),
            _of_component("hash of the deployable component (SHA-512)", fields.hashed(frozenset({"SHA-512"}))),
            _of_component("executable property", fields.has_property("bsi:component:executable")),
            _of_component("archive property", fields.has_property("bsi:component:archive")),
            _of_component("structured property", fields.has_property("bsi:component:structured")),
        ),
        not_covered=(
            "fields that are required only where the data exist: URIs, other unique identifiers, original licences",
            "whether a licence was concluded by whoever distributes, or only declared by the author",
        ),
    ),
    "fda": Standard(
        name="FDA premarket cybersecurity (SBOM)",
        source="FDA, Cybersecurity in Medical Devices: Quality System Considerations and Content of Premarket"
        " Submissions: the NTIA elements, and each component's support level and end of support",
        read="second hand: the draft's paragraph on the SBOM as another quotes it; the final guidance was not read",
        rules=(
            *_NTIA,
            _of_component("level of support", fields.has_property("medai:support:level")),
            _of_component("end-of-support date", fields.has_property("medai:support:end")),
        ),
        not_covered=(
            "known vulnerabilities and their assessment: `medai sbom vulns` and the VEX",
            "the asset that each component resides in",
        ),
    ),
    "iec62304": Standard(
        name="IEC 62304 SOUP list",
        source="IEC 62304, 8.1.2: title, manufacturer and unique designator of each SOUP item",
        read="not read: the standard is sold; what is commonly known of the clause",
        asks="its components",
        rules=(
            _LISTED,
            _of_component("title", fields.member("name")),
            _of_component("manufacturer", fields.supplier),
            _of_component("unique designator", fields.identifier),
            _of_component("version", fields.member("version")),
        ),
        not_covered=(
            "5.3.3 and 5.3.4: functional requirements and needed hardware and software",
            "7.1.3: anomaly lists",
        ),
    ),
}
"""Every standard that is judged, by the word that the command line takes."""
