"""What is installed, as digests: the same wheel gives the same, another file another, and a swapped file is found."""

import shutil
import sys
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest

from sbom import activation, installed
from sbom.statement import Release, Resource


def site(folder, content=b"value = 1\n", extra=()):
    """A site-packages folder with one distribution in it, as an installer leaves it."""
    package, notes = folder / "thing", folder / "thing-1.0.dist-info"
    package.mkdir(parents=True)
    notes.mkdir()
    (package / "__init__.py").write_bytes(content)
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: Thing\nVersion: 1.0\n", "utf-8")
    lines = [
        _line("thing/__init__.py", content),
        _line("thing-1.0.dist-info/METADATA", (notes / "METADATA").read_bytes()),
    ]
    (notes / "RECORD").write_text("\n".join([*lines, *extra, "thing-1.0.dist-info/RECORD,,"]) + "\n", "utf-8")
    return folder


def _line(path, content):
    return f"{path},sha256={urlsafe_b64encode(sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"


@pytest.mark.verifies("REQ-REL-004")
def test_the_same_wheel_has_the_same_digest_wherever_it_is_installed(tmp_path):
    ours = ("../../../bin/thing,sha256=abc,1", "thing/__pycache__/x.pyc,,", "thing-1.0.dist-info/INSTALLER,sha256=x,4")
    assert installed.distributions(site(tmp_path / "a")) == installed.distributions(site(tmp_path / "b", extra=ours))


@pytest.mark.verifies("REQ-REL-004")
def test_another_file_under_the_same_version_has_another_digest(tmp_path):
    first, second = (installed.distributions(site(tmp_path / name, name.encode())) for name in ("a", "b"))
    assert first["thing"][0] == second["thing"][0]
    assert first["thing"][1] != second["thing"][1]


@pytest.mark.verifies("REQ-REL-004")
def test_what_is_as_it_was_installed_is_not_altered(tmp_path):
    assert list(installed.altered(site(tmp_path / "a"))) == []


@pytest.mark.verifies("REQ-REL-004")
def test_a_file_that_was_swapped_behind_its_record_is_found(tmp_path):
    (site(tmp_path / "a") / "thing" / "__init__.py").write_bytes(b"value = 2\n")
    assert list(installed.altered(tmp_path / "a")) == ["thing: thing/__init__.py is not the file that was installed"]


@pytest.mark.verifies("REQ-REL-004")
def test_a_file_that_is_gone_is_found(tmp_path):
    (site(tmp_path / "a") / "thing" / "__init__.py").unlink()
    assert list(installed.altered(tmp_path / "a")) == ["thing: thing/__init__.py is gone"]


@pytest.mark.verifies("REQ-REL-004")
def test_what_has_no_record_is_there_all_the_same(tmp_path):
    (site(tmp_path / "a") / "thing-1.0.dist-info" / "RECORD").unlink()
    assert installed.distributions(tmp_path / "a") == {"thing": ("1.0", installed.UNTOLD)}


@pytest.mark.verifies("REQ-REL-004")
def test_what_was_installed_from_a_folder_is_there_all_the_same(tmp_path):
    made = site(tmp_path / "a", extra=["__editable__.thing-1.0.pth,sha256=x,1"])
    assert installed.distributions(made) == {"thing": ("1.0", installed.UNTOLD)}


def test_a_word_in_a_file_name_of_a_record_hides_nothing(tmp_path):
    made = site(tmp_path / "site-packages", extra=["thing/__editable__.py,sha256=abc,3"])
    assert list(installed.altered(made)) != []


@pytest.mark.verifies("REQ-REL-004")
@pytest.mark.parametrize("name", ["sitecustomize.py", "x.pth", "x.so", "more/__init__.py"])
def test_what_lies_beside_and_nobody_brought_is_found(tmp_path, name):
    made = site(tmp_path / "site-packages")
    (made / name).parent.mkdir(exist_ok=True)
    (made / name).write_bytes(b"")
    assert list(installed.altered(made)) == [
        f"{name.split('/')[0]} lies beside what was installed, and no distribution brought it"
    ]


