"""What there is to observe: the metrics as they are registered, and every expression that is made of them."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from service.adapters.telemetry import Telemetry

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "observability"
RULES = sorted((FOLDER / "rules").glob("*.yaml"))
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


class Metric(Struct, frozen=True, kw_only=True, order=True):
    name: str
    kind: str
    labels: tuple[str, ...]


class Expression(Struct, frozen=True, kw_only=True):
    """One PromQL expression, and where it stands."""

    where: str
    text: str


def registered() -> list[Metric]:
    """Every metric of ours. (prometheus_client tells no names of labels before there is a value.)"""
    collectors: Iterable[Any] = Telemetry()._registry._collector_to_names
    return sorted(
        Metric(name=one._name + ("_total" if one._type == "counter" else ""), kind=one._type, labels=one._labelnames)
        for one in collectors
    )


def rules(file: Path) -> list[dict]:
    return [rule for group in yaml.safe_load(file.read_text("utf-8"))["groups"] for rule in group["rules"]]


def alerts() -> list[dict]:
    return [rule for file in RULES for rule in rules(file) if "alert" in rule]


def recorded() -> set[str]:
    """The names that our own rules record."""
    return {rule["record"] for file in RULES for rule in rules(file) if "record" in rule}


def expressions() -> Iterator[Expression]:
    """Those of all rules, then those of all panels, as a rule could hold them."""
    for file in RULES:
        for rule in rules(file):
            yield Expression(where=f"{file.name} {rule.get('alert') or rule['record']}", text=rule["expr"])
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                text = target["expr"].replace("$__rate_interval", "5m")
                yield Expression(where=f"{file.name} {panel['title']}", text=text)
