import hashlib
import re
import tomllib

import pytest

# What a page of ours would fetch by itself; links that a person may follow are no matter.
FETCHES = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//|url\(["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def static(repository):
    return repository / "service" / "http" / "static"


@pytest.fixture(scope="module")
def packages(static):
    return tomllib.loads((static / "VENDORED.toml").read_text("utf-8"))["package"]


def test_every_vendored_file_is_the_one_that_its_author_published(packages, static):
    found = {
        (package["folder"], name): hashlib.sha256((static / package["folder"] / name).read_bytes()).hexdigest()
        for package in packages
        for name in package["sha256"]
    }
    listed = {(package["folder"], name): digest for package in packages for name, digest in package["sha256"].items()}
    assert found == listed


def test_no_file_lies_among_the_vendored_ones_that_is_not_listed(packages, static):
    stray = [
        str(path.relative_to(static))
        for package in packages
        for path in (static / package["folder"]).rglob("*")
        if path.is_file() and path.name not in package["sha256"]
    ]
    assert stray == []


def test_every_vendored_package_says_what_it_is_and_under_which_licence(packages):
    wanted = {"name", "version", "licence", "purl", "archive_sha256", "folder", "sha256"}
    assert [package.get("name") for package in packages if wanted - set(package)] == []


def test_every_vendored_package_comes_with_its_licence_text(packages):
    assert [package["name"] for package in packages if "LICENSE" not in package["sha256"]] == []


def test_no_page_of_ours_fetches_anything_from_elsewhere(static):
    ours = [path for path in static.iterdir() if path.suffix in {".html", ".js", ".css"}]
    assert [path.name for path in ours if FETCHES.search(path.read_text("utf-8"))] == []
