"""What each standard asks of a bill of materials, and what a document lacks: fields, not opinions.

A rule says which element it looks for, where, and how to see that it is there. It runs over raw CycloneDX JSON of any
version, ours or a stranger's. The wording is our own; `SOURCES` says which document each set is taken from. A rule that
CycloneDX cannot carry is not here and not counted: it is named in the set's `not_covered`.

None of the standards' texts was at hand when these rules were written: they follow what is commonly known of them, and
whoever relies on a verdict holds them to the text.

Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from traceability.marks import implements

Element = Mapping[str, Any]


class Rule(Struct, frozen=True, kw_only=True):
    """One required field: of the document, or of each component."""

    field: str
    holds: Callable[[Element, "Document"], bool]
    of_component: bool


class Standard(Struct, frozen=True, kw_only=True):
    """A set of rules under one name."""

    name: str
    source: str
    rules: tuple[Rule, ...]
    not_covered: tuple[str, ...] = ()


class Document:
    """A CycloneDX document with what the rules ask of it more than once."""

    def __init__(self, document: Element) -> None:
        self.raw = document
        metadata = document.get("metadata")
        self.metadata: Element = metadata if isinstance(metadata, dict) else {}
        self.components = tuple(walk(document.get("components", ())))
        self.edges = {str(each.get("ref")) for each in objects(document, "dependencies")}
        self.stated = {
            str(ref)
            for each in objects(document, "compositions")
            if each.get("aggregate") not in (None, "not_specified")
            for member in ("dependencies", "assemblies")
            for ref in _list(each.get(member))
        }


class Missing(Struct, frozen=True, kw_only=True):
    """A field that is not there: of the document (`component` None) or of one component."""

    field: str
    component: str | None


class Verdict(Struct, frozen=True, kw_only=True):
    """One standard's verdict. `score_ppm`: of all fields asked for, the share that is there."""

    standard: str
    source: str
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
    for rule in standard.rules:
        elements = document.components if rule.of_component else (document.raw,)
        asked += len(elements)
        for each in elements:
            if not rule.holds(each, document):
                missing.append(Missing(field=rule.field, component=named(each) if rule.of_component else None))
    score = 1_000_000 if asked == 0 else (asked - len(missing)) * 1_000_000 // asked
    return Verdict(
        standard=standard.name,
        source=standard.source,
        passed=not missing,
        score_ppm=score,
        asked=asked,
        missing=tuple(missing),
        not_covered=standard.not_covered,
    )


def named(component: Element) -> str:
    """What a person calls it."""
    version = component.get("version")
    return f"{component.get('name', '?')}{f' {version}' if version else ''}"


def walk(components: Any) -> Iterator[Element]:
    """Every component, those inside others included; files of a component are parts of it and no components."""
    for each in _list(components):
        if isinstance(each, dict) and each.get("type") != "file":
            yield each
            yield from walk(each.get("components", ()))


def objects(element: Element, member: str) -> tuple[Element, ...]:
    """The objects of a member that should be a list of them, whatever it is."""
    return tuple(each for each in _list(element.get(member)) if isinstance(each, dict))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.strip().upper() not in ("NOASSERTION", "UNKNOWN")


def _supplier(component: Element, _: Document) -> bool:
    parties = [component.get(name) for name in ("supplier", "manufacturer")]
    if any(isinstance(each, dict) and _text(each.get("name")) for each in parties):
        return True
    authors = objects(component, "authors")
    return any(_text(each.get("name")) for each in authors) or _text(component.get("author"))


def _reachable(component: Element, _: Document) -> bool:
    """BSI: the creator by an e-mail address or, without one, a URL."""
    parties = [*(component.get(name) for name in ("supplier", "manufacturer")), *objects(component, "authors")]
    return any(
        isinstance(each, dict)
        and (
            any(map(_text, _list(each.get("url"))))
            or _text(each.get("email"))
            or any(_text(contact.get("email")) for contact in objects(each, "contact"))
        )
        for each in parties
    )


def _identifier(component: Element, _: Document) -> bool:
    return any(_text(component.get(name)) for name in ("purl", "cpe")) or any(
        component.get(name) for name in ("swid", "swhid", "omniborId")
    )


def _edge(component: Element, document: Document) -> bool:
    return str(component.get("bom-ref")) in document.edges


def _edges_stated(component: Element, document: Document) -> bool:
    return _edge(component, document) and str(component.get("bom-ref")) in document.stated


def _hash(algorithms: frozenset[str]) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        # Of the component, or of the file that it is distributed as.
        distributed = [each for each in objects(component, "externalReferences") if each.get("type") == "distribution"]
        return any(
            str(each.get("alg")) in algorithms and _text(each.get("content"))
            for element in (component, *distributed)
            for each in objects(element, "hashes")
        )

    return holds


def _licence(component: Element, _: Document) -> bool:
    for each in objects(component, "licenses"):
        licence = each.get("license")
        named = isinstance(licence, dict) and (_text(licence.get("id")) or _text(licence.get("name")))
        if named or _text(each.get("expression")):
            return True
    return False


def _property(name: str) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        return any(each.get("name") == name and _text(each.get("value")) for each in objects(component, "properties"))

    return holds


def _member(name: str) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        return _text(component.get(name))

    return holds


