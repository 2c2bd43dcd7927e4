"""Prometheus's own checker reads the configuration and tries the alerts."""

import json
import shutil
import subprocess
from pathlib import Path

import yaml

# What Grafana puts in before it asks.
_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$model": "a|b"}


def run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration(deploy: Path, promtool: str, tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    shutil.copytree(deploy / "prometheus", folder)
    config = folder / "prometheus.yml"
    key = tmp_path / "api_key"
    key.write_text("a key")
    text = config.read_text(encoding="utf-8")
    assert "/run/secrets/api_key" in text
    config.write_text(text.replace("/run/secrets/api_key", str(key)), encoding="utf-8")
    run(promtool, "check", "config", "prometheus.yml", folder=folder)


def test_prometheus_takes_the_alerts(deploy: Path, promtool: str) -> None:
    run(promtool, "check", "rules", "alerts.yml", folder=deploy / "prometheus")


def test_alerts_fire_when_they_should_and_only_then(deploy: Path, promtool: str) -> None:
    run(promtool, "test", "rules", "alerts_test.yml", folder=deploy / "prometheus")


def test_every_alert_is_tried_firing(deploy: Path) -> None:
    alerts = yaml.safe_load((deploy / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    tried = yaml.safe_load((deploy / "prometheus/alerts_test.yml").read_text(encoding="utf-8"))
    fired = {
        rule["alertname"]
        for test in tried["tests"]
        for rule in test.get("alert_rule_test", ())
        if rule.get("exp_alerts")
    }
    queried = str([test.get("promql_expr_test") for test in tried["tests"]])
    for rule in alerts["groups"][0]["rules"]:
        assert rule["alert"] in fired or rule["alert"] in queried


def test_prometheus_can_read_every_query_of_the_dashboard(
    deploy: Path, promtool: str, tmp_path: Path
) -> None:
    text = (deploy / "grafana/dashboards/weighbridge.json").read_text(encoding="utf-8")
    queries = [
        target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]
    ]
    for name, value in _VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    assert not any("$" in query for query in queries)
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8"
    )
    run(promtool, "check", "rules", "rules.yml", folder=tmp_path)
