"""The example files parse, name only what is there, and keep their promises."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.schema import GatewaySection
from tests.support.process import run_serve


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def instructions(dockerfile: Path) -> list[list[str]]:
    """Return a Dockerfile's instructions in words, lines joined, comments gone."""
    lines = dockerfile.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_all_files_parse(root: Path) -> None:
    for folder in ("deploy", ".github"):
        for path in (root / folder).rglob("*.y*ml"):
            assert isinstance(read_yaml(path), dict), path
    for path in (root / "deploy").rglob("*.json"):
        assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict), path


def test_the_table_of_files_is_complete(deploy: Path) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (deploy / "README.md").read_text("utf-8"), re.MULTILINE)
    assert all((deploy / row).exists() for row in rows)
    for folder in (path.name for path in deploy.iterdir() if path.is_dir()):
        assert folder in {"secrets", "config"} or any(row.startswith(folder) for row in rows)


def test_compose_mounts_what_is_there_and_publishes_on_loopback_only(deploy: Path) -> None:
    compose = read_yaml(deploy / "compose.yaml")
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (
                (deploy / source).exists()
                if source.startswith(".")
                else source in (compose["volumes"])
            )
            assert known, volume
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
    assert compose["services"]["grafana"]["profiles"] == ["grafana"]


def test_compose_gives_prometheus_the_key_where_it_looks_for_it(deploy: Path) -> None:
    services = read_yaml(deploy / "compose.yaml")["services"]
    [job] = read_yaml(deploy / "prometheus/prometheus.yml")["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/api_key"
    assert "api_key" in services["prometheus"]["secrets"]
    assert services["gateway"]["environment"]["WEIGHBRIDGE_API_KEY_FILE"] == "/run/secrets/api_key"
    assert job["static_configs"] == [{"targets": ["gateway:8000"]}]


@pytest.mark.parametrize("file", ["compose.yaml", "systemd/weighbridge.service"])
def test_requests_have_time_to_end(deploy: Path, file: str) -> None:
    text = (deploy / file).read_text(encoding="utf-8")
    given = re.search(r"(?:stop_grace_period: |TimeoutStopSec=)(\d+)", text)
    assert given is not None
    engine_drain_s = 10
    assert int(given[1]) > GatewaySection().drain_timeout_s + engine_drain_s


def test_the_service_may_write_where_weights_are_fetched_to(deploy: Path) -> None:
    """`ProtectHome` and `ProtectSystem=strict` leave it no other place."""
    text = (deploy / "systemd/weighbridge.service").read_text(encoding="utf-8")
    assert "CacheDirectory=weighbridge\n" in text
    assert "Environment=WEIGHBRIDGE_CACHE=%C/weighbridge HF_HUB_CACHE=%C/weighbridge/hub" in text


def test_a_file_that_cannot_be_used_is_not_tried_for_ever(deploy: Path, tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text("models: [", encoding="utf-8")
    code = run_serve(tmp_path).returncode
    text = (deploy / "systemd/weighbridge.service").read_text(encoding="utf-8")
    assert f"RestartPreventExitStatus={code}\n" in text


def test_the_dashboards_panels_do_not_overlap_and_ask_one_source(deploy: Path) -> None:
    path = deploy / "grafana/dashboards/weighbridge.json"
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def test_the_image_copies_only_what_is_there_and_let_in(root: Path) -> None:
    ignore = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source
        for words in instructions(root / "Dockerfile")
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    }
    assert copied == let_in
    assert all((root / source).exists() for source in copied)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]} <= copied


def test_the_image_runs_without_a_shell_as_nobody_in_particular(root: Path) -> None:
    lines = instructions(root / "Dockerfile")
    last = max(index for index, words in enumerate(lines) if words[0] == "FROM")
    final = {words[0]: " ".join(words[1:]) for words in lines[last:]}
    assert json.loads(final["ENTRYPOINT"])[:4] == ["weighbridge", "serve", "--host", "0.0.0.0"]
    check = final["HEALTHCHECK"]
    python, _, script = json.loads(check[check.index("[") :])
    assert python == "python"
    assert "ProxyHandler({})" in script  # Docker puts its own proxy into the environment
    uid = final["USER"].split(":")[0]
    assert uid.isdigit()
    assert uid != "0"


def test_workflows_may_only_read_and_end_some_day(root: Path) -> None:
    for path in (root / ".github/workflows").glob("*.yml"):
        workflow = read_yaml(path)
        assert workflow["permissions"] == {"contents": "read"}
        assert workflow["concurrency"]["group"]
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 60
            used = [step["uses"] for step in job["steps"] if "uses" in step]
            assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in used)
