"""Who may look at the pods' metrics, and where their traces may go."""

import pytest

from tests.system.kubernetes.manifests import one, platform_of, pods, require_valid, said, selects, service_container

pytestmark = pytest.mark.system


def test_the_collector_finds_the_internal_port_of_the_service(objects):
    spec = one(objects, "PodMonitor")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    template = one(objects, "Deployment")["spec"]["template"]
    assert selects(spec["selector"], template["metadata"]["labels"])
    ports = {port["name"]: port["containerPort"] for port in service_container(objects)["ports"]}
    assert (ports[endpoint["port"]], endpoint["path"]) == (8081, "/metrics")


def test_no_pod_but_the_collectors_reaches_the_internal_port(objects):
    (source,) = one(objects, "NetworkPolicy", "from-monitoring")["spec"]["ingress"][0]["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert source["podSelector"]["matchLabels"] == {"rsName": "ama-metrics"}


def test_the_service_is_found_by_one_means_alone(objects):
    assert "annotations" not in one(objects, "Deployment")["spec"]["template"]["metadata"]


def test_a_prometheus_of_ones_own_finds_the_internal_port_by_annotations(repository, with_own_prometheus):
    annotations = one(with_own_prometheus, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == ("8081", "/metrics")
    assert [require_valid(repository, each) for each in with_own_prometheus] != []
    assert [each for each in with_own_prometheus if each["kind"] == "PodMonitor"] == []


def test_nothing_is_traced_unless_the_environment_has_a_collector(objects):
    assert "MEDAI_OTLP_URL" not in said(service_container(objects))


def test_with_a_collector_the_service_is_told_of_it_and_reaches_it(repository, with_traces):
    env = {one["name"]: one for one in service_container(with_traces)["env"]}
    assert env["MEDAI_OTLP_URL"]["valueFrom"]["configMapKeyRef"]["key"] == "OTLP_URL"
    spec = one(with_traces, "NetworkPolicy", "to-collector")["spec"]
    (rule,) = spec["egress"]
    words = platform_of(with_traces)
    assert rule == {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": words["COLLECTOR_NAMESPACE"]}}}],
        "ports": [{"protocol": "TCP", "port": 4318}],
    }
    assert [require_valid(repository, each) for each in with_traces] != []


def test_with_a_collector_the_service_alone_reaches_it(with_traces):
    selector = one(with_traces, "NetworkPolicy", "to-collector")["spec"]["podSelector"]
    assert {name for name, pod in pods(with_traces) if selects(selector, pod["metadata"]["labels"])} == {"medai-flow"}
