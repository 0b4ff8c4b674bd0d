"""Rules, dashboards and the page that lists the metrics are held to the metrics that there are."""

import json
import re

import pytest
import yaml

from tests import observability as observed

ROW = re.compile(r"^\| `(medai_[a-z_]+)` \| (\w+) \| ([a-z, ]*) ?\|", re.MULTILINE)
OURS = re.compile(r"\b(medai_[a-z_]+)(?:\{([^}]*)\})?")
RECORDED = re.compile(r"\bmedai:[a-z0-9_:]+")
GIVEN = {"instance", "le", "job"}
"""Labels that Prometheus adds, and the histograms' own."""
GROUPED = re.compile(r"\b(?:by|on|ignoring) \(([a-z_, ]*)\)")


@pytest.fixture(scope="module")
def metrics():
    return {metric.name: metric for metric in observed.registered()}


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "observability.md").read_text("utf-8")


def _metric_of(name, metrics):
    """The metric that a series belongs to; KeyError where there is none."""
    return metrics[name] if name in metrics else metrics[observed.SUFFIXES.sub("", name)]


def test_the_page_lists_every_metric_with_its_type_and_labels_and_no_other(page, metrics):
    listed = {
        name: (kind, tuple(labels.strip().split(", ")) if labels.strip() else ())
        for name, kind, labels in ROW.findall(page)
    }
    assert listed == {name: (metric.kind, metric.labels) for name, metric in metrics.items()}


def test_every_event_that_a_rule_asks_for_is_on_the_page(page):
    asked = {
        event for one in observed.expressions() for values in re.findall(r'event=~?"([^"]*)"', one.text)
        for event in values.split("|")
    }  # fmt: skip
    assert asked <= set(re.findall(r"`([a-z_]+)`", page))


def test_every_rule_and_panel_is_made_of_metrics_that_exist(metrics):
    unknown = []
    for one in observed.expressions():
        for name, _ in OURS.findall(one.text):
            if name not in metrics and observed.SUFFIXES.sub("", name) not in metrics:
                unknown.append((one.where, name))
    assert unknown == []


def test_every_rule_and_panel_selects_by_labels_that_the_metric_has(metrics):
    wrong = []
    for one in observed.expressions():
        for name, selector in OURS.findall(one.text):
            used = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector))
            wrong += [(one.where, name, label) for label in used - GIVEN - set(_metric_of(name, metrics).labels)]
    assert wrong == []


def test_every_rule_and_panel_groups_by_labels_that_its_metrics_have(metrics):
    wrong = []
    for one in observed.expressions():
        has = {label for name, _ in OURS.findall(one.text) for label in _metric_of(name, metrics).labels} | GIVEN
        grouped = {label for labels in GROUPED.findall(one.text) for label in labels.split(", ") if label}
        wrong += [(one.where, label) for label in grouped - has]
    assert wrong == []


def test_every_recorded_name_that_is_used_is_recorded():
    used = {(one.where, name) for one in observed.expressions() for name in RECORDED.findall(one.text)}
    assert sorted(where for where, name in used if name not in observed.recorded()) == []


@pytest.mark.parametrize("alert", observed.alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_a_severity_and_a_part_of_the_runbook(alert, repository):
    page, _, part = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (repository / page).read_text("utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert part in anchors


def test_every_alert_that_pages_has_a_test_in_which_it_fires():
    fires = set()
    for file in (observed.FOLDER / "tests").glob("*.yaml"):
        for test in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            fires |= {one["alertname"] for one in test.get("alert_rule_test", ()) if one["exp_alerts"]}
    pages = {alert["alert"] for alert in observed.alerts() if alert["labels"]["severity"] == "page"}
    assert sorted(pages - fires) == []


@pytest.mark.verifies("REQ-DEP-022")
def test_azures_collector_is_told_to_keep_the_series_that_are_not_ours():
    settings = yaml.safe_load((observed.FOLDER / "collector.yaml").read_text("utf-8"))
    kept = re.search(r'kubestate = "([^"]*)"', settings["data"]["cluster-metrics"])
    assert kept is not None
    asked = {name for one in observed.expressions() for name in re.findall(r"\bkube_\w+", one.text)}
    assert {*kept[1].split("|")} == asked


@pytest.mark.parametrize("file", observed.DASHBOARDS, ids=lambda file: file.name)
def test_every_panel_has_a_number_of_its_own_and_says_what_it_asks(file):
    board = json.loads(file.read_text("utf-8"))
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert [panel["title"] for panel in board["panels"] if panel["type"] != "text" and not panel["targets"]] == []


@pytest.mark.parametrize("file", observed.DASHBOARDS, ids=lambda file: file.name)
def test_every_dashboard_says_that_the_model_is_a_demonstration(file):
    assert "not for clinical use" in file.read_text("utf-8")
