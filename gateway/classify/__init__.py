"""What a request is: its task, its languages, its size. Pure, synchronous, no I/O after the start.

Owns: the words of `data/`, the language detector, the estimates.
Must not: choose models (`gateway.selection` does), keep anything of a request, raise on any text.
"""

from gateway.classify.gauge import Gauge, Lesson
from gateway.classify.hints import language_hints
from gateway.classify.weigher import Weigher

__all__ = ["Gauge", "Lesson", "Weigher", "language_hints"]
