"""What there is to find in a CycloneDX document of any version, ours or a stranger's: components, and fields of them.

Raw JSON in whatever shape the schema lets it have; each predicate says whether a field is there, and knows nothing of
who asks for it.

Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from traceability.marks import implements

Element = Mapping[str, Any]


class Document:
    """A CycloneDX document with what the rules ask of it more than once."""

    def __init__(self, document: Element) -> None:
        self.raw = document
        metadata = document.get("metadata")
        self.metadata: Element = metadata if isinstance(metadata, dict) else {}
        primary = self.metadata.get("component")
        self.primary: Element | None = primary if isinstance(primary, dict) else None
        """What the document is about; it is a component of it like any other."""
        self.listed = tuple(walk(document.get("components", ())))
        self.components = (*walk([primary]), *self.listed)
        self.edges = {str(each.get("ref")) for each in objects(document, "dependencies")}
        self.stated = {
            str(ref)
            for each in objects(document, "compositions")
            if each.get("aggregate") not in (None, "not_specified")
            for member in ("dependencies", "assemblies")
            for ref in _list(each.get(member))
        }


def named(component: Element) -> str:
    """What a person calls it."""
    version = component.get("version")
    return f"{component.get('name', '?')}{f' {version}' if version else ''}"


@implements("REQ-SBM-007")
def walk(components: Any) -> Iterator[Element]:
    """Every component, those inside others included. A file inside a component is a part of it and none of its own; one
    that stands alone is one."""
    left = [(each, 0) for each in reversed(_list(components))]
    while left:
        each, depth = left.pop()
        if isinstance(each, dict) and (depth == 0 or each.get("type") != "file"):
            yield each
            left += [(inner, depth + 1) for inner in reversed(_list(each.get("components")))]


def objects(element: Element, member: str) -> tuple[Element, ...]:
    """The objects of a member that should be a list of them, whatever it is."""
    return tuple(each for each in _list(element.get(member)) if isinstance(each, dict))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.strip().upper() not in ("NOASSERTION", "UNKNOWN")


def supplier(component: Element, _: Document) -> bool:
    parties = [component.get(name) for name in ("supplier", "manufacturer")]
    if any(isinstance(each, dict) and _text(each.get("name")) for each in parties):
        return True
    authors = objects(component, "authors")
    return any(_text(each.get("name")) for each in authors) or _text(component.get("author"))


def reachable(component: Element, _: Document) -> bool:
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


def identifier(component: Element, _: Document) -> bool:
    return any(_text(component.get(name)) for name in ("purl", "cpe")) or any(
        component.get(name) for name in ("swid", "swhid", "omniborId")
    )


def edge(component: Element, document: Document) -> bool:
    return str(component.get("bom-ref")) in document.edges


def edges_stated(component: Element, document: Document) -> bool:
    return edge(component, document) and str(component.get("bom-ref")) in document.stated


def hashed(algorithms: frozenset[str]) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        # Of the component, or of the file that it is distributed as.
        distributed = [each for each in objects(component, "externalReferences") if each.get("type") == "distribution"]
        return any(
            str(each.get("alg")) in algorithms and _text(each.get("content"))
            for element in (component, *distributed)
            for each in objects(element, "hashes")
        )

    return holds


def licence(component: Element, _: Document) -> bool:
    for each in objects(component, "licenses"):
        licence = each.get("license")
        named = isinstance(licence, dict) and (_text(licence.get("id")) or _text(licence.get("name")))
        if named or _text(each.get("expression")):
            return True
    return False


def has_property(name: str) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        return any(each.get("name") == name and _text(each.get("value")) for each in objects(component, "properties"))

    return holds


def member(name: str) -> Callable[[Element, Document], bool]:
    def holds(component: Element, _: Document) -> bool:
        return _text(component.get(name))

    return holds


def timestamp(_: Element, document: Document) -> bool:
    return _text(document.metadata.get("timestamp"))


def author(_: Element, document: Document) -> bool:
    metadata = document.metadata
    authors = any(_text(each.get("name")) or _text(each.get("email")) for each in objects(metadata, "authors"))
    parties = any(
        isinstance(metadata.get(name), dict) and _text(metadata[name].get("name"))
        for name in ("manufacturer", "manufacture", "supplier")
    )
    return authors or parties


def author_reachable(_: Element, document: Document) -> bool:
    metadata = document.metadata
    return reachable(metadata, document)


def tool(_: Element, document: Document) -> bool:
    tools = document.metadata.get("tools")
    listed = objects(tools, "components") if isinstance(tools, dict) else objects(document.metadata, "tools")
    return any(_text(each.get("name")) for each in listed)


def context(_: Element, document: Document) -> bool:
    return any(_text(each.get("phase")) or _text(each.get("name")) for each in objects(document.metadata, "lifecycles"))


def primary(_: Element, document: Document) -> bool:
    return document.primary is not None and _text(document.primary.get("name"))


def lists_something(_: Element, document: Document) -> bool:
    return bool(document.listed)


def no_vulnerabilities(_: Element, document: Document) -> bool:
    return not _list(document.raw.get("vulnerabilities"))


def spdx_licence(component: Element, _: Document) -> bool:
    """By an identifier or an expression, not by a name that anybody may give."""
    licences = objects(component, "licenses")
    within = [each["license"] for each in licences if isinstance(each.get("license"), dict)]
    return any(_text(each.get("expression")) for each in licences) or any(_text(each.get("id")) for each in within)


def recent_format(document: Element, _: Document) -> bool:
    version = str(document.get("specVersion", "0")).split(".")
    return document.get("bomFormat") == "CycloneDX" and [int(part) for part in version if part.isdigit()] >= [1, 6]
