"""The manifests as `kubectl kustomize` writes them: known kinds, the restricted standard, each piece's promise."""

import re
from itertools import pairwise

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from audit import settings as ledger_settings
from service import cli
from service import settings as service_settings
from tests.system.kubernetes.manifests import (
    ENVIRONMENTS,
    NOWHERE,
    VERSION,
    containers,
    kustomize,
    one,
    require_valid,
    service_container,
    told,
)

pytestmark = pytest.mark.system


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


# ---- jobs


@pytest.mark.parametrize("job, words", [("publish", ["audit", "publish"]), ("verify", ["audit", "verify"])])
def test_a_job_runs_a_command_that_exists(objects, job, words):
    template = one(objects, "CronJob", f"medai-flow-{job}")["spec"]["jobTemplate"]["spec"]["template"]
    assert template["spec"]["containers"][0]["args"][:2] == words
    assert tuple(words) in cli.COMMANDS


def test_there_is_a_job_for_retention_as_soon_as_there_is_a_command(objects):
    jobs = {each["metadata"]["name"] for each in objects if each["kind"] == "CronJob"}
    commands = {"publish", "verify"} | ({"retention"} & {words[-1] for words in cli.COMMANDS})
    assert jobs == {f"medai-flow-{command}" for command in commands}


def test_no_job_meets_itself_and_each_ends(objects):
    jobs = [each["spec"] for each in objects if each["kind"] == "CronJob"]
    assert {job["concurrencyPolicy"] for job in jobs} == {"Forbid"}
    assert all(job["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0 for job in jobs)


def test_the_autoscaler_scales_the_deployment(objects):
    target = one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = one(objects, "Deployment")
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])


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


# ---- what runs is what was released


def test_every_record_names_the_release_that_was_rolled_out(objects):
    given = told(service_container(objects))
    mounted = {"release.dsse.json", "keys.pem"}
    assert {given[name] for name in ("MEDAI_RELEASE_FILE", "MEDAI_RELEASE_KEYS_FILE")} == {
        f"/etc/medai/release/{name}" for name in mounted
    }
    (volume,) = [
        each for each in one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"] if each["name"] == "release"
    ]
    assert {*one(objects, "ConfigMap", volume["configMap"]["name"])["data"]} == mounted


@pytest.mark.parametrize(
    "environment_there, told_there", [("dev", "development"), ("staging", "production"), ("production", "production")]
)
def test_nothing_but_the_release_runs_in_production_nor_where_it_is_rehearsed(
    repository, environment_there, told_there
):
    lines = (repository / "deploy" / "overlays" / environment_there / "platform.env").read_text("utf-8").splitlines()
    assert f"ENVIRONMENT={told_there}" in lines


def test_each_word_of_an_environment_is_explained(repository, environment):
    lines = (repository / "deploy" / "overlays" / environment / "platform.env").read_text("utf-8").splitlines()
    words = [line.partition("=")[0] for line in lines if not line.startswith("#")]
    manual = (repository / "deploy" / "README.md").read_text("utf-8")
    assert [word for word in words if f"`{word}`" not in manual] == []


def test_the_environments_have_the_same_words(repository):
    words = {
        tuple(line.partition("=")[0] for line in path.read_text("utf-8").splitlines())
        for path in (repository / "deploy" / "overlays").glob("*/platform.env")
    }
    assert len(words) == 1
