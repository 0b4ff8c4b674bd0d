"""Terraform's own tests of what it describes, with the provider's schema and no registry."""

import re
import subprocess

import pytest

from tests.system.tf_offline import copied, terraform

pytestmark = pytest.mark.system

REMOVED = {
    "azurerm_storage_container": ("storage_account_name", "resource_manager_id"),
    "azurerm_monitor_diagnostic_setting": ("metric {", "retention_policy"),
    "azurerm_key_vault": ("enable_rbac_authorization", "contact {"),
    "azurerm_log_analytics_workspace": ("local_authentication_disabled",),
    "azurerm_storage_account": ("queue_properties", "static_website", "managed_hsm_key_id"),
    "azurerm_kubernetes_cluster": ("transparent_huge_page_enabled", "container_log_max_line"),
    "azurerm_kubernetes_cluster_node_pool": ("transparent_huge_page_enabled", "container_log_max_line"),
}
"""What version 5 of the provider takes away from kinds that are used here, by its own upgrade guide. The new names of a
federated identity's parent_id and of node provisioning are not in 4.55 yet: README.md says what to do."""


@pytest.fixture(scope="module")
def configuration(repository, tmp_path_factory):
    return copied(repository, tmp_path_factory)


def test_terraform_accepts_every_argument_and_type(repository, configuration):
    done = terraform(repository, configuration, "validate", "-no-color")
    assert (done.returncode, "The configuration is valid" in done.stdout) == (0, True), done.stdout + done.stderr


def test_every_control_and_every_refusal_of_the_infrastructure_holds(repository, configuration):
    done = terraform(repository, configuration, "test", "-no-color")
    assert (done.returncode, ", 0 failed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_terraform_files_are_in_their_usual_layout(configuration):
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", str(configuration)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_variable_has_a_value_that_the_tests_refuse(configuration):
    declared = {
        line.split('"')[1]
        for line in (configuration / "variables.tf").read_text("utf-8").splitlines()
        if line.startswith("variable ")
    }
    refused = (configuration / "tests" / "variables.tftest.hcl").read_text("utf-8")
    free = {"lock_checkpoint_retention", "i_understand_that_locking_is_forever"}  # both are in controls.tftest.hcl
    assert {name for name in declared - free if f"expect_failures = [var.{name}]" not in refused} == set()


def blocks(configuration):
    """Each resource's kind and text."""
    for path in sorted(configuration.rglob("*.tf")):
        yield from re.findall(r'(?ms)^resource "(\w+)" "\w+" \{\n(.*?)^\}', path.read_text("utf-8"))


def test_nothing_is_used_that_the_next_version_takes_away(configuration):
    used = [
        (kind, name) for kind, text in blocks(configuration) for name in REMOVED.get(kind, ())
        if re.search(rf"(?m)^\s+{re.escape(name)}", text)
    ]  # fmt: skip
    assert used == []


def test_the_provider_is_pinned_to_one_minor_version(configuration):
    assert 'version = "~> 4.55.0"' in (configuration / "versions.tf").read_text("utf-8")


def test_every_variable_and_output_says_what_it_is(configuration):
    undescribed = [
        (path.name, name) for path in configuration.rglob("*.tf")
        for name, text in re.findall(r'(?ms)^(?:variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text("utf-8"))
        if "description" not in text
    ]  # fmt: skip
    assert undescribed == []


def test_every_output_of_the_whole_is_in_the_manual(configuration):
    outputs = re.findall(r'(?m)^output "(\w+)"', (configuration / "outputs.tf").read_text("utf-8"))
    manual = (configuration / "README.md").read_text("utf-8")
    assert [name for name in outputs if f"`{name}`" not in manual] == []


def test_every_assertion_of_terraform_says_what_it_holds(configuration):
    text = (configuration / "tests" / "controls.tftest.hcl").read_text("utf-8")
    assert text.count("  assert {") == text.count("    error_message = ") >= 70
