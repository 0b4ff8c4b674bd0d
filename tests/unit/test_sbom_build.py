"""The document of this project: everything that is installed is in it, with its edges, and nothing of the place."""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

from sbom import bom, collect, distributions, lockfile, schema
from sbom.collect import Places
from sbom.errors import DocumentInvalid
from sbom.found import Installed

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)


def built(**places):
    product, parts = collect.gather(Places(project=ROOT, python=PYTHON, **places))
    return bom.encode(bom.assemble(product, parts))


@pytest.fixture(scope="module")
def shipped():
    return built()


@pytest.fixture(scope="module")
def whole():
    return json.loads(built(extent="installed"))


@pytest.fixture(scope="module")
def document(shipped):
    return json.loads(shipped)


def pypi(document):
    return {each["name"]: each for each in document["components"] if each.get("purl", "").startswith("pkg:pypi/")}


def edges(document):
    names = {each["bom-ref"]: each["name"] for each in pypi(document).values()}
    return {
        (names[each["ref"]], names[needed])
        for each in document["dependencies"]
        if each["ref"] in names
        for needed in each.get("dependsOn", ())
        if needed in names
    }


def installed_here():
    """Name to version of every distribution of this environment but our own, by the standard library alone."""
    site = str(collect.site_of(PYTHON))
    found = {lockfile.normalise(each.metadata["Name"]): each.version for each in metadata.distributions(path=[site])}
    return {name: version for name, version in found.items() if name != "medai-flow"}


def test_every_installed_distribution_is_in_the_document_at_its_version(whole):
    assert {name: each["version"] for name, each in pypi(whole).items()} == installed_here()


def test_every_requirement_that_holds_here_without_an_extra_is_an_edge(whole):
    there = installed_here()
    wanted = set()
    for name in there:
        for text in metadata.distribution(name).requires or ():
            requirement = Requirement(text)
            holds = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            needed = lockfile.normalise(requirement.name)
            if holds and needed in there and needed != name:
                wanted.add((name, needed))
    assert wanted - edges(whole) == set()


def test_no_edge_is_there_that_no_metadata_asks_for(whole):
    asked = {
        (name, lockfile.normalise(Requirement(text).name))
        for name in installed_here()
        for text in metadata.distribution(name).requires or ()
    }
    assert edges(whole) - asked == set()


def test_what_ships_is_what_the_images_lock_pins(document):
    pins = lockfile.parse((ROOT / "requirements.lock").read_text("utf-8"))
    here = installed_here()
    assert set(pypi(document)) == {pin.name for pin in pins if pin.name in here}


def test_what_only_tests_is_marked_as_excluded(whole):
    assert pypi(whole)["pytest"]["scope"] == "excluded"


@pytest.mark.verifies("REQ-SBM-001")
def test_two_builds_are_equal_to_the_byte(shipped):
    assert built() == shipped


@pytest.mark.verifies("REQ-SBM-001")
def test_another_home_and_another_folder_give_the_same_bytes(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    copy = tmp_path / "elsewhere"
    subprocess.run(["git", "clone", "-q", "--no-local", str(ROOT), str(copy)], check=True)
    for name in ("pyproject.toml", *collect.LOCKS, "audit", "migrations", "sbom", "service", "traceability"):
        source, target = ROOT / name, copy / name
        if source.is_dir():
            shutil.rmtree(target)
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    product, parts = collect.gather(Places(project=copy, python=PYTHON))
    assert bom.encode(bom.assemble(product, parts)) == shipped


def test_no_address_of_a_package_index_is_in_it(shipped, whole):
    found = [each["url"] for component in whole["components"] for each in component.get("externalReferences", ())]
    assert [url for url in found if urlsplit(url).netloc.startswith(("pypi.", "test.pypi.", "files."))] == []
    assert [word for word in (b"pythonhosted", b"/simple/", b"index-url") if word in shipped] == []


def test_no_path_of_this_machine_is_in_it(shipped):
    assert str(ROOT).encode() not in shipped
    assert str(PYTHON.parent).encode() not in shipped


@pytest.mark.verifies("REQ-SBM-001")
def test_it_is_valid_in_the_strict_schema_of_each_version_that_is_written():
    product, parts = collect.gather(Places(project=ROOT, python=PYTHON))
    for version in ("1.6", "1.7"):
        made = bom.encode(bom.assemble(product, parts, spec_version=version))
        assert schema.require_valid(made, strict=True)["specVersion"] == version


def test_each_model_has_its_digests_and_its_card(document):
    models = [each for each in document["components"] if each["type"] == "machine-learning-model"]
    cards = list((ROOT / "service/models").glob("*/*/card.toml"))
    assert len(models) == len(cards)
    for model in models:
        assert {each["alg"] for each in model["hashes"]} == {"SHA-256", "SHA-512"}
        assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] != []