@pytest.mark.verifies("REQ-REL-004")
def test_what_was_brought_does_not_lie_beside(tmp_path):
    assert list(installed.altered(site(tmp_path / "site-packages"))) == []


@pytest.mark.verifies("REQ-REL-004")
def test_a_package_that_would_be_imported_from_elsewhere_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(site(tmp_path / "site-packages"))])
    assert list(installed.shadowed()) == []
    (tmp_path / "before" / "thing").mkdir(parents=True)
    (tmp_path / "before" / "thing" / "__init__.py").write_bytes(b"")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "before"), *sys.path])
    assert list(installed.shadowed()) == ["thing: thing is imported from elsewhere"]


@pytest.mark.verifies("REQ-REL-004")
def test_of_two_with_one_name_the_one_that_is_imported_counts(tmp_path, monkeypatch):
    first, second = (site(tmp_path / name, name.encode()) for name in ("a", "b"))
    monkeypatch.setattr(sys, "path", [str(first), str(second)])
    assert installed.distributions() == installed.distributions(first)


def test_nothing_of_this_environment_is_imported_from_elsewhere():
    assert list(installed.shadowed()) == []


@pytest.mark.verifies("REQ-REL-004")
def test_a_package_of_ours_has_a_digest_of_its_files_and_not_of_compiled_ones(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "x.py").write_bytes(b"1")
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "x.pyc").write_bytes(b"2")
    assert installed.tree(first) == installed.tree(second)
    (second / "inner" / "x.py").rename(second / "x.py")
    assert installed.tree(first) != installed.tree(second)


def release():
    return Release(
        version="1",
        commit="c",
        source="git+local",
        migrations_head="h",
        subjects=(),
        packages=(
            Resource(uri="pkg:pypi/thing@1.0%2Blocal", digest={"sha256": "a" * 64}, annotations={"installed": "i"}),
            Resource(uri="urn:medai-flow:package:service", digest={"medaiTree": "t"}),
        ),
        models=(Resource(name="m@1", digest={"sha256": "w"}),),
        locks=(),
        evidence=(),
        builder="b",
        invocation={},
    )


HERE: dict[str, Any] = {"distributions": {"thing": ("1.0+local", "i")}, "own": {"service": "t"}, "models": {"m@1": "w"}}


def test_what_is_as_it_was_bound_differs_in_nothing():
    assert list(activation.differences(release(), activation.Here(**HERE))) == []


@pytest.mark.parametrize(
    ("what", "there", "expected"),
    [
        ("distributions", {}, "thing 1.0+local is of the release and not installed"),
        ("distributions", {"thing": ("1.1", "i")}, "thing is 1.1, in the release 1.0+local"),
        ("distributions", {"thing": ("1.0+local", "j")}, "thing 1.0+local has other files than in the release"),
        (
            "distributions",
            {"thing": ("1.0+local", "i"), "more": ("1", "k")},
            "more is installed and not of the release",
        ),
        ("own", {"service": "u"}, "our package service is not the release's"),
        ("own", {}, "our package service is not the release's"),
        ("models", {"m@1": "x"}, "the model m@1 has other weights than in the release"),
        ("models", {"m@2": "w"}, "the model m@2 is served and not of the release"),
    ],
)
def test_each_difference_is_one_sentence(what, there, expected):
    assert list(activation.differences(release(), activation.Here(**(HERE | {what: there})))) == [expected]


def test_a_model_of_the_release_that_is_not_served_is_no_difference():
    assert list(activation.differences(release(), activation.Here(**(HERE | {"models": {}})))) == []


@pytest.mark.verifies("REQ-REL-004")
def test_nothing_of_this_needs_more_than_the_standard_library_finds(tmp_path):
    """A wheel unpacked by hand is a distribution like any other."""
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as wheel:
        for path in sorted(site(tmp_path / "a").rglob("*")):
            if path.is_file():
                wheel.write(path, path.relative_to(tmp_path / "a"))
    shutil.unpack_archive(tmp_path / "w.zip", tmp_path / "b")
    assert installed.distributions(tmp_path / "b") == installed.distributions(tmp_path / "a")
