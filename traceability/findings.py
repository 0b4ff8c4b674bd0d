"""Everything that is not as it should be: where it is, what it is, and what to do about it. Pure.

| code | what |
|---|---|
| `without_code`, `without_test` | a requirement that nothing implements, or that no test claims |
| `below_level` | a requirement that is not proved to the level of its class, and by what it fails |
| `unavailable` | a requirement of which that cannot be known |
| `claim_disproved` | a test claims it and passes, and the code never runs in it |
| `not_run_by_claims` | code that cites it, and no claiming test runs it |
| `test_not_counted` | a claiming test that failed, was skipped, retried, expected to fail, or not run |
| `hollow` | code that cites it and does nothing |
| `unknown_id`, `retired_id` | a citation, a control or a parent that is no active requirement |
| `hazard_uncontrolled` | a hazard with a risk control that is not verified |
| `duplicate`, `ambiguous` | an id or a mark given twice, a name that means two things |
| `outdated` | evidence or a generated file that is older than what it is about |
| `partial` | the test run was of a part of the suite |
| `mark_unreadable` | a mark that cannot be understood |
| `record_missing` | an inspection, analysis or demonstration without its record |
| `words_only` | an implication, exception or todo where the class asks for proof |
| `excepted`, `todo`, `overdue` | an exception; a todo; a todo whose date is past |
| `source_unknown` | a source that the catalogue does not have |
| `cycle` | a requirement that is a part of itself |
| `mutant_survived` | a mutant that the claiming tests did not notice |
| `untraced` | a public function that cites nothing |
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from traceability import verdicts
from traceability.citations import Citation
from traceability.inputs import Inputs
from traceability.marks import implements
from traceability.requirements import Hazard, Requirement
from traceability.rows import Finding, Link, Severity
from traceability.verdicts import Conclusion

NOTES: Final = frozenset({"untraced", "excepted", "todo", "mutant_survived"})
"""What is shown and does not close the gate, unless a project's settings say so."""


@implements("REQ-TRC-004")
def found(
    inputs: Inputs, links: Mapping[str, Sequence[Link]], conclusions: Mapping[str, Conclusion]
) -> tuple[Finding, ...]:
    """All findings, in the order of files and lines."""
    finder = _Finder(inputs, links, conclusions)
    every = [*finder.citations(), *finder.requirements(), *finder.hazards(), *finder.code(), *finder.evidence()]
    return tuple(
        sorted(
            set(every), key=lambda finding: (finding.file, finding.line, finding.code, finding.subject, finding.text)
        )
    )


