"""schemathesis, with a fixed seed, against the description that the running server gives of itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

EXAMPLES = 50
SEED = 2
LIMIT_S = 240.0

# A schema cannot say that bytes are an image, so a body that matches it may still be none, or not the one that its
# media type promises (415, 422), and a model's name may be nobody's (422). Everything else is held to every check.
CONFIGURATION = """
[[operations]]
include-name = "POST /infer"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 415, 422, 429]
"""


@pytest.fixture(scope="module")
def tried(server, tmp_path_factory):
    """What schemathesis said, and where it ran."""
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "schemathesis.toml").write_text(CONFIGURATION, "utf-8")
    options = {
        "--checks": "all",
        "--phases": "examples,coverage,fuzzing,stateful",
        "--max-examples": EXAMPLES,
        "--seed": SEED,
        "--workers": 1,
        "--header": f"Authorization: Bearer {server.token()}",
    }
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", folder / "schemathesis.toml", "run"]
    return subprocess.run(
        [*command, *(str(word) for pair in options.items() for word in pair), f"{server.url}/openapi.json"],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_schemathesis_finds_nothing_against_the_openapi_document(tried):
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_schemathesis_tried_every_operation_that_is_described(tried, server):
    with server.client() as caller:
        described = sum(len(operations) for operations in caller.get("/openapi.json").json()["paths"].values())
    assert described > 0
    assert f"Tested: {described}\n" in tried.stdout, tried.stdout


def test_the_service_is_as_ready_as_before(tried, server):
    assert {server.internal("/readyz").status for _ in range(8)} == {200}
