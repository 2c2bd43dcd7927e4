"""What the batcher has done so far, in plain numbers.

Owns: the figures, the bounds of histograms.
Must not: read a clock, or know how figures are written (`engines.llamacpp.scrape` does).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

_TTFT_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_ITL_BOUNDS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_STEP_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048)


class Histogram:
    """How many values lie up to each bound and above the one before; the last has the rest."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(map(float, bounds))
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class StepSeconds:
    """Where the time of all steps went; `mask` is waiting for grammars, and no part of `sample`."""

    build: float = 0.0
    decode: float = 0.0
    mask: float = 0.0
    sample: float = 0.0


@dataclass(slots=True)
class Counts:
    """Written by the batcher's thread, read by anybody."""

    steps: int = 0
    text_batches: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    preemptions: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    running: int = 0
    waiting: int = 0
    threads: int = 0
    kv_used_ratio: float = 0.0
    prefix_cache_bytes: int = 0
    seconds: StepSeconds = field(default_factory=StepSeconds)
    step_tokens: Histogram = field(default_factory=lambda: Histogram(_STEP_BOUNDS))
    ttft_s: Histogram = field(default_factory=lambda: Histogram(_TTFT_BOUNDS_S))
    itl_s: Histogram = field(default_factory=lambda: Histogram(_ITL_BOUNDS_S))
