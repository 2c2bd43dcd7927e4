"""`weighbridge models` shows what is on the machine, and `weighbridge rm` takes it away."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engines.weights.store import Store
from gateway.cli.models import models
from gateway.cli.models_pulled import HEAD
from gateway.cli.rm import rm
from tests.support.hub_cache import cached

CONFIG = """\
engines: {cpu: {kind: llamacpp}}
models:
  toy: {engine: cpu, weights: "Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_0"}
"""
QWEN = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIGHBRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "hub", tmp_path / "cache" / "weights")
    cached(store, QWEN, {"q-q4_0.gguf": b"four" * 300, "q-q8_0.gguf": b"eight" * 500})
    cached(store, "o/r", {"r-q4_0.gguf": b"r"})
    Path("routing.yaml").write_text(CONFIG, encoding="utf-8")
    return store


def run_rm(*arguments: str) -> Result:
    return CliRunner().invoke(rm, arguments)


def run_models(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def here() -> list[str]:
    return [row["weights"] for row in json.loads(run_models("--pulled", "--json").stdout)]


def test_what_was_pulled_is_a_table_with_size_licence_use_and_who_serves_it() -> None:
    lines = run_models("--pulled").stdout.splitlines()
    for column in HEAD:
        assert column in lines[0]
    assert lines[1].split("  ")[0] == f"{QWEN}:Q4_0"
    assert "1.2 kB" in lines[1]
    assert "Apache License 2.0" in lines[1]
    assert lines[1].endswith("today     toy")
    assert lines[3].startswith("o/r:Q4_0")
    assert "unknown" in lines[3]


def test_the_rows_as_json() -> None:
    (row,) = json.loads(run_models("--pulled", "--json", "q8_0").stdout)
    assert row.pop("last_used").startswith("20")
    assert row == {
        "kind": "pulled",
        "weights": f"{QWEN}:Q8_0",
        "state": "pulled",
        "format": "gguf",
        "quantisation": "Q8_0",
        "size_bytes": 2_500,
        "memory_bytes": None,
        "licence": "Apache License 2.0",
        "served_as": [],
    }


def test_without_a_gateway_the_machines_own_are_shown_all_the_same() -> None:
    result = run_models("o/r")
    assert result.exit_code == 0
    assert "o/r:Q4_0" in result.stdout
    assert "weighbridge serve" in result.stderr


def test_what_the_file_serves_is_kept_unless_forced() -> None:
    for name in ("toy", f"{QWEN}:q4_0", QWEN, "qwen2.5-0.5b"):
        refused = run_rm(name)
        assert refused.exit_code == 1
        assert "is served as toy by the routing file" in refused.stderr
    assert len(here()) == 3
    forced = run_rm("toy", "--force")
    assert forced.exit_code == 0
    assert forced.stdout == f"Removed {QWEN}:Q4_0: 1.2 kB freed.\n"
    assert here() == [f"{QWEN}:Q8_0", "o/r:Q4_0"]


def test_a_quantisation_or_a_whole_repository_goes() -> None:
    assert run_rm(f"{QWEN}:q8_0").exit_code == 0
    assert run_rm("o/r").stdout == "Removed o/r:Q4_0: 1 bytes freed.\n"
    assert here() == [f"{QWEN}:Q4_0"]


def test_a_projector_is_listed_served_with_its_model_and_removed_by_its_own_name_only(
    store: Store,
) -> None:
    cached(store, "o/see", {"s-f16.gguf": b"model", "mmproj-f16.gguf": b"eyes"})
    Path("routing.yaml").write_text(
        "engines: {cpu: {kind: llamacpp}}\n"
        "models: {seer: {engine: cpu, weights: o/see:F16, mmproj: o/see:mmproj-f16}}\n",
        encoding="utf-8",
    )
    rows = {row["weights"]: row for row in json.loads(run_models("--pulled", "--json").stdout)}
    eyes = rows["o/see:mmproj-f16"]
    assert (eyes["format"], eyes["size_bytes"], eyes["served_as"]) == ("projector", 4, ["seer"])
    assert run_rm("o/see:mmproj-f16").exit_code == 1
    assert run_rm("o/see:f16", "--force").exit_code == 0
    assert "o/see:mmproj-f16" in here()
    assert run_rm("o/see:mmproj-f16", "--force").exit_code == 0
    assert "o/see:mmproj-f16" not in here()


def test_several_names_and_what_is_not_here_as_json() -> None:
    result = run_rm("o/r", "o/none", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["removed"], told["freed_bytes"]) == (["o/r:Q4_0"], 1)
    assert told["failures"] == ["o/none is not here; `weighbridge models --pulled` shows what is"]


def test_a_file_that_was_named_has_to_be_there() -> None:
    assert run_rm("o/r", "--config", "none.yaml").exit_code == 2
    assert len(here()) == 3


@pytest.mark.parametrize("text", ["models: [", CONFIG + 'aliases: {a: "${WB_NOT_SET}"}\n'])
def test_nothing_goes_while_nobody_can_say_what_is_served(text: str) -> None:
    Path("routing.yaml").write_text(text, encoding="utf-8")
    refused = run_rm(f"{QWEN}:Q4_0")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("routing.yaml:")
    assert "Nothing was removed" in refused.stderr
    assert len(here()) == 3
    assert run_rm(f"{QWEN}:Q4_0", "--force").exit_code == 0
    assert len(here()) == 2
