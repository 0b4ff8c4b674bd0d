"""The manifests as `kubectl kustomize` writes them, and what is asked of each."""

import json
import shutil
import subprocess

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

ENVIRONMENTS = ("dev", "staging", "production")
VERSION = "1.33"
"""Of Kubernetes: a test holds it to terraform's."""
NOWHERE = "sha256:" + "0" * 64
OURS = {
    ("azmonitoring.coreos.com/v1", "PodMonitor"): "podmonitor.schema.json",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproute.schema.json",
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): "backendtlspolicy.schema.json",
    ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"): "secretproviderclass.schema.json",
}
"""Kinds that Kubernetes itself does not know, and our own, narrower schema of each."""


def kustomize(folder):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


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


def said(container):
    return told({"env": container.get("env", ())})


def selects(selector, labels):
    """Whether a pod with `labels` is meant."""
    equal = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return equal and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ()))


def platform_of(objects):
    """What the environment says of itself."""
    (found,) = [
        each["data"] for each in objects
        if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("medai-flow-platform")
    ]  # fmt: skip
    return found
