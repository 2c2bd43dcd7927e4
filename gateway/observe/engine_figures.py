"""Reading the figures that engines expose about themselves, under one set of names.

Owns: which of their metric names mean what.
Must not: fetch them.

| figure | our worker (`weighbridge_worker_`) | vLLM (`vllm:`) | llama-server (`llamacpp:`) | SGLang (`sglang:`) |
|---|---|---|---|---|
| running | requests_running | num_requests_running | requests_processing | num_running_reqs |
| waiting | requests_waiting | num_requests_waiting | requests_deferred | num_queue_reqs |
| kv_used_ratio | kv_used_ratio | kv_cache_usage_perc | kv_cache_usage_ratio | token_usage |
| prompt_tokens | prompt_tokens + cached_tokens | prompt_tokens | prompt_tokens | prompt_tokens |
| cached_tokens | cached_tokens | prefix_cache_hits | | cached_tokens |
| completion_tokens | completion_tokens | generation_tokens | tokens_predicted | generation_tokens |
| first_token, gap | time_to_first_token_seconds, inter_token_latency_seconds | the same | | the same |
"""  # noqa: E501 - a table's row is one line

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_RUNNING = (
    "weighbridge_worker_requests_running",
    "vllm:num_requests_running",
    "llamacpp:requests_processing",
    "sglang:num_running_reqs",
)
_WAITING = (
    "weighbridge_worker_requests_waiting",
    "vllm:num_requests_waiting",
    "llamacpp:requests_deferred",
    "sglang:num_queue_reqs",
)
_KV_USED = (
    "weighbridge_worker_kv_used_ratio",
    "vllm:kv_cache_usage_perc",
    "llamacpp:kv_cache_usage_ratio",
    "sglang:token_usage",
)
_PROMPT = (
    "weighbridge_worker_prompt_tokens_total",
    "weighbridge_worker_cached_tokens_total",  # the worker's prompt tokens are those it evaluated
    "vllm:prompt_tokens_total",
    "llamacpp:prompt_tokens_total",
    "sglang:prompt_tokens_total",
)
_CACHED = (
    "weighbridge_worker_cached_tokens_total",
    "vllm:prefix_cache_hits_total",
    "sglang:cached_tokens_total",
)
_COMPLETION = (
    "weighbridge_worker_completion_tokens_total",
    "vllm:generation_tokens_total",
    "llamacpp:tokens_predicted_total",
    "sglang:generation_tokens_total",
)
_MAKERS = ("weighbridge_worker_", "vllm:", "sglang:")
_FIRST_TOKEN = tuple(f"{maker}time_to_first_token_seconds" for maker in _MAKERS)
_GAP = tuple(f"{maker}inter_token_latency_seconds" for maker in _MAKERS)
_SUM, _COUNT = "_sum", "_count"


@dataclass(frozen=True, slots=True)
class Durations:
    """How often something was measured, and the seconds of all times together."""

    count: float
    sum_s: float


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What an engine says of itself; None where it says nothing.

    Tokens and durations are counted since it started. `prompt_tokens` has those that its cache
    spared, which `cached_tokens` says alone.
    """

    running: float | None = None
    waiting: float | None = None
    kv_used_ratio: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    completion_tokens: float | None = None
    first_token: Durations | None = None
    gap: Durations | None = None


_KNOWN = frozenset(
    {
        *(*_RUNNING, *_WAITING, *_KV_USED, *_PROMPT, *_CACHED, *_COMPLETION),
        *(f"{name}{end}" for name in (*_FIRST_TOKEN, *_GAP) for end in (_SUM, _COUNT)),
    }
)


def read_engine_figures(exposition: str) -> EngineFigures:
    """Find the figures in a Prometheus text; several samples of one figure are added up.

    The KV ratio of several engine ranks is their greatest. A text that cannot be read gives
    nothing rather than an error: it is a decoration of the gateway's own scrape.
    """
    try:
        found = _samples(exposition)
    except ValueError:
        return EngineFigures()
    kv_used = [value for name in _KV_USED for value in found.get(name, ())]
    return EngineFigures(
        running=_total(found, _RUNNING),
        waiting=_total(found, _WAITING),
        kv_used_ratio=max(kv_used, default=None),
        prompt_tokens=_total(found, _PROMPT),
        cached_tokens=_total(found, _CACHED),
        completion_tokens=_total(found, _COMPLETION),
        first_token=_durations(found, _FIRST_TOKEN),
        gap=_durations(found, _GAP),
    )


def _samples(exposition: str) -> Mapping[str, list[float]]:
    """Return the values of the known names; vLLM tells some hundred others, which cost time.

    Raises:
        ValueError: it is no Prometheus text.
    """
    lines = exposition.splitlines()
    known = [line for line in lines if line.partition("{")[0].partition(" ")[0] in _KNOWN]
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families("\n".join([*known, ""])):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


def _total(found: Mapping[str, list[float]], names: tuple[str, ...]) -> float | None:
    values = [value for name in names for value in found.get(name, ())]
    return sum(values) if values else None


def _durations(found: Mapping[str, list[float]], names: tuple[str, ...]) -> Durations | None:
    count = _total(found, tuple(f"{name}{_COUNT}" for name in names))
    sum_s = _total(found, tuple(f"{name}{_SUM}" for name in names))
    return None if count is None or sum_s is None else Durations(count, sum_s)
