"""What `extra_args:` may not say: what would take vLLM out of the gateway's hands.

Owns: the refused options, each with the reason. Must not: know the others: vLLM reads them.
"""

from collections.abc import Iterator, Sequence

_ADDRESS = "the gateway chooses where it listens: a socket that only it can reach"
_NAME = "its name is that of the model in the file"
_DOOR = "it leaves most paths open, and only the gateway can reach it anyway"
_ENDS = "set `drain_timeout_s`: without a timeout vLLM lets streams hang for ever"
_ELSEWHERE = "its processes would be started, or used, by others; use `kind: remote`"

_REFUSED = {
    "--host": _ADDRESS,
    "--port": _ADDRESS,
    "--uds": _ADDRESS,
    "--root-path": _ADDRESS,
    "--ssl-keyfile": _ADDRESS,
    "--ssl-certfile": _ADDRESS,
    "--ssl-ca-certs": _ADDRESS,
    "--served-model-name": _NAME,
    "--model": "set `weights` on the model",
    "--config": "it could set what the gateway must set; list its options here",
    "--api-key": _DOOR,
    "--shutdown-timeout": _ENDS,
    "--headless": _ELSEWHERE,
    "--grpc": _ELSEWHERE,
    "--data-parallel-external-lb": _ELSEWHERE,
    "--data-parallel-hybrid-lb": _ELSEWHERE,
    "--data-parallel-rank": _ELSEWHERE,
    "--help": "it would print and exit",
    "-h": "it would print and exit",
    "--lora-modules": "add an entry to `models:` with `adapter_of`",
    "--enable-lora": "an entry of `models:` with `adapter_of` sets it",
}
# Options that have a key of their own: two places for one value is one too many.
_KEYS = {
    "--tensor-parallel-size": "tensor_parallel",
    "-tp": "tensor_parallel",
    "--pipeline-parallel-size": "pipeline_parallel",
    "-pp": "pipeline_parallel",
    "--data-parallel-size": "data_parallel",
    "-dp": "data_parallel",
    "--quantization": "quantization",
    "-q": "quantization",
    "--max-model-len": "context",
    "--max-num-seqs": "parallel",
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--kv-cache-dtype": "kv_type",
    "--dtype": "dtype",
    "--enable-prefix-caching": "prefix_cache",
    "--no-enable-prefix-caching": "prefix_cache",
    "--scheduling-policy": "priority",
    "--tool-call-parser": "tool_parser",
    "--enable-auto-tool-choice": "tool_parser",
    "--reasoning-parser": "reasoning_parser",
    "--max-num-queued-reqs": "max_waiting",
    "--enable-sleep-mode": "sleep_mode",
}


def refusals(extra: Sequence[str]) -> Iterator[str]:
    """Yield why some of these arguments cannot be passed on."""
    for argument in extra:
        if not argument.startswith("-"):
            continue
        # vLLM reads underscores as dashes, and `--name.part` as a part of a JSON value.
        name = argument.partition("=")[0].partition(".")[0]
        if name.startswith("--"):
            name = name.replace("_", "-")
        if name in _REFUSED:
            yield f"'{name}' cannot be passed on: {_REFUSED[name]}"
        elif name in _KEYS:
            yield f"'{name}' has a key of its own: write `{_KEYS[name]}`"
        elif name.startswith("--"):
            # vLLM takes the beginning of an option for the option.
            whole = next((full for full in (*_REFUSED, *_KEYS) if full.startswith(name)), None)
            if whole is not None:
                yield f"'{name}' is '{whole}' in short, which cannot be passed on; write it whole"
