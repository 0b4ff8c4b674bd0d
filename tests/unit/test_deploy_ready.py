"""What the repository holds is refused by the last look before manifests are applied."""

import runpy

import pytest

pytestmark = pytest.mark.verifies("REQ-DEP-017")


@pytest.fixture(scope="module")
def nowhere(repository):
    return runpy.run_path(str(repository / "deploy" / "ready.py"))["nowhere"]


GOOD = f"image: registry.example/medai-flow@sha256:{'ab' * 32}\n        cidr: 10.60.16.0/24\n"


def test_manifests_whose_every_word_leads_somewhere_are_ready(nowhere):
    assert nowhere(GOOD) == []


@pytest.mark.parametrize(
    "line",
    [
        f"image: registry.example/medai-flow@sha256:{'0' * 64}",
        "image: registry.example/medai-flow:latest",
        "        - image: registry.example/medai-flow",
        "clientID: 00000000-0000-0000-0000-000000000000",
        "host: medai.invalid",
        "cidr: 192.0.2.0/24",
        "  ca.pem: |\n    invalid: the certificates",
        "ingressClassName: platform",
    ],
)
def test_a_word_that_leads_nowhere_is_named(nowhere, line):
    assert len(nowhere(f"{GOOD}{line}\n")) == 1


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_no_environment_of_the_repository_is_ready(repository, nowhere, environment):
    told = (repository / "deploy" / "overlays" / environment / "platform.env").read_text("utf-8")
    assert nowhere(told) != []
