"""The manifests as `kubectl kustomize` writes them: known kinds, the restricted standard, each piece's promise."""

import json
import re
import shutil
import subprocess
from itertools import pairwise

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from audit import settings as ledger_settings
from service import settings as service_settings
from tests import pod_security

ENVIRONMENTS = ("dev", "staging", "production")
VERSION = "1.33"
"""Of Kubernetes: a test holds it to terraform's."""
NOWHERE = "sha256:" + "0" * 64
OURS = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproute.schema.json",
    ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"): "secretproviderclass.schema.json",
}
"""Kinds that Kubernetes itself does not know, and our own, narrower schema of each."""

pytestmark = pytest.mark.system


def kustomize(folder):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request):
    return request.param


@pytest.fixture(scope="module")
def objects(repository, environment):
    return kustomize(repository / "deploy" / "overlays" / environment)


@pytest.fixture(scope="module")
def with_ingress(repository, tmp_path_factory):
    """Production with the other way in."""
    copy = tmp_path_factory.mktemp("ingress") / "deploy"
    shutil.copytree(repository / "deploy", copy)
    overlay = copy / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text(overlay.read_text("utf-8").replace("components/gateway", "components/ingress"), "utf-8")
    return kustomize(overlay.parent)


def require_valid(repository, thing):
    """Raises for what no schema describes: an unknown kind is a mistake, never a warning."""
    schema = OURS.get((thing["apiVersion"], thing["kind"]))
    if schema is None:
        kubernetes_validate.validate(thing, VERSION, strict=True)
    else:
        path = repository / "tests" / "vectors" / "kubernetes" / schema
        jsonschema.validate(thing, json.loads(path.read_text("utf-8")), jsonschema.Draft202012Validator)


def one(objects, kind, name="medai-flow"):
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(objects):
    """Name and template of everything that makes pods."""
    for each in objects:
        spec = each.get("spec") or {}
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template is not None:
            yield each["metadata"]["name"], template


def containers(objects):
    for name, pod in pods(objects):
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            yield f"{name}/{container['name']}", container


def service_container(objects):
    return one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def told(container):
    return {each["name"]: each.get("value") for each in container["env"]}


# ---- what Kubernetes takes


def test_every_object_is_of_a_known_kind_and_has_no_unknown_field(repository, objects):
    assert [require_valid(repository, each) for each in objects] != []


def test_the_other_way_in_is_as_valid(repository, with_ingress):
    assert [require_valid(repository, each) for each in with_ingress] != []


def test_an_object_of_an_unknown_kind_fails(repository):
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        require_valid(repository, {"apiVersion": "example.org/v1", "kind": "Mystery", "metadata": {"name": "a"}})


def test_an_unknown_field_of_a_known_kind_fails(repository):
    wrong = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}, "automountServiceToken": False}
    with pytest.raises(kubernetes_validate.ValidationError):
        require_valid(repository, wrong)


def test_the_version_that_is_held_to_is_the_clusters(repository):
    variables = (repository / "terraform" / "variables.tf").read_text("utf-8")
    found = re.search(r'variable "kubernetes_version" \{.*?default\s+= "([^"]+)"', variables, re.DOTALL)
    assert found is not None
    assert found[1] == VERSION


def test_every_object_is_in_the_namespace(objects):
    assert {each["metadata"].get("namespace") for each in objects if each["kind"] != "Namespace"} == {"medai-flow"}


def test_every_object_has_its_place_in_the_order_of_a_rollout(objects):
    stages = {each["metadata"]["labels"].get("medai-flow/stage") for each in objects}
    assert stages == {"foundation", "migration", "service"}


def test_what_the_environment_says_is_put_everywhere(objects):
    assert re.findall(r"(?m)[:-] platform$", yaml.safe_dump_all(objects)) == []


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
    holders = {
        name for name, pod in pods(objects) for volume in pod["spec"]["volumes"]
        if volume.get("csi", {}).get("volumeAttributes", {}).get("secretProviderClass") == "medai-flow-migration"
    }  # fmt: skip
    assert holders == {"medai-flow-migration"}


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


# ---- what it runs


def test_every_image_is_named_by_digest_and_none_can_be_pulled_yet(objects):
    assert {each["image"] for _, each in containers(objects)} == {f"medaiflowacr.azurecr.io/medai-flow@{NOWHERE}"}


def test_every_setting_of_the_manifests_is_one_that_the_service_reads(objects):
    known = service_settings.VARIABLES | ledger_settings.VARIABLES
    named = {name for _, each in containers(objects) for name in told({"env": each.get("env", ())})}
    assert {name for name in named if name.startswith("MEDAI_")} - known == set()


