"""What rules and dashboard ask for is what the gateway tells: names, labels, outcomes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engines.residency import State
from gateway.domain import Outcome
from gateway.observe.engine_figures import Durations, EngineFigures
from gateway.observe.metrics import Metrics
from gateway.observe.residency import Leaving, ResidencyMetrics, UnitFigures
from gateway.observe.scrape import LABELS, ReplicaFigures

_NAME = re.compile(r"\bweighbridge_\w+")
_GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_LEGEND = re.compile(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}")
_OUTCOMES = re.compile(r'outcome=~?"([^"]*)"')


def exported() -> set[str]:
    """Return every sample name of a scrape in which all figures are known."""
    own = EngineFigures(1, 1, 1, 1, 1, 1, Durations(1, 1), Durations(1, 1))
    figures = ReplicaFigures("m", "e", "0", up=True, restarts=1, own=own)
    metrics = Metrics()
    metrics.of("m", "e", "0")
    metrics.may_shadow("m")
    metrics.waits_of("m")
    metrics.show(lambda: [figures])
    residency = ResidencyMetrics(metrics.registry)
    residency.show(lambda: [UnitFigures("m", State.READY, {"ram": 1})], {"ram": 2})
    residency.load("m")
    residency.loaded("m", 1)
    residency.failure("m")
    residency.unload("m", Leaving.ROOM)
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {sample.name for family in families for sample in family.samples}


def expressions(deploy: Path) -> Iterator[str]:
    """Yield every query of the rules and the dashboard."""
    alerts = yaml.safe_load((deploy / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    for group in alerts["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
    dashboard = json.loads((deploy / "grafana/dashboards/weighbridge.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_every_metric_that_is_named_is_exported(deploy: Path) -> None:
    files = [path for path in deploy.rglob("*") if path.suffix in {".yml", ".yaml", ".json", ".md"}]
    named = {name for path in files for name in _NAME.findall(path.read_text(encoding="utf-8"))}
    assert named - exported() == set()
    assert len(named) > 10


def test_the_dashboard_shows_every_kind_of_figure(deploy: Path) -> None:
    text = (deploy / "grafana/dashboards/weighbridge.json").read_text(encoding="utf-8")
    for name in exported():
        assert re.sub(r"_(bucket|sum|count|created)$", "", name) in text


def test_queries_group_by_labels_that_exist(deploy: Path) -> None:
    known = {*LABELS, "outcome", "reason", "result", "le", "state", "device"}
    for expression in expressions(deploy):
        for group in _GROUPING.findall(expression):
            assert {label.strip() for label in group.split(",")} <= known, expression


def test_texts_show_labels_that_their_query_keeps(deploy: Path) -> None:
    alerts = yaml.safe_load((deploy / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    for rule in alerts["groups"][0]["rules"]:
        kept = _GROUPING.search(rule["expr"])
        for label in _LEGEND.findall(rule["annotations"]["summary"]):
            if kept is not None and rule["expr"].lstrip().startswith(("sum", "max", "hist")):
                assert label in kept[1], rule["alert"]
            else:
                assert label in {*LABELS, "instance"}, rule["alert"]


def test_queries_name_outcomes_that_exist(deploy: Path) -> None:
    named = {
        outcome
        for expression in expressions(deploy)
        for found in _OUTCOMES.findall(expression)
        for outcome in found.split("|")
    }
    assert named
    assert named <= {outcome.value for outcome in Outcome}
