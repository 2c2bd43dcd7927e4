"""Reading the figures that engines expose about themselves.

Owns: which of their metric names mean what.
Must not: fetch them.
"""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

# One row for each kind of server: our worker, vLLM, llama-server, SGLang.
_RUNNING = frozenset(
    {
        "weighbridge_worker_requests_running",
        "vllm:num_requests_running",
        "llamacpp:requests_processing",
        "sglang:num_running_reqs",
    }
)
_WAITING = frozenset(
    {
        "weighbridge_worker_requests_waiting",
        "vllm:num_requests_waiting",
        "llamacpp:requests_deferred",
        "sglang:num_queue_reqs",
    }
)
_KV_USED = frozenset(
    {
        "weighbridge_worker_kv_used_ratio",
        "vllm:kv_cache_usage_perc",
        "llamacpp:kv_cache_usage_ratio",
        "sglang:token_usage",
    }
)
_FIELDS = (("running", _RUNNING), ("waiting", _WAITING), ("kv_used_ratio", _KV_USED))


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What an engine says of itself; None where it says nothing."""

    running: float | None = None
    waiting: float | None = None
    kv_used_ratio: float | None = None


def read_engine_figures(exposition: str) -> EngineFigures:
    """Find the figures in a Prometheus text; several samples of one figure are added up.

    The KV ratio of several engine ranks is their greatest. A text that cannot be read gives
    nothing rather than an error: it is a decoration of the gateway's own scrape.
    """
    found: dict[str, list[float]] = {name: [] for name, _ in _FIELDS}
    try:
        for family in text_string_to_metric_families(exposition):
            for name, known in _FIELDS:
                found[name] += [s.value for s in family.samples if s.name in known]
    except ValueError:
        return EngineFigures()
    return EngineFigures(
        running=sum(found["running"]) if found["running"] else None,
        waiting=sum(found["waiting"]) if found["waiting"] else None,
        kv_used_ratio=max(found["kv_used_ratio"], default=None),
    )