def _timestamp(_: Element, document: Document) -> bool:
    return _text(document.metadata.get("timestamp"))


def _author(_: Element, document: Document) -> bool:
    metadata = document.metadata
    authors = any(_text(each.get("name")) or _text(each.get("email")) for each in objects(metadata, "authors"))
    parties = any(
        isinstance(metadata.get(name), dict) and _text(metadata[name].get("name"))
        for name in ("manufacturer", "manufacture", "supplier")
    )
    return authors or parties


def _author_reachable(_: Element, document: Document) -> bool:
    metadata = document.metadata
    return _reachable(metadata, document)


def _tool(_: Element, document: Document) -> bool:
    tools = document.metadata.get("tools")
    listed = objects(tools, "components") if isinstance(tools, dict) else objects(document.metadata, "tools")
    return any(_text(each.get("name")) for each in listed)


def _context(_: Element, document: Document) -> bool:
    return any(_text(each.get("phase")) or _text(each.get("name")) for each in objects(document.metadata, "lifecycles"))


def _recent_format(document: Element, _: Document) -> bool:
    version = str(document.get("specVersion", "0")).split(".")
    return document.get("bomFormat") == "CycloneDX" and [int(part) for part in version if part.isdigit()] >= [1, 6]


def _of_document(field: str, holds: Callable[[Element, Document], bool]) -> Rule:
    return Rule(field=field, holds=holds, of_component=False)


def _of_component(field: str, holds: Callable[[Element, Document], bool]) -> Rule:
    return Rule(field=field, holds=holds, of_component=True)


_NTIA: Final = (
    _of_document("author of the SBOM", _author),
    _of_document("timestamp", _timestamp),
    _of_component("supplier name", _supplier),
    _of_component("component name", _member("name")),
    _of_component("version", _member("version")),
    _of_component("other unique identifier", _identifier),
    _of_component("dependency relationship", _edge),
)
_ANY_HASH: Final = _hash(frozenset({"SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512", "BLAKE2b-256",
                                    "BLAKE2b-384", "BLAKE2b-512", "BLAKE3"}))  # fmt: skip

STANDARDS: Final = {
    "ntia": Standard(
        name="NTIA minimum elements (2021)",
        source="NTIA, The Minimum Elements For a Software Bill of Materials, July 2021: data fields",
        rules=_NTIA,
        not_covered=("frequency", "access control", "accommodation of mistakes: practices, not fields"),
    ),
    "cisa": Standard(
        name="CISA minimum elements (2025 draft)",
        source="CISA, 2025 Minimum Elements for a Software Bill of Materials, draft of August 2025: data fields",
        rules=(
            _of_document("author of the SBOM", _author),
            _of_document("tool name", _tool),
            _of_document("timestamp", _timestamp),
            _of_document("generation context", _context),
            _of_component("software producer", _supplier),
            _of_component("component name", _member("name")),
            _of_component("version", _member("version")),
            _of_component("software identifier", _identifier),
            _of_component("component hash", _ANY_HASH),
            _of_component("licence", _licence),
            _of_component("dependency relationship", _edges_stated),
        ),
        not_covered=("practices and processes",),
    ),
    "bsi": Standard(
        name="BSI TR-03183-2 v2.1",
        source="BSI, Technical Guideline TR-03183 part 2, version 2.1: required data fields",
        rules=(
            _of_document("CycloneDX 1.6 or later", _recent_format),
            _of_document("creator of the SBOM (e-mail or URL)", _author_reachable),
            _of_document("timestamp", _timestamp),
            _of_component("component creator (e-mail or URL)", _reachable),
            _of_component("component name", _member("name")),
            _of_component("component version", _member("version")),
            _of_component("filename", _property("bsi:component:filename")),
            _of_component("dependencies, with their completeness", _edges_stated),
            _of_component("distribution licences", _licence),
            _of_component("hash of the deployable component (SHA-512)", _hash(frozenset({"SHA-512"}))),
            _of_component("executable property", _property("bsi:component:executable")),
            _of_component("archive property", _property("bsi:component:archive")),
            _of_component("structured property", _property("bsi:component:structured")),
        ),
        not_covered=(
            "fields that are required only where the data exist (SBOM-URI, source code URI, effective licences)",
        ),
    ),
    "fda": Standard(
        name="FDA premarket cybersecurity (SBOM)",
        source="FDA, Cybersecurity in Medical Devices: Quality System Considerations and Content of Premarket"
        " Submissions: the NTIA elements, and each component's support level and end of support",
        rules=(
            *_NTIA,
            _of_component("level of support", _property("medai:support:level")),
            _of_component("end-of-support date", _property("medai:support:end")),
        ),
        not_covered=("known vulnerabilities and their assessment: `medai sbom vulns` and the VEX",),
    ),
    "iec62304": Standard(
        name="IEC 62304 SOUP list",
        source="IEC 62304, 8.1.2: title, manufacturer and unique designator of each SOUP item",
        rules=(
            _of_component("title", _member("name")),
            _of_component("manufacturer", _supplier),
            _of_component("unique designator", _identifier),
            _of_component("version", _member("version")),
        ),
        not_covered=(
            "5.3.3 and 5.3.4: functional requirements and needed hardware and software",
            "7.1.3: anomaly lists",
        ),
    ),
}
"""Every standard that is judged, by the word that the command line takes."""
