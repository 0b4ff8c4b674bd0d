"""Who wrote a piece of code is what git says, and nobody else."""

import shutil
import subprocess

import pytest

from traceability import authors
from traceability.errors import ReviewRefused

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here"),
    pytest.mark.verifies("REQ-TRC-008"),
]


@pytest.fixture
def history(tmp_path, monkeypatch):
    """A repository: Anne wrote three lines, Ben changed the second and laid out the third anew."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")

    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    def commit(name, content):
        (tmp_path / "a.py").write_text(content)
        git("add", "a.py")
        person = ["-c", f"user.name={name}", "-c", f"user.email={name.lower()}@example.org"]
        git(*person, "commit", "--quiet", "--message", name)

    git("init", "--quiet")
    commit("Anne", "one = 1\ntwo = 2\nthree = 3\n")
    commit("Ben", "one = 1\ntwo = 22\nthree  =  3\n")
    return tmp_path


ANNE, BEN = "Anne <anne@example.org>", "Ben <ben@example.org>"


def test_everybody_who_wrote_one_of_the_lines_is_an_author(history):
    assert authors.of_lines(history, "a.py", 1, 3) == (ANNE, BEN)


def test_who_wrote_other_lines_is_no_author(history):
    assert authors.of_lines(history, "a.py", 2, 2) == (BEN,)


def test_laying_out_a_line_anew_makes_nobody_its_author(history):
    assert authors.of_lines(history, "a.py", 3, 3) == (ANNE,)


def test_a_line_that_is_not_committed_has_no_author(history):
    (history / "a.py").write_text("one = 1\ntwo = 22\nthree = 4\n")
    with pytest.raises(ReviewRefused, match="commit it first"):
        authors.of_lines(history, "a.py", 1, 3)


def test_a_file_that_git_does_not_know_has_no_author(history):
    (history / "b.py").write_text("one = 1\n")
    with pytest.raises(ReviewRefused, match=r"b\.py"):
        authors.of_lines(history, "b.py", 1, 1)


def test_outside_of_a_repository_nobody_wrote_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ReviewRefused):
        authors.of_lines(tmp_path, "a.py", 1, 1)


def test_whoever_asks_is_whom_git_knows(history):
    for setting, value in (("user.name", "Carla"), ("user.email", "carla@example.org")):
        subprocess.run(["git", "-C", str(history), "config", setting, value], check=True)
    assert authors.asking(history) == "Carla <carla@example.org>"


def test_whom_git_does_not_know_is_asked_to_say(history):
    with pytest.raises(ReviewRefused, match="--reviewer"):
        authors.asking(history)
