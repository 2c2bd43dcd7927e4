"""The GPUs that a file's replicas are given, on machines that only the test has."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from engines.kinds import llamacpp, vllm
from engines.platform import Gpu
from gateway import placing
from gateway.blueprint import blueprint_of
from gateway.cli import main, plan
from gateway.config.loading import LoadedConfig, parse_config
from gateway.known import gather_facts

GIB = 1 << 30
_ENGINES = f"""
engines:
  v: {{kind: vllm, command: [{sys.executable}], tool_parser: none, reasoning_parser: none}}
  half: {{kind: vllm, command: [{sys.executable}], gpu_memory_utilization: 0.4,
          tool_parser: none, reasoning_parser: none}}
  pair: {{kind: vllm, command: [{sys.executable}], tensor_parallel: 2,
          tool_parser: none, reasoning_parser: none}}
  mine: {{kind: vllm, command: [{sys.executable}], devices: [3],
          tool_parser: none, reasoning_parser: none}}
  l: {{kind: llamacpp, gpu_layers: auto}}
  cpu: {{kind: llamacpp}}
models:
"""
Gpus = Callable[..., None]


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """Let the machine have GPUs of so many GiB, all free."""

    def these(*sizes: int, free: tuple[int, ...] = ()) -> None:
        found = tuple(
            Gpu(at, "made up", size * GIB, (free[at] if free else size) * GIB)
            for at, size in enumerate(sizes)
        )
        for module in (placing, llamacpp, vllm, plan):
            monkeypatch.setattr(module, "gpus", lambda: found)

    return these


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "config.json").write_text("{}", encoding="utf-8")
    return tmp_path


def file(folder: Path, models: str, more: str = "") -> LoadedConfig:
    lines = (line.split(": ", 1) for line in models.splitlines() if line)
    said = "\n".join(
        f"  {name}: {{weights: {'demo:qwen' if 'l' in keys.split() else './toy'}, {keys}}}"
        for name, keys in lines
    )
    return parse_config(f"{_ENGINES}{said}\n{more}", "test.yaml", {}, folder)


def seen(config: LoadedConfig, **more: Any) -> dict[str, str]:
    """Return what each replica sees of the GPUs."""
    made = blueprint_of(
        config, gather_facts(config), runtime_folder=Path("/run/w"), cores=2, **more
    )
    return {
        f"{each.model}/{each.replica}": dict(each.launch.environment).get(
            "CUDA_VISIBLE_DEVICES", ""
        )
        for each in made.plans
        if each.launch is not None
    }


def test_each_replica_gets_the_gpus_that_it_needs_and_the_files_own_word_counts(
    has: Gpus, folder: Path
) -> None:
    has(80, 24, 80, 80)
    models = "big: engine: pair\nsmall: engine: half\nown: engine: mine\ngguf: engine: l"
    assert seen(file(folder, models)) == {
        "big/0": "0,2",
        "small/0": "1",
        "own/0": "3",
        "gguf/0": "0",
    }


def test_replicas_of_a_model_are_apart_where_one_gpu_has_no_room_for_both(
    has: Gpus, folder: Path
) -> None:
    has(24, 24, 24)
    assert seen(file(folder, "a: engine: v, replicas: 2")) == {"a/0": "0", "a/1": "1"}


def test_with_one_gpu_or_none_there_is_nothing_to_choose(has: Gpus, folder: Path) -> None:
    for sizes in ((), (80,)):
        has(*sizes)
        assert seen(file(folder, "a: engine: v\nb: engine: l")) == {"a/0": "", "b/0": ""}


def test_what_others_hold_of_a_gpu_is_not_given_away(has: Gpus, folder: Path) -> None:
    has(24, 24, free=(3, 24))
    assert seen(file(folder, "a: engine: v")) == {"a/0": "1"}
    has(80, 80)
    budget = "residency: {memory: {gpu0: 10GiB, ram: 900GiB}}"
    assert seen(file(folder, "a: engine: v", budget)) == {"a/0": "1"}


def test_a_model_that_joins_moves_nobody_and_what_runs_is_not_taken_for_others(
    has: Gpus, folder: Path
) -> None:
    has(80, 80, 80)
    config = file(folder, "b: engine: v")
    before = blueprint_of(config, gather_facts(config), runtime_folder=Path("/run/w"), cores=2)
    assert before.config.placing.devices == {"b/v/0": (0,)}
    has(80, 80, 80, free=(6, 80, 80))  # b is there now
    both = file(folder, "a: engine: pair\nb: engine: v")
    found = seen(both, before=before.config.placing)
    assert found == {"a/0": "1,2", "b/0": "0"}


def test_the_plan_says_which_gpus(has: Gpus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has(24, 24)
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(folder / "cache"))
    path = folder / "routing.yaml"
    path.write_text(
        f"{_ENGINES}  a: {{engine: v, weights: ./toy, replicas: 2}}\n"
        "  b: {engine: l, weights: 'demo:qwen'}\n",
        encoding="utf-8",
    )
    told = CliRunner().invoke(main, ["plan", "--config", str(path)])
    assert "4.2 GiB + 22.1 GiB gpu0 + 22.1 GiB gpu1" in told.output
    assert "24.0 GiB of gpu1" in told.output
    rows = msgspec.json.decode(
        CliRunner().invoke(main, ["plan", "--config", str(path), "--json"]).output
    )["models"]
    assert rows[0]["device_bytes"]["gpu1"] == rows[0]["device_bytes"]["gpu0"]
    assert 0 < rows[1]["device_bytes"]["gpu0"] < GIB
    assert [row["gpus"] for row in rows] == [[[0], [1]], [[0]]]
