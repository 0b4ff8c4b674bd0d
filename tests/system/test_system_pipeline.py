"""The pipeline, as far as a machine without GitHub can tell: its form, pins, rights, and its own scripts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.system

NAMES = ("checks", "deploy", "rollout")
CLOUD = {"push", "staging", "production", "rollout"}
"""The jobs that may ask for a token of the cloud."""


@pytest.fixture(scope="module")
def folder(repository):
    return repository / ".github" / "workflows"


@pytest.fixture(scope="module")
def workflows(folder):
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(folder.glob("*.yml"))}


def jobs(workflows):
    return [(name, job) for workflow in workflows.values() for name, job in workflow["jobs"].items()]


def steps(workflows):
    return [(name, step) for name, job in jobs(workflows) for step in job.get("steps", ())]


def tool(name, *words):
    return subprocess.run([sys.executable, "-m", name, *words], capture_output=True, text=True, timeout=120)


def test_these_are_the_workflows(workflows):
    assert tuple(workflows) == NAMES


def test_workflows_have_the_form_that_github_takes(folder):
    files = [str(folder / f"{name}.yml") for name in NAMES]
    done = tool("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    assert done.returncode == 0, done.stdout


def test_each_variable_that_an_environment_has_to_set_is_named_and_explained(repository, folder):
    used = {name for path in folder.glob("*.yml") for name in re.findall(r"vars\.(\w+)", path.read_text("utf-8"))}
    listed = yaml.safe_load((repository / ".github" / "actionlint.yaml").read_text("utf-8"))["config-variables"]
    manual = (repository / "deploy" / "README.md").read_text("utf-8")
    assert ({*listed}, {name for name in used if f"`{name}`" in manual}) == (used, used)


def test_each_secret_is_explained(repository, folder):
    used = {name for path in folder.glob("*.yml") for name in re.findall(r"secrets\.(\w+)", path.read_text("utf-8"))}
    manual = (repository / "deploy" / "README.md").read_text("utf-8")
    assert {name for name in used if f"`{name}`" not in manual} == set()


def test_zizmor_finds_nothing_in_the_workflows(folder):
    beside = Path(sys.executable).with_name("zizmor")  # a program, not a module
    done = subprocess.run(
        [beside, "--offline", "--no-progress", str(folder)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, "No findings to report" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_workflow_grants_nothing_and_each_job_names_what_it_needs(workflows):
    assert [workflow["permissions"] for workflow in workflows.values()] == [{}, {}, {}]
    assert [name for name, job in jobs(workflows) if "permissions" not in job] == []


def test_only_jobs_that_speak_to_the_cloud_may_have_its_token(workflows):
    assert {name for name, job in jobs(workflows) if "id-token" in job["permissions"]} == CLOUD


def test_nothing_may_write_to_the_repository(workflows):
    granted = {(key, value) for _, job in jobs(workflows) for key, value in job["permissions"].items()}
    assert granted == {("contents", "read"), ("id-token", "write")}


def test_the_scanner_holds_no_token_and_sees_no_secret(workflows):
    job = workflows["checks"]["jobs"]["scan"]
    assert (job["permissions"], "secrets." in json.dumps(job)) == ({}, False)
    assert [step for step in job["steps"] if "checkout" in step.get("uses", "")] == []


def test_no_secret_is_known_where_a_change_is_checked(folder):
    assert "secrets." not in (folder / "checks.yml").read_text("utf-8")


def test_every_action_is_pinned_to_a_commit_with_its_tag_beside_it(folder):
    lines = [
        line for name in NAMES for line in (folder / f"{name}.yml").read_text("utf-8").splitlines() if "uses:" in line
    ]
    pinned = re.compile(r"\s+(- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
    ours = re.compile(r"\s+uses: \S+/\.github/workflows/(checks|rollout)\.yml$")
    assert [line for line in lines if not pinned.match(line) and not ours.match(line)] == []


def test_one_action_has_one_pin(folder):
    text = "".join((folder / f"{name}.yml").read_text("utf-8") for name in NAMES)
    found = set(re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40}) # (v[\d.]+)", text))
    assert len(found) == len({action for action, _, _ in found})


def test_a_checkout_leaves_no_token_behind(workflows):
    checkouts = [step for _, step in steps(workflows) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step for step in checkouts if step["with"].get("persist-credentials") is not False] == []


def test_nothing_from_outside_is_written_into_a_script(workflows):
    assert [name for name, step in steps(workflows) if "${{" in step.get("run", "")] == []


def test_main_alone_is_deployed(workflows):
    assert workflows["deploy"][True] == {"push": {"branches": ["main"]}}  # YAML 1.1 reads `on` as true


def test_feature_branches_and_proposals_end_at_the_image(workflows):
    events = workflows["checks"][True]
    assert (events["push"], "pull_request" in events) == ({"branches": ["feature/**"]}, True)
    assert {*workflows["checks"]["jobs"]} == {"lint", "tests", "infrastructure", "image", "scan"}


def test_an_image_is_built_of_what_passed_everything_else(workflows):
    needed = {name: job.get("needs") for name, job in workflows["checks"]["jobs"].items()}
    assert (needed["image"], needed["scan"]) == (["lint", "tests", "infrastructure"], "image")


def test_production_comes_after_staging_and_staging_after_the_scan(workflows):
    order = workflows["deploy"]["jobs"]
    assert [order[name]["needs"] for name in ("release", "push", "staging", "production")] == [
        "checks", ["checks", "release"], ["checks", "push"], ["checks", "staging"]
    ]  # fmt: skip


def test_every_job_with_a_token_of_the_cloud_has_an_environment_for_its_subject(workflows):
    own = [job for name, job in jobs(workflows) if "id-token" in job["permissions"] and "steps" in job]
    assert [job for job in own if "environment" not in job] == []


def test_a_release_is_verified_before_the_cloud_is_entered(workflows):
    runs = [step.get("uses", step.get("run", "")) for step in workflows["rollout"]["jobs"]["rollout"]["steps"]]
    verified = next(at for at, run in enumerate(runs) if "medai release verify" in run)
    assert verified < next(at for at, run in enumerate(runs) if run.startswith("azure/login@"))


def test_production_needs_approvals_of_people(workflows):
    assert workflows["deploy"]["jobs"]["production"]["with"]["approvals"] == 2


def test_the_migration_ends_before_the_service_is_touched(workflows):
    (run,) = [step["run"] for name, step in steps(workflows) if step.get("id") == "rollout"]
    order = [run.index(word) for word in ("stage=foundation", "stage=migration", "condition=complete", "stage=service")]
    assert order == sorted(order)


def test_what_does_not_end_well_is_rolled_back(workflows):
    (step,) = [step for _, step in steps(workflows) if "rollout undo" in step.get("run", "")]
    assert step["if"].startswith("(failure() || cancelled())")


def test_evidence_is_kept_also_of_what_failed(workflows):
    kept = [step for _, step in steps(workflows) if "evidence" in (step.get("with") or {}).get("name", "")]
    assert {step.get("if") for step in kept if step["uses"].startswith("actions/upload")} == {"always()"}


def smoke(repository, server, tmp_path, token, key):
    return subprocess.run(
        [sys.executable, repository / "deploy" / "smoke.py", server.url, "--key", key, "--keep", tmp_path / "kept"],
        env={**os.environ, "SMOKE_TOKEN": token}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_smoke_test_asks_a_real_service_and_verifies_the_receipt(repository, server, tmp_path):
    key = server.medai("audit", "key").stdout.strip()
    done = smoke(repository, server, tmp_path, server.token("infer"), key)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept" / "answer.json").is_file()


def test_the_smoke_test_fails_on_a_receipt_of_another_key(repository, server, tmp_path):
    stranger = (repository / "tests" / "vectors" / "audit" / "log.vkey").read_text("utf-8").strip()
    assert smoke(repository, server, tmp_path, server.token("infer"), stranger).returncode == 1


def test_the_smoke_test_fails_where_there_is_no_finding(repository, server, tmp_path):
    done = smoke(repository, server, tmp_path, "no token of anybody's", "unused")
    assert (done.returncode, "401" in done.stderr) == (1, True)
