"""How far each link and each requirement is proved. Pure.

| level | a link of code is there when                                                                          |
|-------|-------------------------------------------------------------------------------------------------------|
| 0     | code cites the requirement                                                                            |
| 1     | a test claims it, and every test that claims it passed: not skipped, not retried, not failing as expected |
| 2     | a claiming test ran the body of the unit in its run phase                                             |
| 3     | the claiming tests, together, took as many of its branches as the class asks for                      |
| 4     | they killed, alone, as many of its mutants as the class asks for                                      |

A test's link has levels 0 to 2: it passed, and it ran code that cites the requirement. A requirement has the lowest
level of its links. What coverage cannot see run (a constant, a class without functions, SQL) has level 1 and then,
where it is Python, level 4: a test that notices its mutants used it.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from traceability.citations import Citation, Test, Unit
from traceability.inputs import Inputs
from traceability.marks import implements
from traceability.requirements import Requirement
from traceability.results import Node
from traceability.rows import Level, Link, LinkVerdict, Mutants, Share

_TRIED_PERCENT: Final = 50
"""Of how many mutants there must be a result where the time was up: a share of fewer says little of the rest."""


class _Claim(Struct, frozen=True, kw_only=True):
    """A test's claim of one requirement."""

    citation: Citation
    test: Test
    nodes: tuple[Node, ...]
    passed: bool
    why: str
    """Why it did not pass, or is not counted as passed."""