def test_native_libraries_inside_wheels_say_in_which(document):
    bundled = {
        each["value"]
        for component in document["components"]
        for each in component.get("properties", ())
        if each["name"] == "medai:bundled-in"
    }
    assert "numpy" in {ref.removeprefix("pkg:pypi/").split("@")[0] for ref in bundled}


def test_what_is_not_known_is_said(document):
    told = [each["value"] for each in document["metadata"]["properties"]]
    assert "the base image was not named" in told
    assert {each["aggregate"] for each in document["compositions"]} == {"incomplete", "complete", "unknown"}


def test_a_component_that_depends_on_another_is_stated_to_be_complete(document):
    complete = {ref for each in document["compositions"] if each["aggregate"] == "complete"
                for ref in each["dependencies"]}  # fmt: skip
    assert {each["bom-ref"] for each in pypi(document).values()} <= complete


def report(folder, name, version, sha256):
    folder.mkdir(exist_ok=True)
    told = {"install": [{"metadata": {"name": name, "version": version},
                         "download_info": {"url": f"https://index.example/{name}-{version}-py3-none-any.whl#x",
                                           "archive_info": {"hashes": {"sha256": sha256}}}}]}  # fmt: skip
    (folder / f"{len(list(folder.iterdir())):03d}-lock.json").write_text(json.dumps(told), "utf-8")


@pytest.mark.verifies("REQ-SBM-001")
def test_a_report_names_the_installed_file_by_digest_and_name_alone(tmp_path):
    report(tmp_path / "r", "Some.Thing", "1.0", "a" * 64)
    found = distributions.reports(tmp_path / "r")["some-thing"]
    assert (found.file, found.sha256, found.sha512) == ("Some.Thing-1.0-py3-none-any.whl", "a" * 64, None)


@pytest.mark.verifies("REQ-SBM-001")
def test_a_later_report_counts(tmp_path):
    report(tmp_path / "r", "thing", "1.0", "a" * 64)
    report(tmp_path / "r", "thing", "1.1", "b" * 64)
    assert distributions.reports(tmp_path / "r")["thing"].version == "1.1"


@pytest.mark.verifies("REQ-SBM-001")
def test_the_longer_digest_is_taken_where_it_was_kept(tmp_path):
    report(tmp_path / "r", "thing", "1.0", "a" * 64)
    (tmp_path / "r" / "000-lock.sha512").write_text(json.dumps({"a" * 64: "b" * 128}), "utf-8")
    assert distributions.reports(tmp_path / "r")["thing"].sha512 == "b" * 128


@pytest.mark.verifies("REQ-SBM-001")
def test_a_report_that_is_none_is_refused(tmp_path):
    (tmp_path / "000.json").write_text('{"install": [{}]}', "utf-8")
    with pytest.raises(DocumentInvalid, match=r"000\.json"):
        distributions.reports(tmp_path)


@pytest.mark.verifies("REQ-SBM-001")
def test_a_swapped_wheel_stops_the_build_since_its_digest_is_not_in_the_lock(monkeypatch):
    version = metadata.version("jinja2")
    swapped = Installed(version=version, file="jinja2.whl", sha256="f" * 64)
    monkeypatch.setattr(distributions, "reports", lambda folder: {"jinja2": swapped})
    with pytest.raises(DocumentInvalid, match=r"jinja2 .* is not in the lock"):
        built()
