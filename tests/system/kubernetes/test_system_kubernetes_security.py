"""Who the pods are, whom they may speak to and what they are told in secret: one test for each control."""

import json
import re

import pytest
import yaml

from tests import pod_security
from tests.system.kubernetes.manifests import containers, one, pods, said, selects, service_container, told

pytestmark = pytest.mark.system


# ---- who it runs as


def test_every_pod_meets_the_restricted_standard(objects):
    assert {name: found for name, pod in pods(objects) if (found := pod_security.breaches(pod))} == {}


def test_the_cluster_enforces_the_restricted_standard(objects):
    labels = one(objects, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_has_a_root_that_cannot_be_written(objects):
    wrong = [name for name, each in containers(objects) if not each["securityContext"].get("readOnlyRootFilesystem")]
    assert wrong == []


def test_every_container_runs_as_the_images_user(objects):
    users = {pod["spec"]["securityContext"]["runAsUser"] for _, pod in pods(objects)}
    assert users == {10001}


def test_every_container_says_what_it_needs_and_what_it_may_take(objects):
    asked = {"cpu", "memory", "ephemeral-storage"}
    lacking = [
        name for name, each in containers(objects)
        if {*each["resources"]["requests"]} != asked or {*each["resources"]["limits"]} != asked
    ]  # fmt: skip
    assert lacking == []


def test_no_pod_is_given_a_token_of_the_cluster(objects):
    assert {pod["spec"]["automountServiceAccountToken"] for _, pod in pods(objects)} == {False}


def test_nobody_is_bound_to_a_role_of_the_cluster(objects):
    assert [each for each in objects if each["kind"].endswith("Binding")] == []


def test_every_pod_has_the_account_that_its_identity_is_federated_with(repository, objects):
    federated = (repository / "terraform" / "modules" / "identity" / "main.tf").read_text("utf-8")
    used = {pod["spec"]["serviceAccountName"] for _, pod in pods(objects)}
    assert used == set(re.findall(r"system:serviceaccount:medai-flow:([a-z-]+)", federated))


def test_the_administrators_login_is_the_migrations_alone(objects):
    told_of_it = {name.partition("/")[0] for name, each in containers(objects) if "DATABASE_ADMIN" in said(each)}
    assert told_of_it == {"medai-flow-migration"}
    assert one(objects, "Job", "medai-flow-migration")["spec"]["template"]["spec"]["serviceAccountName"] not in {
        pod["spec"]["serviceAccountName"] for name, pod in pods(objects) if name != "medai-flow-migration"
    }


def test_the_signing_key_is_the_services_alone(objects):
    with_key = {
        each["metadata"]["name"] for each in objects
        if each["kind"] == "SecretProviderClass" and "signing-key" in each["spec"]["parameters"]["objects"]
    }  # fmt: skip
    holders = {
        name for name, pod in pods(objects) for volume in pod["spec"]["volumes"]
        if volume.get("csi", {}).get("volumeAttributes", {}).get("secretProviderClass") in with_key
    }  # fmt: skip
    assert holders == {"medai-flow"}


def test_nothing_secret_becomes_an_object_of_the_cluster(objects):
    assert [each["metadata"]["name"] for each in objects if each["kind"] == "Secret"] == []


# ---- who may speak to whom


def test_nothing_is_let_in_or_out_unless_it_is_named(objects):
    spec = one(objects, "NetworkPolicy", "nothing")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_way_out_names_where_to_and_a_port(objects):
    rules = [rule for each in objects if each["kind"] == "NetworkPolicy" for rule in each["spec"].get("egress", ())]
    assert all(rule.get("to") and rule.get("ports") for rule in rules)
    assert "0.0.0.0/0" not in json.dumps(rules)


def test_the_internal_port_is_opened_to_monitoring_alone(objects):
    opened = {
        each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"
        for rule in each["spec"].get("ingress", ()) for port in rule["ports"] if port["port"] == 8081
    }  # fmt: skip
    assert opened == {"from-monitoring"}


def test_the_way_in_leads_to_the_public_port(objects):
    rule = one(objects, "HTTPRoute")["spec"]["rules"][0]
    assert (rule["backendRefs"][0]["name"], rule["backendRefs"][0]["port"]) == ("medai-flow", 443)


def test_the_other_way_in_names_no_controller(with_ingress):
    ingress = one(with_ingress, "Ingress")
    assert "annotations" not in ingress["metadata"]
    assert [each["kind"] for each in with_ingress if each["kind"] == "HTTPRoute"] == []


def test_these_are_all_the_ways_in_and_out(objects):
    named = {each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"}
    assert named == {
        "nothing", "from-gateway", "from-monitoring", "to-dns", "to-database", "to-private-endpoints", "to-entra"
    }  # fmt: skip


def test_the_migration_reaches_the_database_and_what_its_identity_is_from_and_nothing_besides(objects):
    labels = one(objects, "Job", "medai-flow-migration")["spec"]["template"]["metadata"]["labels"]
    policies = [each for each in objects if each["kind"] == "NetworkPolicy" and each["spec"].get("egress")]
    reached = {each["metadata"]["name"] for each in policies if selects(each["spec"]["podSelector"], labels)}
    assert reached == {"to-dns", "to-database", "to-entra"}


def test_whoever_connects_to_the_database_reaches_what_its_identity_is_from(objects):
    selector = one(objects, "NetworkPolicy", "to-entra")["spec"]["podSelector"]
    connecting = [name.partition("/")[0] for name, each in containers(objects) if "MEDAI_DATABASE_URL" in said(each)]
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    assert len(connecting) == 4
    assert [name for name in connecting if not selects(selector, labels[name])] == []


# ---- closed to listeners


def test_the_way_to_the_pod_is_tls(objects):
    (port,) = one(objects, "Service")["spec"]["ports"]
    assert (port["port"], port["appProtocol"], port["targetPort"]) == (443, "https", "public")
    assert told(service_container(objects))["MEDAI_TLS_CERTIFICATE_FILE"] == "/run/medai/tls.pem"


def test_the_gateway_verifies_the_pods_that_it_speaks_to(objects):
    spec = one(objects, "BackendTLSPolicy")["spec"]
    (target,) = spec["targetRefs"]
    assert (target["kind"], target["name"], target["sectionName"]) == ("Service", "medai-flow", "public")
    assert spec["validation"]["hostname"] == "medai-flow.medai-flow.svc.cluster.local"
    (authority,) = spec["validation"]["caCertificateRefs"]
    assert "ca.crt" in one(objects, "ConfigMap", authority["name"])["data"]


# ---- secrets


def brought(objects, name):
    """The files that a SecretProviderClass puts into the volume."""
    listed = yaml.safe_load(one(objects, "SecretProviderClass", name)["spec"]["parameters"]["objects"])["array"]
    return {yaml.safe_load(each)["objectAlias"] for each in listed}


def test_every_secret_that_a_setting_names_is_brought(objects):
    given = told(service_container(objects))
    named = {value for name, value in given.items() if name.endswith("_FILE") and value.startswith("/run/medai/")}
    assert {path.removeprefix("/run/medai/") for path in named} <= brought(objects, "medai-flow-service")


def test_the_service_begins_once_every_secret_is_there(objects):
    (beside,) = one(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    awaited = re.findall(r"/run/medai/([\w.]+)", beside["startupProbe"]["exec"]["command"][-1])
    assert {*awaited} == brought(objects, "medai-flow-service") - {"signing.key.next"}  # only a rotation needs it


def test_the_vault_is_opened_by_the_pods_own_identity(objects):
    accounts = {
        each["metadata"]["name"]: each["metadata"]["annotations"]["azure.workload.identity/client-id"]
        for each in objects if each["kind"] == "ServiceAccount"
    }  # fmt: skip
    assert {*accounts} == {"medai-flow", "medai-flow-migration"}
    assert {pod["metadata"]["labels"]["azure.workload.identity/use"] for _, pod in pods(objects)} == {"true"}


def test_whoever_speaks_to_azure_is_the_pods_own_identity_and_nothing_else(objects):
    speakers = [
        each for _, each in containers(objects) if {"MEDAI_ANCHOR_BLOB_URL", "MEDAI_ENTRA_DATABASE"} & {*said(each)}
    ]
    assert len(speakers) == 4
    assert {told(each)["AZURE_TOKEN_CREDENTIALS"] for each in speakers} == {"WorkloadIdentityCredential"}


def test_secrets_are_kept_in_memory_and_nowhere_else(objects):
    kept = [volume for _, pod in pods(objects) for volume in pod["spec"]["volumes"] if volume["name"] == "secrets"]
    assert {volume["emptyDir"]["medium"] for volume in kept} == {"Memory"}


def test_only_what_brings_secrets_can_write_them(objects):
    writers = {
        name.rpartition("/")[2] for name, each in containers(objects) for mount in each.get("volumeMounts", ())
        if mount["name"] == "secrets" and not mount.get("readOnly")
    }  # fmt: skip
    assert writers == {"secrets"}


def test_everything_that_a_pod_names_is_there(objects):
    """A name with a hash in it that nobody put there would keep every pod from starting."""
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    asked = set()
    for _, pod in pods(objects):
        asked.add(("ServiceAccount", pod["spec"]["serviceAccountName"]))
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                asked.add(("ConfigMap", volume["configMap"]["name"]))
            if "csi" in volume:
                asked.add(("SecretProviderClass", volume["csi"]["volumeAttributes"]["secretProviderClass"]))
    for _, each in containers(objects):
        for variable in each.get("env", ()):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["configMapKeyRef"]
                asked.add(("ConfigMap", reference["name"]))
                assert reference["key"] in one(objects, "ConfigMap", reference["name"])["data"], reference["key"]
    assert asked - there == set()
