"""The worker's own figures in Prometheus's text format.

Owns: names and help. Must not: count; the batcher does.
"""

from engines.llamacpp.batcher import Counts

_ROWS = (
    ("requests_running", "gauge", "Sequences that hold a slot.", "running"),
    ("requests_waiting", "gauge", "Sequences that wait for a slot.", "waiting"),
    ("kv_used_ratio", "gauge", "KV cells of running sequences, 0 to 1.", "kv_used_ratio"),
    ("kv_kept_ratio", "gauge", "KV cells kept for later, 0 to 1.", "kv_kept_ratio"),
    ("steps_total", "counter", "Batches evaluated.", "steps"),
    ("prompt_tokens_total", "counter", "Prompt tokens evaluated.", "prompt_tokens"),
    ("cached_tokens_total", "counter", "Prompt tokens found in the cache.", "cached_tokens"),
    ("completion_tokens_total", "counter", "Tokens generated.", "completion_tokens"),
    ("preemptions_total", "counter", "Sequences put back for want of cells.", "preemptions"),
)


def exposition(counts: Counts) -> str:
    """Return all figures, each with its help and type."""
    lines = []
    for name, kind, text, attribute in _ROWS:
        full = f"weighbridge_worker_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        lines.append(f"{full} {getattr(counts, attribute)}")
    return "\n".join([*lines, ""])