@implements("REQ-TRC-004")
class Judge:
    """Judges the links of one requirement after the other."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._units = {unit.id: unit for unit in inputs.units}
        self._tests = {test.id: test for test in inputs.tests}

    def links(self, requirement: Requirement, citations: Sequence[Citation]) -> list[Link]:
        """The links that `citations`, all that cite `requirement`, make."""
        demanded = self._inputs.settings.levels[requirement.safety_class]
        code = [citation for citation in citations if citation.kind == "implementation"]
        claims = [self._claim(citation) for citation in citations if citation.kind == "test"]
        units = [self._units[citation.target] for citation in code]
        links = [self._of_code(citation, unit, claims, demanded) for citation, unit in zip(code, units, strict=True)]
        links += [self._of_test(claim, units, demanded) for claim in claims]
        links += [_stated(citation) for citation in citations if citation.kind not in ("implementation", "test")]
        if requirement.status == "retired":
            return [_retired(link) for link in links]
        return links

    # ---- tests ----

    def _claim(self, citation: Citation) -> _Claim:
        test = self._tests[citation.target]
        nodes = self._inputs.nodes_by_test.get(test.id, ())
        named = tuple(node for node in nodes if citation.requirement in node.verifies)
        nodes = named or nodes  # marks on single parameters claim for these alone
        why = unfit(nodes)
        if test.file in self._inputs.stale:
            why = f"{test.file} has changed since the test run"
        return _Claim(citation=citation, test=test, nodes=nodes, passed=not why, why=why)

    def _of_test(self, claim: _Claim, units: Sequence[Unit], demanded: Level) -> Link:
        wanted = _at_most(demanded, 2 if any(unit.executable for unit in units) else 1)
        ran = tuple(unit.id for unit in units if self._runners(unit, [claim]))
        level, verdict, why = self._judged_test(claim, units, ran)
        if verdict in ("below", "unavailable") and level >= wanted:
            verdict = "reached"
        return Link(
            requirement=claim.citation.requirement, kind="test", target=claim.test.id, file=claim.citation.file,
            line=claim.citation.line, level=level, demanded=wanted, verdict=verdict, why=why, partners=ran,
        )  # fmt: skip

    def _judged_test(
        self, claim: _Claim, units: Sequence[Unit], ran: tuple[str, ...]
    ) -> tuple[Level, LinkVerdict, str]:
        if not claim.passed:
            return 0, "below", claim.why
        if ran:
            return 2, "reached", ""
        executable = [unit for unit in units if unit.executable]
        if not executable:
            return 1, "below", "nothing that cites it can be seen to run"
        if why := self._blind(claim.nodes, executable):
            return 1, "unavailable", why
        return 1, "disproved", "it passed, and no code that cites the requirement ran in it"

    # ---- code ----

    def _of_code(self, citation: Citation, unit: Unit, claims: Sequence[_Claim], demanded: Level) -> Link:
        runners = self._runners(unit, [claim for claim in claims if claim.passed])
        share = self._share(unit, runners)
        mutants, moved = self._mutants(citation.requirement, unit, claims)
        wanted = demanded if unit.executable else _at_most(demanded, 1)
        level, verdict, why = self._judged_code(citation, unit, claims, runners, share, mutants, moved)
        if level >= wanted and verdict != "disproved":
            verdict = "reached"
        partners = tuple(sorted({claim.test.id for claim in claims for node in claim.nodes if node.node in runners}))
        return Link(
            requirement=citation.requirement, kind="implementation", target=unit.id, file=citation.file,
            line=citation.line, level=level, demanded=wanted, verdict=verdict, why=why, partners=partners,
            branches=share, mutants=mutants,
        )  # fmt: skip

    def _judged_code(
        self, citation: Citation, unit: Unit, claims: Sequence[_Claim], runners: frozenset[str], share: Share | None,
        mutants: Mutants | None, moved: str,
    ) -> tuple[Level, LinkVerdict, str]:  # fmt: skip
        if not claims:
            return 0, "below", "no test claims the requirement"
        if failed := [claim for claim in claims if not claim.passed]:
            return 0, "below", f"{failed[0].test.id}: {failed[0].why}"
        if unit.hollow:
            return 1, "below", f"{unit.name} does nothing: there is no body to run"
        survived = self._survived(citation, mutants, moved)
        if not unit.executable:
            if unit.language == "python" and not survived:
                return 4, "reached", ""
            return 1, "below", "coverage cannot see it run"
        if not runners:
            if why := self._blind([node for claim in claims for node in claim.nodes], [unit]):
                return 1, "unavailable", why
            return 1, "disproved", "no test that claims the requirement ran it"
        if share is None:
            return 2, "below", "its branches were not looked at"
        if share.count * 100 < share.total * self._asked(citation.requirement, "branches"):
            return 2, "below", f"{share.count} of {share.total} branches were taken by the tests that claim it"
        return (3, "below", survived) if survived else (4, "reached", "")

    def _runners(self, unit: Unit, claims: Sequence[_Claim]) -> frozenset[str]:
        """The nodes of `claims` that ran `unit`, if anything is known of it."""
        if unit.file in self._inputs.stale:
            return frozenset()
        ran = self._inputs.executed.ran.get(unit.id, frozenset())
        return frozenset(node.node for claim in claims for node in claim.nodes if node.node in ran)

    def _blind(self, nodes: Sequence[Node], units: Sequence[Unit]) -> str:
        """Why it cannot be known whether `nodes` ran `units`; empty where it can."""
        if not self._inputs.executed.coverage.available:
            return f"unavailable: {self._inputs.executed.coverage.why}"
        if stale := sorted({unit.file for unit in units} & self._inputs.stale):
            return f"{stale[0]} has changed since the test run"
        if untraced := [node for node in nodes if not node.traced]:
            return f"unavailable: coverage was pushed aside during {untraced[0].node}"
        return ""

    def _share(self, unit: Unit, runners: frozenset[str]) -> Share | None:
        branches = self._inputs.branches.get(unit.id)
        if branches is None or not self._inputs.executed.coverage.available:
            return None
        by_node = self._inputs.taken.get(unit.id, {})
        taken = frozenset().union(*(by_node.get(node, frozenset()) for node in runners))
        return Share(count=len(taken), total=len(branches))

    def _mutants(self, requirement: str, unit: Unit, claims: Sequence[_Claim]) -> tuple[Mutants | None, str]:
        """What is known of the mutants, and why nothing is."""
        record = self._inputs.mutants.get((requirement, unit.id))
        if record is None:
            return None, "its mutants were not tried"
        fingerprints = self._inputs.fingerprints
        tests = {claim.test.id: fingerprints.get(claim.test.id, "") for claim in claims}
        if not record.holds(fingerprints.get(unit.id, ""), tests):
            return None, "its mutants were tried on other code or with other tests"
        return Mutants(
            total=record.total, tried=record.tried, killed=record.killed, survivors=record.survivors,
            exhausted=record.exhausted,
        ), ""  # fmt: skip

    def _survived(self, citation: Citation, mutants: Mutants | None, moved: str) -> str:
        """Why the mutants do not prove it; empty where they do."""
        if mutants is None:
            return moved
        if mutants.tried == 0:
            return "there was no mutant to try" if mutants.total == 0 else "the time was up before a mutant was tried"
        if mutants.tried * 100 < mutants.total * _TRIED_PERCENT:
            return f"the time was up when {mutants.tried} of {mutants.total} mutants were tried"
        if mutants.killed * 100 < mutants.tried * self._asked(citation.requirement, "mutants"):
            return f"{mutants.killed} of {mutants.tried} mutants were killed by the tests that claim it"
        return ""

    def _asked(self, requirement: str, what: str) -> int:
        safety_class = self._inputs.classes[requirement]
        settings = self._inputs.settings
        chosen = settings.branches_percent if what == "branches" else settings.mutants_percent
        return chosen.get(safety_class, 100)


def _at_most(demanded: Level, highest: Level) -> Level:
    return highest if demanded > highest else demanded


def unfit(nodes: Sequence[Node]) -> str:
    """Why these runs of a test do not count as passed; empty where every one passed, at once."""
    if not nodes:
        return "no test of this name was run"
    for node in nodes:
        if node.outcome != "passed" or node.attempts > 1:
            outcome = "retried" if node.outcome == "passed" else node.outcome
            return f"{node.node}: {outcome}" + (f": {node.reason}" if node.reason else "")
    return ""


def _stated(citation: Citation) -> Link:
    return Link(
        requirement=citation.requirement, kind=citation.kind, target=citation.target, file=citation.file,
        line=citation.line, level=None, demanded=None, verdict="stated", why="", reason=citation.reason,
        owner=citation.owner, due=citation.due,
    )  # fmt: skip


def _retired(link: Link) -> Link:
    return Link(
        requirement=link.requirement, kind=link.kind, target=link.target, file=link.file, line=link.line, level=None,
        demanded=None, verdict="retired", why="the requirement is retired",
    )  # fmt: skip
