"""`medai trace review` records who looked at what, and refuses whom the class does not allow."""

import shutil
import subprocess

import msgspec
import pytest

from service import cli
from tests.trace_matrices import TEST, a_link, a_matrix, a_requirement, a_test, a_unit, print_of
from traceability import cli_review, project, reviews, survey

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")

ANNE, BEN = "Anne <anne@example.org>", "Ben <ben@example.org>"
PROJECT = '[project]\nname = "product"\n[tool.medai.trace]\ncode = ["product"]\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project whose code Anne wrote and whose test Ben wrote, both committed."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")

    def commit(file, person):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"line {number}\n" for number in range(30)) if path.suffix == ".py" else PROJECT)
        name, _, mail = person.partition(" <")
        options = ["-c", f"user.name={name}", "-c", f"user.email={mail.rstrip('>')}"]
        for words in (["add", file], [*options, "commit", "--quiet", "--message", file]):
            subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    subprocess.run(["git", "-C", str(tmp_path), "init", "--quiet"], check=True)
    commit("pyproject.toml", ANNE)
    commit("product/answer.py", ANNE)
    commit("tests/test_answer.py", BEN)
    return tmp_path


FOUND = a_matrix(requirements=(a_requirement(safety_class="C"),))


@pytest.fixture
def review(place, monkeypatch):
    """Runs the command on a matrix of that project, in which whatever is on record holds."""
    state = {"found": FOUND}

    def surveyed(root, evidence):
        chosen = project.settings_of(root)
        return reviews.applied(state["found"], survey.reviews_of(root, chosen), survey.rules_of(chosen))

    monkeypatch.setattr(cli_review, "survey", surveyed)

    def review(*arguments, found=FOUND):
        state["found"] = found
        return cli.main(["trace", "review", "--root", str(place), *arguments])

    return review


def kept(place):
    file = place / "traceability" / "reviews" / "REQ-A-001.toml"
    return reviews.parse(file.read_text("utf-8"), "") if file.exists() else ()


def test_a_review_by_somebody_else_is_recorded_with_the_author(review, place):
    code = review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", BEN, "--comment", "read twice")
    (one,) = kept(place)
    assert (code, one.reviewer, one.authors, one.meaning, one.comment) == (0, BEN, (ANNE,), "review", "read twice")


def test_a_review_by_its_author_is_refused_and_leaves_nothing(review, place, capsys):
    code = review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", ANNE)
    assert (code, kept(place), "somebody else has to review it" in capsys.readouterr().err) == (1, (), True)


def test_of_several_links_none_is_recorded_where_one_may_not_be(review, place):
    assert (review("REQ-A-001", "--reviewer", BEN), kept(place)) == (1, ())


def test_all_links_of_a_requirement_are_reviewed_where_none_is_named(review, place):
    code = review("REQ-A-001", "--reviewer", "Carla <carla@example.org>", "--meaning", "approval")
    assert (code, {one.target for one in kept(place)}, {one.meaning for one in kept(place)}) == (
        0, {"product/answer.py::answer", TEST}, {"approval"},
    )  # fmt: skip


def test_an_earlier_review_is_kept_as_history(review, place):
    for reviewer in (BEN, "Carla <carla@example.org>"):
        review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", reviewer)
    assert [one.reviewer for one in kept(place)] == [BEN, "Carla <carla@example.org>"]


def test_whom_git_knows_is_the_reviewer(review, place):
    for setting, value in (("user.name", "Carla"), ("user.email", "carla@example.org")):
        subprocess.run(["git", "-C", str(place), "config", setting, value], check=True)
    review("REQ-A-001", "--target", TEST)
    assert [one.reviewer for one in kept(place)] == ["Carla <carla@example.org>"]


def test_what_is_not_committed_is_not_reviewed(review, place, capsys):
    (place / "product" / "answer.py").write_text("changed\n" * 30)
    code = review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", BEN)
    assert (code, "commit it first" in capsys.readouterr().err) == (1, True)


@pytest.mark.parametrize("arguments", [["REQ-GONE"], ["REQ-A-001", "--target", "gone.py::gone"]])
def test_what_is_no_link_is_not_reviewed(review, arguments):
    assert review(*arguments, "--reviewer", BEN) == 1


def test_a_list_says_how_the_reviews_stand_and_what_moved(review, capsys):
    review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", BEN)
    capsys.readouterr()
    moved = msgspec.structs.replace(FOUND, units=(a_unit(fingerprint=print_of("new")),))
    code = review("REQ-A-001", "--list", found=moved)
    first, second = capsys.readouterr().out.splitlines()
    assert (code, first.startswith("suspect "), first.endswith("; moved since: the code")) == (0, True, True)
    assert second == f"not reviewed test           {TEST}"


def test_a_reviewed_link_is_reviewed_until_something_moves(review, place):
    review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", BEN)
    rules = reviews.Rules(required=False, independent=frozenset({"C"}))
    found = reviews.applied(FOUND, kept(place), rules)
    assert [link.review.status for link in found.links] == ["reviewed", "not_reviewed"]


def test_a_project_that_is_not_traced_has_no_reviews(tmp_path, capsys):
    code = cli.main(["trace", "review", "REQ-1", "--root", str(tmp_path)])
    assert (code, capsys.readouterr().err.startswith("medai: trace_setting_invalid")) == (3, True)


def test_a_class_that_asks_for_nobody_else_lets_the_author_review(review, place):
    code = review("REQ-A-001", "--target", "product/answer.py::answer", "--reviewer", ANNE, found=a_matrix())
    assert (code, len(kept(place))) == (0, 1)


def test_a_link_of_a_test_names_the_tests_author(review, place):
    found = msgspec.structs.replace(FOUND, tests=(a_test(),), links=(a_link(target=TEST, kind="test"),))
    review("REQ-A-001", "--reviewer", ANNE, found=found)
    assert [one.authors for one in kept(place)] == [(BEN,)]
