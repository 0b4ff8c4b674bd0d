"""What the links of a requirement come to, and whether a hazard is controlled. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from traceability.inputs import Inputs
from traceability.marks import implements
from traceability.requirements import Hazard, Requirement
from traceability.rows import Level, Link, Verdict

VERIFIED: Final[frozenset[Verdict]] = frozenset({"proved", "recorded", "implied"})
_WORDS: Final[Mapping[str, Verdict]] = {"implication": "implied", "exception": "excepted"}


class Conclusion(Struct, frozen=True, kw_only=True):
    """What a requirement has come to; `by_parts`: nothing cites it, and its children stand for it."""

    level: Level | None
    demanded: Level | None
    verdict: Verdict
    why: str
    by_parts: bool = False


@implements("REQ-TRC-004")
def concluded(inputs: Inputs, links: Mapping[str, Sequence[Link]]) -> dict[str, Conclusion]:
    """The conclusion of each requirement, the parts of one before itself."""
    children = children_of(inputs)
    known: dict[str, Conclusion] = {}
    opened: set[str] = set()
    pending = [(requirement, False) for requirement in inputs.requirements]
    by_id = {requirement.id: requirement for requirement in inputs.requirements}
    while pending:
        requirement, parts_are_known = pending.pop()
        if requirement.id in known or (requirement.id in opened and not parts_are_known):
            continue  # the second time it is a part of itself, which is a finding
        opened.add(requirement.id)
        parts = [by_id[child] for child in children.get(requirement.id, ()) if child not in known]
        if parts and not parts_are_known:
            pending.append((requirement, True))
            pending += [(part, False) for part in parts]
            continue
        below = [known[child] for child in children.get(requirement.id, ()) if child in known]
        known[requirement.id] = _concluded(inputs, requirement, links.get(requirement.id, ()), below)
    return known


def children_of(inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """The active requirements under each one."""
    found: dict[str, list[str]] = {}
    for requirement in inputs.requirements:
        if requirement.parent is not None and requirement.status == "active":
            found.setdefault(requirement.parent, []).append(requirement.id)
    return {parent: tuple(names) for parent, names in found.items()}


def controlled(hazard: Hazard, conclusions: Mapping[str, Conclusion]) -> tuple[bool, str]:
    """Whether every risk control of `hazard` is verified, and if not, which is not and why."""
    for control in hazard.controls:
        found = conclusions.get(control)
        if found is None:
            return False, f"{control} is no requirement"
        if found.verdict not in VERIFIED:
            return False, f"{control} is {found.verdict}" + (f": {found.why}" if found.why else "")
    return bool(hazard.controls), "" if hazard.controls else "it has no risk control"


def words_suffice(inputs: Inputs, requirement: Requirement) -> bool:
    """Whether an implication or an exception, which are words, may stand for a proof in this class."""
    return requirement.safety_class <= inputs.settings.words_up_to


def _concluded(
    inputs: Inputs, requirement: Requirement, links: Sequence[Link], parts: Sequence[Conclusion]
) -> Conclusion:
    if requirement.status == "retired":
        return Conclusion(level=None, demanded=None, verdict="retired", why="")
    if requirement.verification != "test":
        return _by_record(inputs, requirement)
    demanded = inputs.settings.levels[requirement.safety_class]
    if not links and parts:
        return _by_parts(demanded, parts)
    found = _by_links(links, demanded)
    if found.verdict != "proved" and words_suffice(inputs, requirement):
        for link in links:
            if link.kind in _WORDS and link.reason:
                return Conclusion(level=found.level, demanded=demanded, verdict=_WORDS[link.kind], why=link.reason)
    return found


def _by_record(inputs: Inputs, requirement: Requirement) -> Conclusion:
    if requirement.record is None:
        return Conclusion(level=None, demanded=None, verdict="open", why=f"no record of the {requirement.verification}")
    if requirement.record not in inputs.records:
        return Conclusion(level=None, demanded=None, verdict="open", why=f"{requirement.record} is not there")
    return Conclusion(level=None, demanded=None, verdict="recorded", why="")


def _by_parts(demanded: Level, parts: Sequence[Conclusion]) -> Conclusion:
    """Of a requirement that only its parts stand for: as good as the worst of them."""
    open_parts = [part for part in parts if part.verdict not in VERIFIED]
    levels = [part.level for part in parts if part.level is not None]
    level = min(levels) if levels else None
    if open_parts:
        worst = open_parts[0]
        return Conclusion(level=level, demanded=demanded, verdict=worst.verdict, why=worst.why, by_parts=True)
    return Conclusion(level=level, demanded=demanded, verdict="proved", why="", by_parts=True)


def _by_links(links: Sequence[Link], demanded: Level) -> Conclusion:
    code = [link for link in links if link.kind == "implementation"]
    tests = [link for link in links if link.kind == "test"]
    if not code or not tests:
        missing = (
            "no code and no test cite it" if not code and not tests else f"no {'test' if code else 'code'} cites it"
        )
        return Conclusion(level=None, demanded=demanded, verdict="open", why=missing)
    # what coverage cannot see run proves nothing alone, and does not keep down what can be seen
    seen = [link for link in code if link.demanded == demanded or (link.level or 0) > 1] or code
    highest: Level = 4  # a test's own levels end at 2: where it has reached what is asked of it, it keeps nothing down
    level = min(
        [link.level or 0 for link in seen]
        + [highest if link.verdict == "reached" else link.level or 0 for link in tests]
    )
    if level >= demanded and all(link.verdict != "disproved" for link in links):
        return Conclusion(level=level, demanded=demanded, verdict="proved", why="")
    behind = [link for link in (*code, *tests) if link.verdict not in ("reached", "stated")]
    unavailable = [link for link in behind if link.verdict == "unavailable"]
    worst = min(behind, key=lambda link: link.level or 0, default=None)
    why = f"{worst.target}: {worst.why}" if worst else "nothing that cites it can be seen to run"
    is_unknown = bool(behind) and len(unavailable) == len(behind)
    return Conclusion(level=level, demanded=demanded, verdict="unavailable" if is_unknown else "failed", why=why)
