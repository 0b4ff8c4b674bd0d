"""What changed between two bills of materials: of any origin, as raw CycloneDX.

Components are matched by what they are, not by their place: type, purl without its version, or without one the name.
Two of one identity in one document (two versions side by side) are matched in the order of their versions.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from packaging.version import InvalidVersion, Version

from sbom.fields import Element
from traceability.marks import implements

Change = Literal[
    "added", "removed", "up", "down", "other_version", "same_version_other_hash", "licence", "supplier", "scope",
    "hash", "depth", "model_metric", "vulnerability_new", "vulnerability_gone",
]  # fmt: skip
BUNDLED: Final = "medai:bundled-in"
_OPPOSITE: Final[dict[str, Change]] = {
    "added": "removed",
    "removed": "added",
    "up": "down",
    "down": "up",
    "vulnerability_new": "vulnerability_gone",
    "vulnerability_gone": "vulnerability_new",
}


class Difference(Struct, frozen=True, kw_only=True, order=True):
    """One change of one component; `old` and `new` are what was and is, or None where there is nothing."""

    component: str
    change: Change
    what: str = ""
    old: str | None = None
    new: str | None = None


@implements("REQ-SBM-008")
def diff(old: Element, new: Element) -> tuple[Difference, ...]:
    """From `old` to `new`: `diff(a, a)` is empty, and `diff(b, a)` is `diff(a, b)` with everything the other way."""
    before, after = _identities(old), _identities(new)
    depth_before, depth_after = _depths(old), _depths(new)
    found: list[Difference] = []
    for identity in before.keys() | after.keys():
        was, now = before.get(identity), after.get(identity)
        if was is None or now is None:
            there: Element = now if was is None else was  # type: ignore[assignment]  # one of them is there
            version = _said(there, "version") or ""
            found.append(
                Difference(component=identity, change="added", new=version)
                if was is None
                else Difference(component=identity, change="removed", old=version)
            )
            continue
        found += _changes(identity, was, now)
        depths = depth_before.get(_ref(was)), depth_after.get(_ref(now))
        if depths[0] != depths[1]:
            found.append(_difference(identity, "depth", "", *(None if each is None else str(each) for each in depths)))
    found += _vulnerabilities(old, new)
    return tuple(sorted(found, key=_key))


def opposite(difference: Difference) -> Difference:
    """The same change, seen from the other side."""
    return Difference(
        component=difference.component,
        change=_OPPOSITE.get(difference.change, difference.change),
        what=difference.what,
        old=difference.new,
        new=difference.old,
    )


def _key(difference: Difference) -> tuple[str, ...]:
    return (difference.component, difference.what, difference.change, difference.old or "", difference.new or "")


def _difference(component: str, change: Change, what: str, old: str | None, new: str | None) -> Difference:
    return Difference(component=component, change=change, what=what, old=old, new=new)


def _changes(identity: str, was: Element, now: Element) -> list[Difference]:
    found = []
    versions = _said(was, "version"), _said(now, "version")
    if versions[0] != versions[1]:
        found.append(_difference(identity, _direction(*versions), "", *versions))
    else:
        found += _of_hashes(identity, _hashes(was), _hashes(now))
    for change, old, new in (
        ("licence", _licence(was), _licence(now)),
        ("supplier", _supplier(was), _supplier(now)),
        ("scope", str(was.get("scope", "required")), str(now.get("scope", "required"))),
    ):
        if old != new:
            found.append(_difference(identity, change, "", old, new))  # type: ignore[arg-type]  # the three above
    metrics = _metrics(was), _metrics(now)
    found += [
        _difference(identity, "model_metric", name, metrics[0].get(name), metrics[1].get(name))
        for name in metrics[0].keys() | metrics[1].keys()
        if metrics[0].get(name) != metrics[1].get(name)
    ]
    return found


def _of_hashes(identity: str, was: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """Under one version: another file; or digests that no algorithm makes comparable, so that nobody knows."""
    if not was.keys() & now.keys():
        names = [", ".join(sorted(each)) or None for each in (was, now)]
        return [_difference(identity, "hash", "", *names)] if names[0] != names[1] else []
    return [
        _difference(identity, "same_version_other_hash", algorithm, was[algorithm], now[algorithm])
        for algorithm in was.keys() & now.keys()
        if was[algorithm] != now[algorithm]
    ]


def _direction(old: str | None, new: str | None) -> Change:
    try:
        before, after = Version(old or ""), Version(new or "")
    except InvalidVersion:
        return "other_version"
    if before == after:  # two spellings
        return "other_version"
    return "up" if before < after else "down"


def _identities(document: Element) -> dict[str, Element]:
    grouped: dict[str, list[Element]] = {}
    for each in _all(document.get("components", ())):
        grouped.setdefault(_identity(each), []).append(each)
    made = {}
    product = document.get("metadata", {}).get("component")
    if product is not None:
        grouped[f"product:{_said(product, 'name')}"] = [product]
    for identity, group in grouped.items():
        ordered = sorted(group, key=lambda each: (_order(_said(each, "version")), _ref(each)))
        for nth, each in enumerate(ordered, start=1):
            made[identity if nth == 1 else f"{identity} #{nth}"] = each
    return made


def _identity(component: Element) -> str:
    purl = _said(component, "purl")
    if purl:
        head, _, qualifiers = purl.partition("?")
        # A checksum is another value in each version; the rest (architecture, distribution) says which one is meant.
        kept = "&".join(each for each in qualifiers.split("&") if each and not each.startswith("checksum="))
        name = head.rsplit("@", 1)[0] if "@" in head.rsplit("/", 1)[-1] else head
        return f"{name}?{kept}" if kept else name
    inside = next(
        (str(each.get("value", "")) for each in component.get("properties", ()) if each.get("name") == BUNDLED), ""
    )
    group = _said(component, "group") or inside.split("@")[0]
    return f"{component.get('type', 'component')}:{f'{group}/' if group else ''}{component.get('name', '')}"


def _order(version: str | None) -> tuple[int, Version | str, str]:
    try:
        return (0, Version(version or ""), version or "")
    except InvalidVersion:
        return (1, version or "", version or "")


def _all(components: Sequence[Element]) -> list[Element]:
    return [one for each in components for one in (each, *_all(each.get("components", ())))]


def _depths(document: Element) -> dict[str, int]:
    """How far each component is from the product: 1 for a direct dependency."""
    needs: dict[str, Sequence[str]] = {
        str(each.get("ref")): each.get("dependsOn", ()) for each in document.get("dependencies", ())
    }
    root = str(document.get("metadata", {}).get("component", {}).get("bom-ref", ""))
    depths, level = {root: 0}, [root]
    while level:
        level = list(dict.fromkeys(one for each in level for one in needs.get(each, ()) if one not in depths))
        depth = max(depths.values()) + 1
        depths.update(dict.fromkeys(level, depth))
    return depths


def _vulnerabilities(old: Element, new: Element) -> list[Difference]:
    before, after = _affected(old), _affected(new)
    gone = [_difference(ref, "vulnerability_gone", name, name, None) for name, ref in before - after]
    return [*gone, *(_difference(ref, "vulnerability_new", name, None, name) for name, ref in after - before)]


def _affected(document: Element) -> set[tuple[str, str]]:
    """(id, component without its version)."""
    return {
        (str(each.get("id")), str(affected.get("ref", "")).rpartition("#")[2].rsplit("@", 1)[0])
        for each in document.get("vulnerabilities", ())
        for affected in each.get("affects", ())
    }


def _said(component: Element, member: str) -> str | None:
    value = component.get(member)
    return None if value is None else str(value)


def _ref(component: Element) -> str:
    return str(component.get("bom-ref", ""))


def _hashes(component: Element) -> dict[str, str]:
    return {str(each.get("alg")): str(each.get("content")) for each in component.get("hashes", ())}


def _licence(component: Element) -> str | None:
    names = []
    for each in component.get("licenses", ()):
        licence: Mapping[str, Any] = each.get("license", {})
        names.append(str(each.get("expression") or licence.get("id") or licence.get("name") or ""))
    return ", ".join(sorted(names)) or None


def _supplier(component: Element) -> str | None:
    return _said(component.get("supplier") or {}, "name")


def _metrics(component: Element) -> dict[str, str]:
    analysis = component.get("modelCard", {}).get("quantitativeAnalysis", {})
    return {
        f"{each.get('type')}{f' ({part})' if (part := each.get('slice')) else ''}": str(each.get("value"))
        for each in analysis.get("performanceMetrics", ())
    }
