"""Small matrices for the tests of what is made from one, and large ones for how it bears their size."""

from hashlib import sha256

import msgspec

from traceability import rows
from traceability.requirements import Source

TEST = "tests/test_answer.py::test_it_answers"
ENVIRONMENT = {"python": "3.11.7", "platform": "linux"}


def print_of(text):
    """A fingerprint, or what looks like one."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def a_requirement(name="REQ-A-001", **changes):
    made = rows.RequirementRow(
        id=name, title="It answers", text="The service shall answer.", criterion="It answers.", type="functional",
        safety_class="B", verification="test", sources=(Source(need="NEED-1"), Source(hazard="HAZ-001")), parent=None,
        record=None, status="active", file="requirements/a.toml", line=3, fingerprint=print_of(name), level=2,
        demanded=2, verdict="proved", why="", units=("product/answer.py::answer",),
        tests=("tests/test_answer.py::test_it_answers",), hazards=("HAZ-001",), children=(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_unit(name="product/answer.py::answer", **changes):
    file, _, within = name.partition("::")
    made = rows.UnitRow(
        id=name, file=file, line=10, last_line=20, name=within, kind="function", language="python", executable=True,
        fingerprint=print_of(name),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_test(name="tests/test_answer.py::test_it_answers", **changes):
    file, _, within = name.partition("::")
    node = rows.TestNode(node=name, outcome="passed", duration_us=1_500)
    made = rows.TestRow(
        id=name,
        file=file,
        line=5,
        last_line=9,
        name=within,
        outcome="passed",
        nodes=(node,),
        fingerprint=print_of(name),
    )
    return msgspec.structs.replace(made, **changes)


def a_link(requirement="REQ-A-001", target="product/answer.py::answer", kind="implementation", **changes):
    made = rows.Link(
        requirement=requirement, kind=kind, target=target, file=target.partition("::")[0], line=9, level=2, demanded=2,
        verdict="reached", why="no mutants were run", partners=("tests/test_answer.py::test_it_answers",),
        branches=rows.Share(count=3, total=4),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_hazard(name="HAZ-001", **changes):
    made = rows.HazardRow(
        id=name, title="No answer", hazard="Nobody answers.", cause="A crash.", harm="A delay.",
        situation="Somebody waits.", severity="minor", residual="",
        controls=("REQ-A-001",), status="active", file="requirements/h.toml", line=2, fingerprint=print_of(name),
        controlled=True, why="",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_finding(**changes):
    made = rows.Finding(
        code="untested", severity="fail", subject="REQ-A-001", file="requirements/a.toml", line=3,
        text="no test verifies it", remedy="write one",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_summary(**changes):
    made = rows.Summary(
        requirements=1, retired=0, hazards=1, hazards_controlled=1, units=1, tests=1, links=2,
        verdicts={"proved": 1}, classes=(
            rows.ClassSummary(
                safety_class="B", demanded=2, requirements=1, proved=1, levels=(0, 0, 1, 0, 0), unlinked=0
            ),
        ),
        findings={}, failing=0, reviews_open=2,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def a_matrix(**changes):
    """One requirement, its unit, its test, its hazard, and the links between them; all of it proved."""
    made = rows.Matrix(
        project="product",
        evidence=rows.Evidence(
            started_at="2026-01-02T03:04:05Z", complete=True, coverage=rows.Coverage(available=True),
            environment=ENVIRONMENT, tests_run=1, duration_us=2_000_000,
        ),
        requirements=(a_requirement(),),
        hazards=(a_hazard(),),
        units=(a_unit(),),
        tests=(a_test(),),
        links=(
            a_link(),
            a_link(target=TEST, kind="test", partners=("product/answer.py::answer",)),
        ),
        findings=(),
        summary=a_summary(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def many(count):
    """A matrix of `count` requirements, each with a unit, a test and its part in one of `count` // 20 hazards."""
    verdicts = ("proved", "proved", "proved", "proved", "open", "failed", "unavailable", "excepted")
    requirements, units, tests, links = [], [], [], []
    for at in range(count):
        name, unit, test = f"REQ-{at:05d}", f"product/m{at % 97}.py::f{at}", f"tests/test_m{at % 97}.py::test_{at}"
        hazard = f"HAZ-{at % max(1, count // 20):04d}"
        requirements.append(
            a_requirement(
                name,
                title=f"Requirement number {at} of them",
                text=f"The product shall do what number {at} says.",
                safety_class="ABC"[at % 3],
                verdict=verdicts[at % 8],
                units=(unit,),
                tests=(test,),
                hazards=(hazard,),
                file=f"requirements/{at % 11}.toml",
                line=at,
                level=at % 5,
                demanded=(1, 2, 4)[at % 3],
            )
        )
        units.append(a_unit(unit))
        tests.append(a_test(test))
        links.append(a_link(name, unit, partners=(test,)))
        links.append(a_link(name, test, "test", partners=(unit,)))
    hazards = [
        a_hazard(f"HAZ-{at:04d}", controls=tuple(r.id for r in requirements if f"HAZ-{at:04d}" in r.hazards))
        for at in range(max(1, count // 20))
    ]
    return a_matrix(
        requirements=tuple(requirements), hazards=tuple(hazards), units=tuple(units), tests=tuple(tests),
        links=tuple(links), summary=a_summary(requirements=count, hazards=len(hazards), links=2 * count),
    )  # fmt: skip
