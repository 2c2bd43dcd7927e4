"""Which models may serve a request, in what order, and why.

Owns: names and aliases, the rules of `routing.yaml`, filters, the order of candidates, reasons.
Must not: do I/O, read a clock, log, or weigh requests (`gateway.classify` does).
"""

from gateway.selection.constraints import constraints_of
from gateway.selection.fitting import is_open
from gateway.selection.matching import Verdict
from gateway.selection.selector import Selector

__all__ = ["Selector", "Verdict", "constraints_of", "is_open"]
