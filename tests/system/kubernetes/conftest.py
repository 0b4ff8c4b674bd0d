import shutil

import pytest

from tests.system.kubernetes.manifests import ENVIRONMENTS, kustomize


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


@pytest.fixture(scope="module")
def with_traces(repository, tmp_path_factory):
    """Production with a collector of traces."""
    copy = tmp_path_factory.mktemp("tracing") / "deploy"
    shutil.copytree(repository / "deploy", copy)
    overlay = copy / "overlays" / "production" / "kustomization.yaml"
    with_it = overlay.read_text("utf-8").replace("components:\n", "components:\n  - ../../components/tracing\n")
    overlay.write_text(with_it, "utf-8")
    return kustomize(overlay.parent)


@pytest.fixture(scope="module")
def with_own_prometheus(repository, tmp_path_factory):
    """Production on a cluster without Azure's managed Prometheus."""
    copy = tmp_path_factory.mktemp("prometheus") / "deploy"
    shutil.copytree(repository / "deploy", copy)
    overlay = copy / "overlays" / "production" / "kustomization.yaml"
    without = overlay.read_text("utf-8").replace("  - ../../components/managed-prometheus\n", "")
    overlay.write_text(without, "utf-8")
    return kustomize(overlay.parent)
