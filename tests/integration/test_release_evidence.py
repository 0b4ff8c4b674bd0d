"""`medai release evidence` over this checkout: every file, each with its digest, bound, judged and shown."""

import argparse
import datetime as dt
import json
import sys
import zipfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

from sbom import activation, cli_page, cli_release, collect, distributions, evidence, looking, releasing
from sbom.errors import ReleaseInvalid
from sbom.found import Installed

ROOT = Path(__file__).resolve().parents[2]
RECORD = {"id": "PYSEC-1", "modified": "2026-02-28T00:00:00Z", "affected": []}
DAY = "2026-03-01"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of evidence, and the exit code that it was made with. There is no release key and no matrix."""
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "osv").mkdir()
    (folder / "osv" / "PYSEC-1.json").write_text(json.dumps(RECORD), "utf-8")
    (folder / "medai.whl").write_bytes(b"a wheel")
    code = cli_page.make(
        ["--folder", str(folder / "out"), "--project", str(ROOT), "--python", sys.executable, "--today", DAY,
         "--advisories", str(folder / "osv"), "--wheel", str(folder / "medai.whl")]
    )  # fmt: skip
    return folder / "out", code


@pytest.fixture(scope="module")
def folder(made):
    return made[0]


@pytest.fixture(scope="module")
def released(folder):
    keys = (folder / evidence.DEVELOPMENT_KEY).read_bytes()
    return activation.opened((folder / evidence.RELEASE).read_bytes(), keys)


def test_every_file_is_there(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "sbom.cdx.json", "vex.cdx.json", "vulnerabilities.json", "sbom-check.json", "sbom-diff.json",
        "release.dsse.json", "release.html", "index.html", "manifest.json", "gate.json", "development.pub.pem",
    }  # fmt: skip


def test_the_manifest_has_the_digest_of_every_other_file(folder):
    told = json.loads((folder / "manifest.json").read_bytes())["sha256"]
    there = {path.name: path for path in folder.iterdir() if path.name != "manifest.json"}
    assert told == {name: sha256(path.read_bytes()).hexdigest() for name, path in there.items()}


def test_the_release_binds_the_evidence_the_lock_the_models_and_the_schema(released):
    release = released.release
    bound = {each.name for each in release.evidence}
    assert bound == {"sbom.cdx.json", "vex.cdx.json", "vulnerabilities.json", "sbom-check.json", "sbom-diff.json"}
    assert [each.name for each in release.locks] == ["requirements.lock"]
    assert [each.name for each in release.subjects] == ["medai.whl"]
    assert len(release.models) == len(list((ROOT / "service/models").glob("*/*/model.onnx")))
    assert release.migrations_head != ""


def test_without_a_release_key_statement_and_gate_say_so(made, folder, released):
    assert released.release.invocation["signing_key"] == evidence.DEVELOPMENT
    told = json.loads((folder / "gate.json").read_bytes())
    against = [each["section"] for each in told["findings"] if each["weight"] == "stands_against"]
    assert (made[1], told["decision"]) == (1, "blocked")
    assert {"signatures", "traceability"} <= set(against)


def test_the_page_shows_the_release_by_the_name_that_records_have(folder, released):
    assert released.digest in (folder / "release.html").read_text("utf-8")


def test_the_release_is_verified_and_not_approved(folder):
    arguments = [str(folder / "release.dsse.json"), "--trusted", str(folder / evidence.DEVELOPMENT_KEY),
                 "--project", str(ROOT), "--python", sys.executable, "--evidence", str(folder)]  # fmt: skip
    assert cli_release.verify(arguments) == 3


def verified(folder, *more):
    return cli_release.verify(
        [str(folder / "release.dsse.json"), "--trusted", str(folder / evidence.DEVELOPMENT_KEY),
         "--project", str(ROOT), "--python", sys.executable, "--evidence", str(folder), *more]
    )  # fmt: skip


@pytest.mark.verifies("REQ-REL-004")
def test_a_wheel_that_was_not_given_is_said_not_to_be_compared(folder, capsys):
    verified(folder)
    assert "not compared: medai.whl" in capsys.readouterr().out


def test_the_wheel_that_was_given_is_compared(folder, capsys):
    assert verified(folder, "--wheel", str(folder.parent / "medai.whl")) == 3
    assert "not compared: medai.whl" not in capsys.readouterr().out


@pytest.mark.verifies("REQ-REL-004")
def test_a_swapped_wheel_is_another_file_than_the_releases(folder, tmp_path, capsys):
    (tmp_path / "medai.whl").write_bytes(b"another wheel")
    assert verified(folder, "--wheel", str(tmp_path / "medai.whl")) == 1
    assert "medai.whl: another file than the release's" in capsys.readouterr().out


@pytest.mark.verifies("REQ-REL-001")
def test_from_the_digest_the_thread_leads_to_the_components_and_says_what_is_not_bound(folder, released, capsys):
    assert cli_release.show([released.digest, "--releases", str(folder / "release.dsse.json")]) == 0
    out = capsys.readouterr().out
    assert "1 machine-learning-model" in out
    assert "not bound by this release: tests.json, trace.json" in out


def test_an_installed_file_that_the_lock_does_not_allow_is_not_bound(monkeypatch, folder, tmp_path):
    version = metadata.version("jinja2")
    swapped = {"jinja2": Installed(version=version, file="jinja2.whl", sha256="f" * 64)}
    monkeypatch.setattr(distributions, "reports", lambda where: swapped)
    sources = releasing.Sources(
        project=ROOT, site=collect.site_of(Path(sys.executable)), evidence=folder, wheels=(), images=(), builder="b",
        invocation={}, work_tree="may differ",
    )  # fmt: skip
    with pytest.raises(ReleaseInvalid, match=r"jinja2: the installed file's digest .* is not in requirements\.lock"):
        releasing.collect(sources)


def wheel(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}/__init__.py", content)
    return path


@pytest.fixture
def committed(monkeypatch):
    """As if the work tree were its commit: it may not be, while somebody works on it."""
    git = releasing._git
    monkeypatch.setattr(releasing, "_git", lambda where, *words: "" if words[0] == "status" else git(where, *words))


def bound(folder, path):
    sources = releasing.Sources(
        project=ROOT, site=collect.site_of(Path(sys.executable)), evidence=folder, wheels=(path,), images=(),
        builder="b", invocation={},
    )  # fmt: skip
    return releasing.collect(sources)


@pytest.mark.verifies("REQ-REL-001")
def test_a_wheel_of_the_commit_is_bound(committed, folder, tmp_path):
    made = wheel(tmp_path / "m.whl", service=(ROOT / "service/__init__.py").read_bytes())
    assert [each.name for each in bound(folder, made).subjects] == ["m.whl"]


@pytest.mark.verifies("REQ-REL-001")
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"service": b"import evil"}, "service/__init__.py is not the file of the commit"),
        ({"audit/more": b""}, "audit/more/__init__.py is not the file of the commit"),
        ({"other": b""}, "none of our packages"),
    ],
)
def test_a_wheel_that_is_not_of_the_commit_is_not_bound(committed, folder, tmp_path, files, words):
    with pytest.raises(ReleaseInvalid, match=words):
        bound(folder, wheel(tmp_path / "m.whl", **files))


def test_what_is_no_wheel_is_not_bound(committed, folder):
    with pytest.raises(ReleaseInvalid, match="is no wheel"):
        bound(folder, folder.parent / "medai.whl")


@pytest.mark.parametrize("name", ["sbom.cdx.json", "vulnerabilities.json"])
def test_evidence_that_was_changed_afterwards_is_neither_shown_nor_verified(folder, name, capsys):
    path = folder / name
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        shown = cli_page.page(["--folder", str(folder), "--project", str(ROOT), "--python", sys.executable])
        verified = cli_release.verify(
            [str(folder / "release.dsse.json"), "--trusted", str(folder / evidence.DEVELOPMENT_KEY),
             "--project", str(ROOT), "--python", sys.executable, "--evidence", str(folder)]
        )  # fmt: skip
    finally:
        path.write_bytes(before)
    assert (shown, verified) == (2, 1)
    assert f"{name}: not the file that the release binds" in capsys.readouterr().err


def test_a_feed_that_cannot_be_relied_on_is_written_down_as_not_checked(folder, tmp_path):
    document = json.loads((folder / "sbom.cdx.json").read_bytes())
    parser = argparse.ArgumentParser()
    looking.arguments(parser)
    given = parser.parse_args(["--advisories", str(tmp_path)])
    told = looking.look_up(given, document, dt.date.fromisoformat(DAY))
    assert (told.checked, "no advisory in it" in (told.why_not or "")) == (False, True)
