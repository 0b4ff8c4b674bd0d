"""The release that a process runs under: a trusted signature always, and in production nothing that differs."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sbom import dsse, installed, statement
from sbom.statement import Release, Resource
from service import released
from service.adapters import release as releases
from service.errors import ReleaseRejected, SettingInvalid
from service.settings import Settings

KEY, STRANGER = Ed25519PrivateKey.from_private_bytes(b"k" * 32), Ed25519PrivateKey.from_private_bytes(b"s" * 32)
MODELS = {"m@1": "a" * 64}
RELEASE = Release(
    version="1.0",
    commit="c" * 40,
    source="git+local",
    migrations_head="0002",
    subjects=(Resource(name="image", digest={"sha256": "b" * 64}),),
    packages=(
        Resource(uri="pkg:pypi/thing@1.0", digest={"sha256": "d" * 64}, annotations={"installed": "i"}),
        Resource(uri="urn:medai-flow:package:service", digest={"medaiTree": "t"}),
    ),
    models=(Resource(name="m@1", digest={"sha256": "a" * 64}),),
    locks=(Resource(name="requirements.lock", digest={"sha256": "e" * 64}),),
    evidence=(),
    builder="b",
    invocation={},
)
PAYLOAD = statement.encode(RELEASE)
DIGEST = statement.digest(PAYLOAD)


class NoModels:
    """A store without a model."""

    def all(self):
        return ()


NO_MODELS: Any = NoModels()


@pytest.fixture
def here(monkeypatch):
    """What is installed; tests change it."""
    found = {
        "distributions": {"thing": ("1.0", "i"), "medai-flow": ("0", "x")},
        "own": {"service": "t"},
        "altered": [],
        "shadowed": [],
    }
    monkeypatch.setattr(installed, "distributions", lambda: found["distributions"])
    monkeypatch.setattr(installed, "own", lambda root: found["own"])
    monkeypatch.setattr(installed, "altered", lambda: found["altered"])
    monkeypatch.setattr(installed, "shadowed", lambda: found["shadowed"])
    return found


@pytest.fixture
def load(tmp_path, here):
    def load(*, key=KEY, environment="production", page=None, models=MODELS):
        (tmp_path / "release").write_bytes(dsse.sign(PAYLOAD, dsse.IN_TOTO, [key]))
        public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "keys").write_bytes(public)
        if page is not None:
            (tmp_path / "page").write_bytes(page)
        return releases.load(
            tmp_path / "release",
            tmp_path / "keys",
            tmp_path / "page" if page is not None else None,
            models,
            environment=environment,
        )

    return load


@pytest.mark.verifies("REQ-REL-005")
def test_in_production_what_is_the_release_runs_under_its_digest(load):
    active = load()
    assert (active.digest, active.differences) == (DIGEST, ())


@pytest.mark.verifies("REQ-REL-005")
@pytest.mark.parametrize(
    ("what", "there", "words"),
    [
        ("distributions", {}, "thing 1.0 is of the release and not installed"),
        ("distributions", {"thing": ("1.0", "other")}, "thing 1.0 has other files"),
        ("own", {"service": "u"}, "our package service"),
        ("shadowed", ["thing: thing is imported from elsewhere"], "imported from elsewhere"),
        ("altered", ["thing: x.py is not the file that was installed"], "not the file that was installed"),
    ],
)
def test_in_production_what_differs_from_it_does_not_run(load, here, what, there, words):
    here[what] = there
    with pytest.raises(ReleaseRejected, match=words):
        load()


@pytest.mark.verifies("REQ-REL-005")
def test_in_production_another_model_does_not_run(load):
    with pytest.raises(ReleaseRejected, match="m@1 has other weights"):
        load(models={"m@1": "0" * 64})


@pytest.mark.verifies("REQ-REL-005")
def test_in_development_what_differs_is_counted(load, here):
    here["own"] = {"service": "u"}
    assert len(load(environment="development").differences) == 1


@pytest.mark.verifies("REQ-REL-005")
@pytest.mark.parametrize("environment", ["production", "development"])
def test_a_release_that_a_stranger_signed_is_refused_everywhere(load, environment):
    with pytest.raises(ReleaseRejected, match="no trusted key"):
        load(key=STRANGER, environment=environment)


@pytest.mark.verifies("REQ-REL-005")
def test_a_page_of_another_release_is_refused(load):
    with pytest.raises(ReleaseRejected, match="the page is not of the release"):
        load(page=b"<p>another</p>")


@pytest.mark.verifies("REQ-REL-005")
def test_its_own_page_is_kept_to_be_served(load):
    assert load(page=f"<p>{DIGEST}</p>".encode()).page == f"<p>{DIGEST}</p>".encode()


@pytest.mark.verifies("REQ-REL-005")
def test_a_release_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReleaseRejected):
        releases.load(tmp_path / "a", tmp_path / "b", None, {}, environment="development")


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        (Settings(environment="production"), "MEDAI_RELEASE_FILE"),
        (Settings(release_file="release"), "MEDAI_RELEASE_KEYS_FILE"),
    ],
)
def test_a_setting_without_the_one_that_it_needs_is_refused(settings, variable):
    with pytest.raises(SettingInvalid, match=variable):
        released.of(settings, NO_MODELS)


def test_without_a_release_in_development_there_is_none():
    assert released.of(Settings(), NO_MODELS) is None
