"""Whether a bill of materials may be released: licences, support, pins, digests, suppliers; and who may waive what.

A licence expression is judged by its structure: of alternatives (OR) the best counts, of parts (AND) the worst. A
waiver names one finding of one component, ends, and counts only from somebody whom the policy names.

Pure.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from boolean import Expression
from msgspec import Meta, Struct, field

from sbom.errors import DocumentInvalid
from sbom.fields import Element, named
from sbom.licences import parsed
from traceability.marks import implements

Rule = Literal[
    "licence_denied",
    "licence_review",
    "licence_unknown",
    "licence_of_the_system",
    "not_pinned",
    "not_hashed",
    "support_ended",
    "support_ends_soon",
    "supplier_denied",
    "same_version_other_hash",
    "waiver_refused",
]
WARNINGS: Final = frozenset({"support_ends_soon", "licence_of_the_system"})
"""The rules that tell, and do not fail."""
OWN: Final = "pkg:generic/medai-flow/"
"""Our own packages: their licence is the product's, which is the owner's to choose."""

SYSTEM: Final = "pkg:deb/"
"""Packages of the operating system: they lie beside the product in the image and are no part of it. dpkg's notes do not
say under which licence; that is told of each and does not fail."""

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]
Month = Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class Licences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SPDX licences by what may be done with them; whatever is in none is to be reviewed."""

    allow: tuple[str, ...] = ()
    allow_unmodified: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Supported(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when a component is supported, by its own author's word: a month. `version` is a leading part of it."""

    purl: Text
    version: Text
    level: Text
    end: Month
    source: Text


class Support(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    notice_months: Annotated[int, Meta(ge=0, le=120)] = 12
    component: tuple[Supported, ...] = ()


class Suppliers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    deny: tuple[str, ...] = ()


class Waivers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    who: tuple[str, ...] = ()
    max_days: Annotated[int, Meta(ge=1, le=3_660)] = 180


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: Rule
    component: Text
    reason: Text
    by: Text
    decided: dt.date
    until: dt.date


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    licences: Licences = field(default_factory=Licences)
    suppliers: Suppliers = field(default_factory=Suppliers)
    support: Support = field(default_factory=Support)
    waivers: Waivers = field(default_factory=Waivers)
    waiver: tuple[Waiver, ...] = ()


class Breach(Struct, frozen=True, kw_only=True):
    """One thing that the policy does not allow; `waived` names the waiver's author where one counts."""

    rule: Rule
    component: str
    ref: str
    message: str
    waived: str | None = None

    @property
    def fails(self) -> bool:
        return self.waived is None and self.rule not in WARNINGS


@implements("REQ-SBM-003")
def parse(text: str) -> Policy:
    """Raises `DocumentInvalid` with the place and what is wrong with it."""
    try:
        policy = msgspec.convert(tomllib.loads(text), Policy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DocumentInvalid(f"policy: {error}") from error
    lists = [set(policy.licences.allow), set(policy.licences.allow_unmodified), set(policy.licences.deny)]
    twice = (lists[0] & lists[1]) | (lists[0] & lists[2]) | (lists[1] & lists[2])
    if twice:
        raise DocumentInvalid(f"policy: {', '.join(sorted(twice))}: in two lists; keep one")
    return policy


@implements("REQ-SBM-003")
def judge(
    policy: Policy, components: Sequence[Element], *, today: dt.date, before: Sequence[Element] = ()
) -> tuple[Breach, ...]:
    """Every breach of `components`; `before` are those of the last release: a file may change under one version."""
    found = [breach for each in components for breach in _of(policy, each, today)]
    found += _swapped(components, before)
    return tuple(sorted(_waived(policy, found, today), key=lambda each: (not each.fails, each.rule, each.component)))


def supported(policy: Policy, component: Element) -> Supported | None:
    """What is known of the component's support."""
    purl, version = str(component.get("purl", "")), str(component.get("version", ""))
    return next(
        (
            each
            for each in policy.support.component
            if purl.split("@")[0] == each.purl and (version == each.version or version.startswith(each.version + "."))
        ),
        None,
    )


def _of(policy: Policy, component: Element, today: dt.date) -> list[Breach]:
    made = _licence(policy, component)
    values = {(each.get("name"), each.get("value")) for each in component.get("properties", ())}
    if ("medai:pinned", "false") in values:
        made.append(_breach("not_pinned", component, "no lock pins it"))
    if str(component.get("purl", "")).startswith("pkg:pypi/") and not component.get("hashes"):
        made.append(_breach("not_hashed", component, "the digest of the installed file is not known"))
    denied = {_folded(each) for each in policy.suppliers.deny}
    made += [
        _breach("supplier_denied", component, f"its supplier, {name}, is denied")
        for name in sorted(_suppliers(component))
        if _folded(name) in denied
    ]
    known = supported(policy, component)
    if known is not None:
        left = _months(known.end) - (today.year * 12 + today.month)
        if left < 0:
            made.append(_breach("support_ended", component, f"its support ended in {known.end} ({known.source})"))
        elif left <= policy.support.notice_months:
            made.append(_breach("support_ends_soon", component, f"its support ends in {known.end} ({known.source})"))
    return made


def _suppliers(component: Element) -> set[str]:
    """Everybody whom the component is said to come from, in whichever of CycloneDX's members."""
    parties = [component.get(name) for name in ("supplier", "manufacturer")]
    parties += [*component.get("authors", ()), {"name": component.get("publisher")}, {"name": component.get("author")}]
    return {str(each["name"]) for each in parties if isinstance(each, dict) and each.get("name")}


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _licence(policy: Policy, component: Element) -> list[Breach]:
    """One breach at most. Our own parts, models and bundled files carry the licence of what they are part of."""
    said = [each for each in component.get("licenses", ()) if isinstance(each, dict)]
    if not said:
        names = {each.get("name") for each in component.get("properties", ())}
        own = str(component.get("purl", "")).startswith(OWN)
        if str(component.get("purl", "")).startswith(SYSTEM):
            return [
                _breach(
                    "licence_of_the_system", component, "a package of the operating system: its licence is not read"
                )
            ]
        needs = component.get("type") != "container" and "medai:bundled-in" not in names and not own
        return [_breach("licence_unknown", component, "no licence is known")] if needs else []
    expressions = [each["expression"] for each in said if "expression" in each]
    expressions += [each["license"]["id"] for each in said if "id" in each.get("license", {})]
    named_only = [str(each["license"]["name"]) for each in said if each.get("license", {}).get("name")]
    if named_only and not expressions and component.get("type") == "machine-learning-model":
        return []
    if named_only:
        return [_breach("licence_review", component, f"its licence has a name only: {', '.join(named_only)[:200]}")]
    worst = max((_verdict(policy.licences, parsed(each)) for each in expressions), key=_ORDER.index)
    text = " AND ".join(expressions)
    if worst == "deny":
        return [_breach("licence_denied", component, f"{text} is denied")]
    if worst == "review":
        return [_breach("licence_review", component, f"{text} is in none of the lists")]
    return []


def licence_verdict(policy: Policy, expression: str) -> Literal["allow", "review", "deny"]:
    """What the policy makes of one SPDX expression."""
    return _verdict(policy.licences, parsed(expression))


_Verdict = Literal["allow", "review", "deny"]
_ORDER: Final[tuple[_Verdict, ...]] = ("allow", "review", "deny")


def _verdict(licences: Licences, expression: Expression | None) -> _Verdict:
    if expression is None:
        return "review"
    if expression.args and type(expression).__name__ in ("OR", "AND"):
        verdicts = [_verdict(licences, each) for each in expression.args]
        choose = min if type(expression).__name__ == "OR" else max
        return choose(verdicts, key=_ORDER.index)
    key = str(expression)
    if key in licences.allow or key in licences.allow_unmodified:
        return "allow"
    return "deny" if key.split(" WITH ")[0] in licences.deny else "review"


def _swapped(components: Sequence[Element], before: Sequence[Element]) -> list[Breach]:
    """The same version with another file: what was published was replaced, or what was installed is not it."""
    known = {str(each["purl"]): _sha256(each) for each in before if each.get("purl")}
    return [
        _breach("same_version_other_hash", each, "the last release had another file under this version")
        for each in components
        if (was := known.get(str(each.get("purl")))) is not None and _sha256(each) not in (None, was)
    ]


def _sha256(component: Element) -> str | None:
    return next((each["content"] for each in component.get("hashes", ()) if each.get("alg") == "SHA-256"), None)


def _waived(policy: Policy, breaches: Sequence[Breach], today: dt.date) -> list[Breach]:
    made = list(breaches)
    for waiver in policy.waiver:
        refused = _refused(policy, waiver, today)
        if refused is not None:
            made.append(
                Breach(rule="waiver_refused", component=waiver.component, ref=waiver.component, message=refused)
            )
            continue
        made = [
            msgspec.structs.replace(each, waived=waiver.by)
            if (each.rule, each.ref) == (waiver.rule, waiver.component)
            else each
            for each in made
        ]
    return made


def _refused(policy: Policy, waiver: Waiver, today: dt.date) -> str | None:
    if waiver.by not in policy.waivers.who:
        return f"{waiver.by} may not waive: waivers.who does not name them"
    if not 0 <= (waiver.until - waiver.decided).days <= policy.waivers.max_days:
        return f"a waiver lasts at most {policy.waivers.max_days} days from its decision"
    if waiver.decided > today:
        return f"decided on {waiver.decided.isoformat()}, which is yet to come"
    if today > waiver.until:
        return f"it ended on {waiver.until.isoformat()}"
    return None


def _breach(rule: Rule, component: Element, message: str) -> Breach:
    ref = str(component.get("purl") or component.get("bom-ref") or component.get("name"))
    return Breach(rule=rule, component=named(component), ref=ref, message=message)


def _months(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * 12 + int(number)


@implements("REQ-SBM-003")
def required(document: Mapping[str, Any]) -> list[Element]:
    """The components that ship, those inside others included: CycloneDX says `required` of one without a scope, and
    what is inside one that does not ship does not either. Raises `DocumentInvalid` where there is none to judge."""
    left, found = list(reversed(document.get("components", ()))), []
    while left:
        each = left.pop()
        if each.get("scope", "required") == "excluded":
            continue
        found.append(each)
        left += [inner for inner in reversed(each.get("components", ())) if inner.get("type") != "file"]
    if not found:
        raise DocumentInvalid("the bill of materials lists nothing that ships: there is nothing to judge")
    return found