class _Finder:
    def __init__(
        self, inputs: Inputs, links: Mapping[str, Sequence[Link]], conclusions: Mapping[str, Conclusion]
    ) -> None:
        self._inputs, self._links, self._conclusions = inputs, links, conclusions
        self._by_id = {requirement.id: requirement for requirement in inputs.requirements}
        self._today = inputs.results.started_at[:10]

    # ---- marks ----

    def citations(self) -> Iterator[Finding]:
        for fault in self._inputs.faults:
            yield self._finding(fault.code, fault.subject, fault.file, fault.line, fault.text, fault.remedy)
        for citation in self._inputs.citations:
            requirement = self._by_id.get(citation.requirement)
            if requirement is None:
                yield self._unknown(citation)
            elif requirement.status == "retired":
                instead = (
                    f"cite {requirement.replaced_by}, which took its place"
                    if requirement.replaced_by
                    else "remove the mark"
                )
                yield self._at(citation, "retired_id", f"it cites {requirement.id}, which is retired", instead)
            elif citation.kind in ("implication", "exception"):
                yield from self._words(citation, requirement)
            elif citation.kind == "todo":
                yield from self._todo(citation, requirement)
        twice = Counter((mark.requirement, mark.kind, mark.target) for mark in self._inputs.citations)
        seen: set[tuple[str, str, str]] = set()
        for citation in self._inputs.citations:
            key = (citation.requirement, citation.kind, citation.target)
            if twice[key] > 1 and key in seen:
                said = f"{citation.target} cites {citation.requirement} more than once"
                yield self._at(citation, "duplicate", said, "remove one of the two marks")
            seen.add(key)

    def _unknown(self, citation: Citation) -> Finding:
        base, _, revision = citation.requirement.rpartition("~")  # an id of OpenFastTrace ends in its revision
        for name in self._by_id:
            if base and revision.isdigit() and name.rpartition("~")[0] == base:
                said = f"it cites {citation.requirement}, and the requirement is at {name}"
                return self._at(citation, "outdated", said, f"look whether it still holds, and cite {name}")
        return self._at(
            citation, "unknown_id", f"it cites {citation.requirement}, and there is no such requirement",
            f"write {citation.requirement} down under {self._inputs.settings.requirements[0]}, or correct the id",
        )  # fmt: skip

    def _words(self, citation: Citation, requirement: Requirement) -> Iterator[Finding]:
        if not verdicts.words_suffice(self._inputs, requirement):
            said = f"{citation.kind}: words stand for a proof of {requirement.id}, of class {requirement.safety_class}"
            yield self._at(citation, "words_only", said, "prove it by tests: words do not suffice in this class")
        elif citation.kind == "exception":
            said = f"{requirement.id} is not met here: {citation.reason}"
            yield self._at(citation, "excepted", said, "meet it, or keep the exception and its reason up to date")

    def _todo(self, citation: Citation, requirement: Requirement) -> Iterator[Finding]:
        if not verdicts.words_suffice(self._inputs, requirement):
            yield from self._words(citation, requirement)
        said = f"{citation.requirement} waits for {citation.owner} until {citation.due}: {citation.reason}"
        late = bool(citation.due) and citation.due < self._today
        yield self._at(citation, "overdue" if late else "todo", said, "do it, or agree on another date")

    # ---- requirements and hazards ----

    def requirements(self) -> Iterator[Finding]:
        items: tuple[Requirement | Hazard, ...] = (*self._inputs.requirements, *self._inputs.hazards)
        times = Counter(item.id for item in items)
        known: set[str] = set()
        for item in items:
            if times[item.id] > 1 and item.id in known:
                said = f"the id {item.id} is given a second time"
                yield self._finding("duplicate", item.id, item.file, item.line, said, "give one of the two another id")
            known.add(item.id)
        for requirement in self._inputs.requirements:
            yield from self._references(requirement)
            yield from self._judged(requirement)

    def _references(self, requirement: Requirement) -> Iterator[Finding]:
        for role, name in (("parent", requirement.parent), ("successor", requirement.replaced_by)):
            if name is not None and name not in self._by_id:
                said = f"its {role} {name} is no requirement"
                yield self._of(requirement, "unknown_id", said, "correct the id")
        above, name = {requirement.id}, requirement.parent
        while name in self._by_id and name not in above:
            above.add(name)
            name = self._by_id[name].parent
        if name == requirement.id:
            yield self._of(
                requirement, "cycle", "it is, through its parents, a part of itself", "remove one of the parents"
            )
        hazards = {hazard.id for hazard in self._inputs.hazards}
        origins = {origin.id for origin in self._inputs.origins}
        for source in requirement.sources:
            if source.kind == "hazard" and source.text not in hazards:
                yield self._of(requirement, "source_unknown", f"there is no hazard {source.text}", "correct the id")
            elif source.kind in ("need", "clause", "specification") and origins and source.text not in origins:
                said = f"the catalogue of sources has no {source.text}"
                yield self._of(requirement, "source_unknown", said, "write a [[source]] for it, or correct the id")

    def _judged(self, requirement: Requirement) -> Iterator[Finding]:
        conclusion = self._conclusions[requirement.id]
        links = self._links.get(requirement.id, ())
        kinds = {link.kind for link in links}
        if requirement.verification != "test":
            if conclusion.verdict == "open":
                said = f"it is verified by {requirement.verification}, and {conclusion.why}"
                yield self._of(requirement, "record_missing", said, 'name the file of the record: record = "docs/..."')
            return
        if conclusion.verdict == "open" and not conclusion.by_parts and "todo" not in kinds:
            if "implementation" not in kinds:
                said = "no code cites it"
                yield self._of(
                    requirement, "without_code", said, f'mark what implements it: @implements("{requirement.id}")'
                )
            if "test" not in kinds:
                said = "no test claims to verify it"
                yield self._of(
                    requirement, "without_test", said, f'mark its test: @pytest.mark.verifies("{requirement.id}")'
                )
        elif conclusion.verdict in ("failed", "unavailable") and not conclusion.by_parts:
            code = "below_level" if conclusion.verdict == "failed" else "unavailable"
            said = (
                f"class {requirement.safety_class} demands level {conclusion.demanded}, "
                f"and it has {conclusion.level}: {conclusion.why}"
            )
            yield self._of(requirement, code, said, _RAISE.get(conclusion.level or 0, _RAISE[0]))
        if conclusion.verdict != "retired":
            for link in links:
                yield from self._link(link)

    def _link(self, link: Link) -> Iterator[Finding]:
        def at(code: str, said: str, remedy: str) -> Finding:
            return self._finding(code, link.target, link.file, link.line, said, remedy)

        if link.kind == "test" and link.verdict == "below" and link.level == 0:
            yield at(
                "test_not_counted",
                f"it claims {link.requirement} and is not counted: {link.why}",
                "make it pass, at once and always",
            )
        elif link.kind == "test" and link.verdict == "disproved":
            said = f"it claims {link.requirement} and passes, and no code that cites {link.requirement} runs in it"
            yield at(
                "claim_disproved",
                said,
                "test the code itself, in the test and not in a fixture or a mock; or drop the claim",
            )
        elif link.kind == "implementation" and link.verdict == "disproved":
            said = f"it cites {link.requirement}, and no test that claims {link.requirement} runs it"
            yield at(
                "not_run_by_claims", said, "write a test that runs it and claims the requirement; or drop the mark"
            )
        for survivor in link.mutants.survivors if link.mutants else ():
            file, line, what = survivor.split(":", 2)
            said = f"{link.target}: the tests that claim {link.requirement} pass with {what.strip()}"
            remedy = "assert what it changes, or see that it changes nothing"
            yield self._finding("mutant_survived", link.target, file, int(line), said, remedy)
        if link.kind == "implementation" and link.why.endswith("there is no body to run"):
            yield at("hollow", f"it cites {link.requirement} and does nothing", "mark the code that does it")

    def hazards(self) -> Iterator[Finding]:
        for hazard in self._inputs.hazards:
            if hazard.status == "retired":
                continue
            for control in hazard.controls:
                if control not in self._by_id:
                    said = f"its risk control {control} is no requirement"
                    yield self._finding("unknown_id", hazard.id, hazard.file, hazard.line, said, "correct the id")
            is_controlled, why = verdicts.controlled(hazard, self._conclusions)
            if not is_controlled:
                said = f"a risk control is not verified: {why}"
                remedy = "verify the requirement that controls it"
                yield self._finding("hazard_uncontrolled", hazard.id, hazard.file, hazard.line, said, remedy)

    # ---- code and evidence ----

    def code(self) -> Iterator[Finding]:
        for unit in self._inputs.public:
            said = f"{unit.name} is public and cites no requirement"
            yield self._finding(
                "untraced", unit.id, unit.file, unit.line, said, "mark what it implements, if it implements any"
            )

    def evidence(self) -> Iterator[Finding]:
        evidence = self._inputs.settings.evidence
        cited = {unit.file for unit in self._inputs.units} | {test.file for test in self._inputs.tests}
        for file in sorted(self._inputs.stale & cited):
            yield self._finding("outdated", file, file, 1, "it has changed since the test run", "run the tests again")
        if not self._inputs.results.complete:
            said = "the results are of a part of the suite, or of a run that was broken off"
            yield self._finding("partial", evidence, f"{evidence}/results.json", 1, said, "run the whole suite")

    # ---- findings ----

    def _of(self, requirement: Requirement, code: str, said: str, remedy: str) -> Finding:
        return self._finding(
            code, requirement.id, requirement.file, requirement.line, f"{requirement.id}: {said}", remedy
        )

    def _at(self, citation: Citation, code: str, said: str, remedy: str) -> Finding:
        return self._finding(code, citation.target, citation.file, citation.line, said, remedy)

    def _finding(self, code: str, subject: str, file: str, line: int, said: str, remedy: str) -> Finding:
        severity: Severity = self._inputs.settings.severity.get(code, "note" if code in NOTES else "fail")
        return Finding(code=code, severity=severity, subject=subject, file=file, line=line, text=said, remedy=remedy)


_RAISE: Final[dict[int, str]] = {
    0: "let every test that claims it pass, at once and always",
    1: "let a claiming test run the code that cites it, in its run phase",
    2: "test the branches that are not taken, or drop code that nothing asks for",
    3: "write tests that notice the mutants that survived: `make mutants` lists them",
    4: "mark the code that does it",
}
