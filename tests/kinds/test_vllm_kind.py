"""`kind: vllm`: the command line, what stands in its way, and what may not be passed on."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.kinds import Absent, AdapterOrder, ModelOrder, ReplicaPlan, Room, VllmEngine
from engines.platform.gpus import Gpu
from engines.vllm import guard
from engines.weights.store import Store
from tests.support.hub_cache import cached

ROOM = Room(Path("/run/wb"), threads=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text("{}")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "vllm").touch()
    return tmp_path


def plan(folder: Path, section: dict[str, Any] | None = None, **order: Any) -> ReplicaPlan:
    (found,) = plans(folder, section, **order)
    return found


def plans(
    folder: Path, section: dict[str, Any] | None = None, **order: Any
) -> tuple[ReplicaPlan, ...]:
    given = {"kind": "vllm", "venv": "venv"} | (section or {})
    engine = VllmEngine.model_validate({k: v for k, v in given.items() if v is not None})
    wanted = replace(ModelOrder("toy", "gpu", folder, weights="./qwen"), **order)
    return engine.plan(wanted, ROOM)


def command(found: ReplicaPlan) -> list[str]:
    """Return what the guard becomes."""
    assert found.launch is not None
    argv = list(found.launch.argv)
    return argv[argv.index("--") + 1 :]


def test_vllm_of_the_venv_serves_the_folder_under_our_name_on_a_socket(folder: Path) -> None:
    found = plan(folder)
    assert found.launch is not None
    assert found.problem is None
    assert found.launch.argv[:3] == (sys.executable, "-I", str(Path(guard.__file__)))
    assert command(found)[:3] == [str(folder / "venv/bin/vllm"), "serve", str(folder / "qwen")]
    assert "--served-model-name=toy" in command(found)
    assert f"--uds={found.address.socket_path}" in command(found)
    assert found.launch.socket_path == found.address.socket_path
    assert (found.health_path, found.metrics_path) == ("/health", "/metrics")


def test_a_drain_always_has_an_end_and_the_gateway_waits_longer(folder: Path) -> None:
    found = plan(folder, {"drain_timeout_s": 7.2})
    assert found.launch is not None
    assert "--shutdown-timeout=8" in command(found)
    assert found.launch.drain_timeout_s > 8


def test_what_the_section_says_becomes_options_and_the_model_overrides_it(folder: Path) -> None:
    section = {
        "context": 4096,
        "parallel": 32,
        "max_waiting": 100,
        "tensor_parallel": 2,
        "pipeline_parallel": 3,
        "data_parallel": 4,
        "quantization": "awq",
        "dtype": "bfloat16",
        "gpu_memory_utilization": 0.5,
        "kv_type": "fp8",
        "prefix_cache": False,
        "priority": False,
        "tool_parser": "hermes",
        "reasoning_parser": "qwen3",
        "sleep_mode": True,
        "extra_args": ["--kv-transfer-config={}"],
    }
    said = command(plan(folder, section, context=512))
    assert {
        "--max-model-len=512",
        "--max-num-seqs=32",
        "--max-num-queued-reqs=228",
        "--tensor-parallel-size=2",
        "--pipeline-parallel-size=3",
        "--data-parallel-size=4",
        "--quantization=awq",
        "--dtype=bfloat16",
        "--gpu-memory-utilization=0.5",
        "--kv-cache-dtype=fp8",
        "--no-enable-prefix-caching",
        "--scheduling-policy=fcfs",
        "--enable-auto-tool-choice",
        "--tool-call-parser=hermes",
        "--reasoning-parser=qwen3",
        "--enable-sleep-mode",
    } <= set(said)
    assert said[-1] == "--kv-transfer-config={}"
    assert plan(folder, section).capacity == 32


def test_what_nobody_says_is_left_to_vllm(folder: Path) -> None:
    said = command(plan(folder))
    named = {part.partition("=")[0] for part in said}
    assert not named & {"--max-model-len", "--max-num-seqs", "--quantization", "--dtype"}
    assert "--scheduling-policy=priority" in said


@pytest.mark.parametrize(
    ("name", "tools", "reasoning"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "hermes", None),
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder", None),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3_json", None),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic", None),
        ("mistralai/Mistral-Nemo-Instruct-2407", "mistral", None),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None, "deepseek_r1"),
        ("nobody/knows-this", None, None),
    ],
)
def test_parsers_are_those_of_the_family(
    folder: Path, name: str, tools: str | None, reasoning: str | None
) -> None:
    said = command(plan(folder, weights=name))
    assert [p for p in said if p.startswith("--tool-call-parser")] == (
        [f"--tool-call-parser={tools}"] if tools else []
    )
    assert [p for p in said if p.startswith("--reasoning-parser")] == (
        [f"--reasoning-parser={reasoning}"] if reasoning else []
    )
    assert ("--enable-auto-tool-choice" in said) == (tools is not None)


def test_a_name_of_the_hub_is_handed_on_and_none_takes_a_parser_away(folder: Path) -> None:
    said = command(plan(folder, {"tool_parser": "none"}, weights="Qwen/Qwen2.5-7B-Instruct"))
    assert said[2] == "Qwen/Qwen2.5-7B-Instruct"
    assert not any(part.startswith("--tool-call-parser") for part in said)


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ("demo:qwen", "llamacpp"),
        ("./x.gguf", "GGUF"),
        ("Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", "GGUF"),
        ("./nowhere", "there is no folder './nowhere'"),
        ("./venv", "no config.json"),
        ("", "there is no folder"),
    ],
)
def test_what_vllm_cannot_load_is_said_with_the_reason(
    folder: Path, weights: str, why: str
) -> None:
    problem = plan(folder, weights=weights).problem or ""
    assert why in problem
    assert str(folder) not in problem


def test_a_missing_command_or_venv_is_told(folder: Path) -> None:
    assert "no bin/vllm" in (plan(folder, {"venv": "qwen"}).problem or "")
    missing = plan(folder, {"venv": None, "command": ["no-such-vllm"]}).problem
    assert missing == "there is no command 'no-such-vllm'"


def test_a_port_of_loopback_takes_the_place_of_the_socket_and_replicas_count_up(
    folder: Path,
) -> None:
    first, second = plans(folder, {"port": 9000}, replicas=2)
    assert "--host=127.0.0.1" in command(first)
    assert "--port=9001" in command(second)
    assert (second.address.host, second.address.port) == ("127.0.0.1", 9001)
    assert not any(part.startswith("--uds") for part in command(first))


def test_devices_threads_and_variables_reach_its_environment(folder: Path) -> None:
    section = {"devices": [0, "GPU-1a2b"], "environment": {"HF_HOME": "/models"}}
    found = plan(folder, section, threads=4)
    assert found.launch is not None
    assert dict(found.launch.environment) == {
        "VLLM_NO_USAGE_STATS": "1",
        "CUDA_VISIBLE_DEVICES": "0,GPU-1a2b",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "HIP_VISIBLE_DEVICES": "0,GPU-1a2b",
        "OMP_NUM_THREADS": "4",
        "HF_HOME": "/models",
    }


def test_adapters_are_served_beside_the_model_with_room_for_the_largest(folder: Path) -> None:
    for name, rank in (("a", 8), ("b", 24)):
        (folder / name).mkdir()
        (folder / name / "adapter_config.json").write_text(json.dumps({"r": rank}))
    adapters = (AdapterOrder("first", "./a", 1), AdapterOrder("second", "./b", 1))
    found = plan(folder, adapters=adapters)
    said = command(found)
    assert {"--enable-lora", "--max-loras=2", "--max-lora-rank=32"} <= set(said)
    told = said[said.index("--lora-modules") + 1 :]
    assert [json.loads(one) for one in told] == [
        {"name": "first", "path": str(folder / "a")},
        {"name": "second", "path": str(folder / "b")},
    ]
    assert found.adapters == ("first", "second")


def test_an_adapter_that_vllm_cannot_serve_so_is_told_by_name(folder: Path) -> None:
    scaled = plan(folder, adapters=(AdapterOrder("sql", "./qwen", 0.5),)).problem or ""
    assert "'sql'" in scaled
    assert "adapter_scale" in scaled
    bare = plan(folder, adapters=(AdapterOrder("sql", "./qwen", 1),)).problem or ""
    assert "adapter_config.json" in bare


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("--host=0.0.0.0", "the gateway chooses where it listens"),
        ("--port", "the gateway chooses where it listens"),
        ("--api-key=x", "leaves most paths open"),
        ("--api_key=x", "leaves most paths open"),
        ("--served-model-name=x", "its name is"),
        ("--shutdown-timeout=0", "drain_timeout_s"),
        ("--headless", "kind: remote"),
        ("--max-model-len=10", "write `context`"),
        ("-tp", "write `tensor_parallel`"),
        ("--hos=0.0.0.0", "'--host' in short"),
    ],
)
def test_extra_arguments_that_would_break_supervision_are_refused(argument: str, why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        VllmEngine(kind="vllm", extra_args=("--enforce-eager", argument))
    assert why in str(refused.value)


def test_an_image_is_run_with_the_folders_and_the_devices_that_it_needs(folder: Path) -> None:
    section = {
        "venv": None,
        "image": "vllm/vllm-openai:v0.32.0",
        "runtime": "docker",
        "devices": [0, 1],
        "container_args": ["--volume=/hub:/root/.cache/huggingface"],
        "environment": {"HF_TOKEN": "t"},
    }
    found = plan(folder, section)
    assert found.launch is not None
    assert "--container=docker" in found.launch.argv
    said = command(found)
    assert said[:5] == ["docker", "run", "--rm", "--init", "--name"]
    assert "{pid}" in said[5]  # each life has a name of its own
    image = said.index("vllm/vllm-openai:v0.32.0")
    assert said[image - 1] == "--entrypoint=vllm"
    assert {
        "--volume=/run/wb:/run/wb",
        f"--volume={folder / 'qwen'}:{folder / 'qwen'}:ro",
        '--gpus="device=0,1"',
        "--env=HF_TOKEN=t",
        "--volume=/hub:/root/.cache/huggingface",
    } <= set(said[:image])
    assert said[image + 1 : image + 3] == ["serve", str(folder / "qwen")]
    assert guard.container_name(said) == said[5]


def test_podman_names_devices_its_own_way_and_a_port_is_published_on_loopback(
    folder: Path,
) -> None:
    section = {"venv": None, "image": "vllm", "runtime": "podman", "devices": [0], "port": 9000}
    said = command(plan(folder, section))
    assert "--device=nvidia.com/gpu=0" in said
    assert "--publish=127.0.0.1:9000:9000" in said
    assert "--host=0.0.0.0" in said


@pytest.mark.parametrize(
    "section",
    [{"image": "x", "venv": "y"}, {"runtime": "docker"}, {"container_args": ["--rm"]}],
)
def test_ways_to_call_it_that_contradict_each_other_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VllmEngine.model_validate({"kind": "vllm"} | section)


@pytest.mark.parametrize("text", ["{", "[]", pytest.param('{"a": ' + "[" * 100_000, id="nested")])
def test_a_config_that_nobody_can_read_is_left_to_vllm(text: str, folder: Path) -> None:
    (folder / "qwen" / "config.json").write_text(text, encoding="utf-8")
    assert plan(folder).problem is None


def test_what_was_pulled_is_served_from_its_folder_and_the_rest_is_left_to_vllm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))
    store = Store(folder / "hub", folder / "own")
    assert command(plan(folder, weights="o/r"))[2] == "o/r"
    pulled = cached(store, "o/r", {"config.json": b"{}", "model.safetensors": b"x"})
    assert command(plan(folder, weights="o/r"))[2] == str(pulled)
    cached(store, "o/r-GGUF", {"x-q4_0.gguf": b"x"})
    assert command(plan(folder, weights="o/r-GGUF"))[2] == "o/r-GGUF"
    in_image = plan(folder, {"image": "vllm", "venv": None, "runtime": "podman"}, weights="o/r")
    assert in_image.launch is not None
    assert str(pulled) not in " ".join(in_image.launch.argv)


@pytest.mark.parametrize(
    ("section", "weights", "absent"),
    [
        ({}, "o/model", True),
        ({}, "./qwen", False),
        ({"venv": None, "image": "vllm/vllm-openai"}, "o/model", False),
        ({"environment": {"HF_HOME": "/models"}}, "o/model", False),
        ({"extra_args": ["--download-dir=/models"]}, "o/model", False),
        ({"venv": "nowhere"}, "o/model", False),
    ],
)
def test_weights_that_are_not_where_vllm_would_look_are_told_to_be_absent(
    folder: Path,
    section: dict[str, Any],
    weights: str,
    absent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    found = plan(folder, section, weights=weights)
    wanted = Absent("o/model", "safetensors") if absent else None
    assert found.absent == wanted


def test_it_sleeps_where_there_is_a_gpu_and_its_section_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not plan(folder, {"sleep_mode": True}).sleeps
    monkeypatch.setattr("engines.kinds.vllm.gpus", lambda: (Gpu(0, "toy", 1 << 30, 1 << 30),))
    asleep = plan(folder, {"sleep_mode": True})
    assert asleep.sleeps
    assert asleep.launch is not None
    assert ("VLLM_SERVER_DEV_MODE", "1") in asleep.launch.environment
    assert not plan(folder).sleeps
