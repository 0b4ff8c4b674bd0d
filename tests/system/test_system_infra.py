"""Other people's checks of what is ours to describe: manifests, infrastructure, image, the pipeline's scripts."""

import json
import re
import subprocess

import pytest
import yaml

from tests.system import infra_tools
from tests.system.kubernetes.manifests import ENVIRONMENTS, kustomize
from tests.system.tf_offline import copied, terraform

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # the tools are installed in the first one's time

GIVEN = """
subscription_id        = "00000000-0000-0000-0000-000000000001"
tenant_id              = "00000000-0000-0000-0000-000000000002"
location               = "germanywestcentral"
environment            = "production"
admin_group_object_ids = ["00000000-0000-0000-0000-000000000003"]
database_admin         = { object_id = "00000000-0000-0000-0000-000000000004", name = "dba", type = "Group" }
alert_email            = "operators@example.org"
monthly_budget         = 5000
budget_start           = "2027-01-01T00:00:00Z"
pipeline_repository    = { owner = "hospital", owner_id = 123456, name = "medai-flow", id = 456789 }
"""


@pytest.fixture(scope="module")
def tools(repository):
    return infra_tools.found_or_skipped(repository)


@pytest.fixture(scope="module")
def plan(repository, tmp_path_factory):
    """What terraform would make, as JSON."""
    folder = copied(repository, tmp_path_factory)
    versions = folder / "versions.tf"  # a plan asks where its state is; here it has none
    versions.write_text(re.sub(r'(?s)  backend "azurerm" \{.*?\n  \}\n', "", versions.read_text("utf-8")), "utf-8")
    (folder / "given.auto.tfvars").write_text(GIVEN, "utf-8")
    made = terraform(repository, folder, "plan", "-no-color", "-input=false", "-refresh=false", "-out=made.plan")
    assert made.returncode == 0, made.stdout + made.stderr
    shown = terraform(repository, folder, "show", "-json", "made.plan")
    assert shown.returncode == 0, shown.stderr
    path = folder / "plan.json"
    path.write_text(shown.stdout, "utf-8")
    return path


def skipped(path):
    return set(yaml.safe_load(path.read_text("utf-8"))["skip-check"])


def test_checkov_finds_nothing_in_the_manifests(tools, repository, tmp_path):
    folder = tmp_path / "manifests"
    folder.mkdir()
    for environment in ENVIRONMENTS:
        made = yaml.safe_dump_all(kustomize(repository / "deploy" / "overlays" / environment))
        (folder / f"{environment}.yaml").write_text(made, "utf-8")
    failed, looked = infra_tools.findings(tools, "--directory", folder, "--framework", "kubernetes")
    assert (failed, looked > 500) == (set(), True)


def test_checkov_finds_in_the_image_what_its_reasons_say_and_nothing_else(tools, repository):
    failed, looked = infra_tools.findings(tools, "--file", repository / "Dockerfile", "--framework", "dockerfile")
    assert (failed, looked > 50) == (skipped(repository / "deploy" / "checkov.yaml"), True)


@pytest.fixture(scope="module")
def of_files(tools, repository):
    """What checkov finds wrong in terraform's own files."""
    failed, looked = infra_tools.findings(tools, "--directory", repository / "terraform", "--framework", "terraform")
    assert looked > 50
    return failed


def test_checkov_finds_nothing_in_the_infrastructure_that_has_no_reason(repository, of_files):
    assert of_files - skipped(repository / "terraform" / "checkov.yaml") == set()


def test_checkov_finds_in_a_plan_what_the_reasons_say_and_nothing_else(tools, repository, plan, of_files):
    of_plan, looked = infra_tools.findings(tools, "--file", plan, "--framework", "terraform_plan")
    assert (of_files | of_plan, looked > 50) == (skipped(repository / "terraform" / "checkov.yaml"), True)


@pytest.mark.parametrize("folder", ["deploy", "terraform"])
def test_each_check_that_is_not_heeded_has_its_reason_on_its_line(repository, folder):
    lines = (repository / folder / "checkov.yaml").read_text("utf-8").splitlines()
    listed = [line for line in lines if line.startswith("  - ")]
    assert [line for line in listed if not re.fullmatch(r"  - CKV2?_[A-Z]+_\d+ # \S.{20,}", line)] == []


def test_the_plan_is_of_everything_and_destroys_nothing(plan):
    changes = json.loads(plan.read_text("utf-8"))["resource_changes"]
    assert {tuple(each["change"]["actions"]) for each in changes} == {("create",)}
    assert len(changes) > 60


def test_hadolint_finds_nothing_in_the_image(tools, repository):
    done = subprocess.run(
        [tools / "hadolint", repository / "Dockerfile"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def scripts(repository):
    """Every script of the workflows, by workflow and step."""
    for path in sorted((repository / ".github" / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items():
            for number, step in enumerate(job.get("steps", ())):
                if "run" in step:
                    yield f"{path.stem}/{name}/{number}", step["run"]


def test_shellcheck_finds_nothing_in_the_pipelines_scripts(tools, repository, tmp_path):
    found = {}
    for name, script in scripts(repository):
        path = tmp_path / f"{name.replace('/', '-')}.sh"
        path.write_text(f"set -eo pipefail\n{script}", "utf-8")  # as GitHub's runner starts bash
        done = subprocess.run(
            [tools / "shellcheck", "--shell=bash", path], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            found[name] = done.stdout
    assert found == {}
