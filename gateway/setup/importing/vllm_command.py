"""The flags of `vllm serve` in the words of `routing.yaml`.

Owns: which flags have a key of their own; the others are passed on as `extra_args`.
Must not: say which flags vLLM must not be given (`engines.vllm.arguments` does).
"""

from collections.abc import Sequence
from typing import Any

from engines.vllm.arguments import refusals
from gateway.setup.importing.commands import Command
from gateway.setup.importing.sheet import whole

_COUNTS = {
    "--tensor-parallel-size": "tensor_parallel",
    "-tp": "tensor_parallel",
    "--pipeline-parallel-size": "pipeline_parallel",
    "-pp": "pipeline_parallel",
    "--data-parallel-size": "data_parallel",
    "-dp": "data_parallel",
}
_WORDS = {
    "--quantization": "quantization",
    "-q": "quantization",
    "--dtype": "dtype",
    "--kv-cache-dtype": "kv_type",
    "--tool-call-parser": "tool_parser",
    "--reasoning-parser": "reasoning_parser",
}
_MODEL = {"--max-model-len": ("context", 64, 1 << 31), "--max-num-seqs": ("parallel", 1, 256)}
_SWITCHES = {
    "--enable-prefix-caching": ("prefix_cache", True),
    "--no-enable-prefix-caching": ("prefix_cache", False),
    "--enable-sleep-mode": ("sleep_mode", True),
}
# The gateway sets these itself, or has no use for them.
_IDLE = frozenset(
    {"--host", "--port", "--uds", "--served-model-name", "--api-key", "--enable-auto-tool-choice"}
    | {"--shutdown-timeout", "--scheduling-policy"}
)


def vllm_command(program: str, pairs: Sequence[tuple[str, str]]) -> Command:
    """Return what `vllm serve` is told by these flags and values."""
    model: dict[str, Any] = {}
    engine: dict[str, Any] = {} if program == "vllm" else {"command": program}
    extra: list[str] = []
    unknown: list[str] = []
    for flag, value in pairs:
        if flag in ("", "--model"):
            model["weights"] = value
        elif not _known(flag, value, model, engine) and flag not in _IDLE:
            argument = f"{flag}={value}" if value else flag
            (unknown if any(refusals([argument])) else extra).append(argument)
    if extra:
        engine["extra_args"] = extra
    return Command("vllm", model, engine, tuple(unknown))


def _known(flag: str, value: str, model: dict[str, Any], engine: dict[str, Any]) -> bool:
    """Put down what has a key of its own; say whether it was that."""
    if flag in _MODEL:
        key, least, most = _MODEL[flag]
        return _put(model, key, whole(value, least, most))
    if flag in _COUNTS:
        return _put(engine, _COUNTS[flag], whole(value))
    if flag in _WORDS:
        return _put(engine, _WORDS[flag], value or None)
    if flag in _SWITCHES:
        key, setting = _SWITCHES[flag]
        return _put(engine, key, setting)
    return flag == "--gpu-memory-utilization" and _put(
        engine, "gpu_memory_utilization", _share(value)
    )


def _put(section: dict[str, Any], key: str, value: object) -> bool:
    if value is not None:
        section[key] = value
    return value is not None


def _share(value: str) -> float | None:
    try:
        share = float(value)
    except ValueError:
        return None
    return share if 0 < share <= 1 else None