def test_the_deployment_says_no_number_beside_the_autoscaler(objects):
    assert "replicas" not in one(objects, "Deployment")["spec"]


def test_a_pod_is_one_service_process(objects):
    assert told(service_container(objects))["MEDAI_WORKERS"] == "1"


def test_every_connection_to_the_database_verifies_whom_it_speaks_to(objects):
    for name, each in containers(objects):
        if "MEDAI_DATABASE_URL" in (given := told({"env": each.get("env", ())})):
            assert "sslmode=verify-full" in given["DATABASE_SECURITY"], name


def test_the_disruption_budget_leaves_room_below_the_autoscalers_minimum(objects):
    least = one(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert one(objects, "PodDisruptionBudget")["spec"]["minAvailable"] < least


def test_the_autoscaler_heeds_the_cpu_and_the_queue(repository, objects):
    metrics = one(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [each["type"] for each in metrics] == ["Resource", "Pods"]
    telemetry = (repository / "service" / "adapters" / "telemetry.py").read_text("utf-8")
    assert f'"{metrics[1]["pods"]["metric"]["name"]}"' in telemetry


def test_the_service_is_spread_over_zones_and_nodes(objects):
    spread = one(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_production_insists_on_zones(repository):
    spec = one(kustomize(repository / "deploy" / "overlays" / "production"), "Deployment")["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"


def test_probes_ask_the_internal_port(objects):
    service = service_container(objects)
    probes = [service[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [(each["path"], each["port"]) for each in probes] == [
        ("/readyz", "internal"), ("/livez", "internal"), ("/readyz", "internal")
    ]  # fmt: skip


def test_the_internal_port_has_no_service(objects):
    assert [port["targetPort"] for port in one(objects, "Service")["spec"]["ports"]] == ["public"]


def test_a_pod_has_the_time_that_its_drain_takes(objects):
    service = service_container(objects)
    drain = service["lifecycle"]["preStop"]["sleep"]["seconds"] + int(told(service)["MEDAI_DRAIN_TIMEOUT_S"])
    grace = one(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= drain + 10  # the supervisor's own patience with a worker that does not end


def test_the_memory_that_settings_allow_fits_into_the_pods(objects):
    service = service_container(objects)
    given = told(service)
    bodies = int(given["MEDAI_MAX_BODIES_BYTES"])
    decoders = int(given["MEDAI_DECODER_PROCESSES"]) * int(given["MEDAI_DECODER_MEMORY_MIB"]) << 20
    assert bodies + decoders < int(service["resources"]["limits"]["memory"].removesuffix("Gi")) << 30


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
    assert (rule["backendRefs"][0]["name"], rule["backendRefs"][0]["port"]) == ("medai-flow", 80)


def test_the_other_way_in_names_no_controller(with_ingress):
    ingress = one(with_ingress, "Ingress")
    assert "annotations" not in ingress["metadata"]
    assert [each["kind"] for each in with_ingress if each["kind"] == "HTTPRoute"] == []


# ---- jobs


@pytest.mark.parametrize("job, words", [("publish", ["audit", "publish"]), ("verify", ["audit", "verify"])])
def test_a_job_runs_a_command_that_exists(objects, job, words):
    template = one(objects, "CronJob", f"medai-flow-{job}")["spec"]["jobTemplate"]["spec"]["template"]
    assert template["spec"]["containers"][0]["args"][:2] == words


def test_two_publishers_never_wait_for_each_other(objects):
    assert told(service_container(objects))["MEDAI_PUBLISH_IN_SERVICE"] == "no"
    assert one(objects, "CronJob", "medai-flow-publish")["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_migration_is_tried_once(objects):
    assert one(objects, "Job", "medai-flow-migration")["spec"]["backoffLimit"] == 0


# ---- the environments differ in little


def test_production_is_never_smaller_than_what_rehearses_it(repository):
    sizes = [
        one(kustomize(repository / "deploy" / "overlays" / each), "HorizontalPodAutoscaler")["spec"]["maxReplicas"]
        for each in ENVIRONMENTS
    ]
    assert all(smaller <= larger for smaller, larger in pairwise(sizes))


def test_production_does_not_serve_the_demonstration_model(repository):
    told_there = (repository / "deploy" / "overlays" / "production" / "platform.env").read_text("utf-8")
    assert "SHIPPED_MODELS=no" in told_there.splitlines()
