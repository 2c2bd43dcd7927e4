"""Every command line that `kind: vllm` writes is accepted by real vLLM's own parser."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engines.kinds import AdapterOrder, ModelOrder, Room, VllmEngine
from engines.vllm.parsers import all_parsers

READER = Path(__file__).parent / "read_commands.py"

# What is written of the engine and of the model, and options as vLLM must have read them.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "nothing": ({}, {}, {"scheduling_policy": "priority", "shutdown_timeout": "30"}),
    "a model's own": ({}, {"context": 2048, "parallel": 4}, {"max_model_len": "2048"}),
    "sizes": (
        {"context": 4096, "parallel": 16, "max_waiting": 64, "gpu_memory_utilization": 0.8},
        {},
        {"max_num_seqs": "16", "max_num_queued_reqs": "80", "gpu_memory_utilization": "0.8"},
    ),
    "many GPUs": (
        {"tensor_parallel": 4, "pipeline_parallel": 2, "data_parallel": 2, "devices": [0, 1]},
        {},
        {"tensor_parallel_size": "4", "pipeline_parallel_size": "2", "data_parallel_size": "2"},
    ),
    "AWQ": ({"quantization": "awq", "dtype": "half"}, {}, {"quantization": "awq"}),
    "GPTQ": ({"quantization": "gptq_marlin"}, {}, {"quantization": "gptq_marlin"}),
    "FP8": ({"quantization": "fp8", "kv_type": "fp8"}, {}, {"kv_cache_dtype": "fp8"}),
    "no prefix cache": ({"prefix_cache": False}, {}, {"enable_prefix_caching": "False"}),
    "first come": ({"priority": False}, {}, {"scheduling_policy": "fcfs"}),
    "sleep": ({"sleep_mode": True}, {}, {"enable_sleep_mode": "True"}),
    "embeddings": ({}, {"embeddings": True}, {"runner": "pooling", "convert": "embed"}),
    "ranks": ({}, {"pooling": "rank"}, {"runner": "pooling", "convert": "classify"}),
    "a port": ({"port": 9000}, {}, {"port": "9000", "host": "127.0.0.1", "uds": "None"}),
    "passed on": (
        {
            "extra_args": [
                "--enforce-eager",
                '--kv-transfer-config={"kv_connector": "NixlConnector", "kv_role": "kv_both"}',
                "--block-size=16",
            ]
        },
        {},
        {"enforce_eager": "True"},
    ),
}


@pytest.fixture(scope="module")
def read(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What real vLLM has read of each case: one process for all, it takes seconds to import."""
    base = tmp_path_factory.mktemp("weights")
    (base / "adapter").mkdir()
    (base / "adapter" / "adapter_config.json").write_text('{"r": 24}', encoding="utf-8")
    commands = {
        name: command(venv, base, section, order) for name, (section, order, _) in CASES.items()
    }
    adapters = (AdapterOrder("a=b", "./adapter", 1), AdapterOrder("sql", "./adapter", 1))
    commands["adapters"] = command(venv, base, {}, {"adapters": adapters})
    for parsers in all_parsers():
        given = {"tool_parser": parsers.tools, "reasoning_parser": parsers.reasoning}
        section = {key: value or "none" for key, value in given.items()}
        commands[f"parsers {parsers.tools} {parsers.reasoning}"] = command(venv, base, section, {})
    ended = subprocess.run(
        [venv / "bin" / "python", READER],
        input=json.dumps(list(commands.values())),
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return dict(zip(commands, json.loads(ended.stdout.splitlines()[-1]), strict=True))


def command(venv: Path, base: Path, section: dict[str, Any], order: dict[str, Any]) -> list[str]:
    """Return what stands behind `vllm serve`."""
    engine = VllmEngine.model_validate({"kind": "vllm", "venv": str(venv)} | section)
    wanted = ModelOrder("toy", "gpu", base, weights="Qwen/Qwen2.5-7B-Instruct", **order)
    (plan,) = engine.plan(wanted, Room(Path("/run/wb")))
    assert plan.launch is not None
    argv = list(plan.launch.argv)
    return argv[argv.index("serve") + 1 :]


@pytest.mark.parametrize("case", CASES)
def test_vllm_reads_what_the_section_says(read: dict[str, Any], case: str) -> None:
    told = read[case]
    assert isinstance(told, dict), told
    assert told["model_tag"] == "Qwen/Qwen2.5-7B-Instruct"
    assert told["served_model_name"] == "['toy']"
    for option, value in CASES[case][2].items():
        assert told[option] == value, option


def test_vllm_reads_adapters_of_any_name(read: dict[str, Any]) -> None:
    told = read["adapters"]
    assert isinstance(told, dict), told
    assert "name='a=b'" in told["lora_modules"]
    assert "name='sql'" in told["lora_modules"]
    assert (told["max_loras"], told["max_lora_rank"]) == ("2", "32")


def test_vllm_knows_every_parser_of_our_table(read: dict[str, Any]) -> None:
    wrong = {name: told for name, told in read.items() if not isinstance(told, dict)}
    assert wrong == {}
