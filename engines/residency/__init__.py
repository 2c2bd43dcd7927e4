"""Residency: which models are in memory, which must leave, and whose turn it is.

Owns: the states of a unit of models that are loaded together, their transitions, and the planner.
Must not: load or end anything, read a clock, wait, or import `gateway`; all of it is pure.
"""

from engines.residency.planner import decide, hopeless
from engines.residency.states import Event, State, WrongTurn, step
from engines.residency.units import Plan, Rules, Standing, Unit

__all__ = [
    "Event",
    "Plan",
    "Rules",
    "Standing",
    "State",
    "Unit",
    "WrongTurn",
    "decide",
    "hopeless",
    "step",
]
