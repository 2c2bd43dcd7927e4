"""The worker's own figures in Prometheus's text format.

Owns: names and help. Must not: count; the batcher does.
"""

from collections.abc import Iterator
from dataclasses import fields
from itertools import accumulate

from engines.llamacpp.counts import Counts, Histogram

_ROWS = (
    ("requests_running", "gauge", "Sequences that hold a slot.", "running"),
    ("requests_waiting", "gauge", "Sequences that wait for a slot.", "waiting"),
    ("threads", "gauge", "Threads per step, fewer while others want the cores.", "threads"),
    ("kv_used_ratio", "gauge", "KV cells of running sequences, 0 to 1.", "kv_used_ratio"),
    ("prefix_cache_bytes", "gauge", "Memory of kept prefixes.", "prefix_cache_bytes"),
    ("steps_total", "counter", "Batches evaluated.", "steps"),
    ("text_batches_total", "counter", "Batches for vectors and ranks.", "text_batches"),
    ("prompt_tokens_total", "counter", "Prompt tokens evaluated.", "prompt_tokens"),
    ("cached_tokens_total", "counter", "Prompt tokens from the prefix cache.", "cached_tokens"),
    ("completion_tokens_total", "counter", "Tokens generated.", "completion_tokens"),
    ("preemptions_total", "counter", "Sequences preempted for lack of KV cells.", "preemptions"),
    ("drafted_tokens_total", "counter", "Tokens drafted and evaluated.", "drafted_tokens"),
    ("accepted_tokens_total", "counter", "Drafted tokens accepted.", "accepted_tokens"),
)
_HISTOGRAMS = (
    ("step_tokens", "Tokens evaluated in a step.", "step_tokens"),
    ("time_to_first_token_seconds", "From arrival here to the first token.", "ttft_s"),
    ("inter_token_latency_seconds", "Between two tokens of a sequence.", "itl_s"),
)


def exposition(counts: Counts) -> str:
    """Return all figures, each with its help and type."""
    lines: list[str] = []
    for name, kind, text, attribute in _ROWS:
        lines += _head(name, kind, text)
        lines.append(f"weighbridge_worker_{name} {getattr(counts, attribute)}")
    lines += _head("step_seconds_total", "counter", "Where the time of steps went.")
    for part in fields(counts.seconds):
        spent = getattr(counts.seconds, part.name)
        lines.append(f'weighbridge_worker_step_seconds_total{{part="{part.name}"}} {spent}')
    for name, text, attribute in _HISTOGRAMS:
        lines += _head(name, "histogram", text)
        lines += _buckets(f"weighbridge_worker_{name}", getattr(counts, attribute))
    return "\n".join([*lines, ""])


def _head(name: str, kind: str, text: str) -> list[str]:
    full = f"weighbridge_worker_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]


def _buckets(name: str, histogram: Histogram) -> Iterator[str]:
    # A copy: the batcher's thread may count on meanwhile, and the last bucket must be the count.
    up_to = list(accumulate(histogram.counts))
    for bound, count in zip((*histogram.bounds, "+Inf"), up_to, strict=True):
        yield f'{name}_bucket{{le="{bound}"}} {count}'
    yield f"{name}_sum {histogram.sum}"
    yield f"{name}_count {up_to[-1]}"
