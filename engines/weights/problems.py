"""What is wrong with weights, in words for people.

Owns: the errors. Must not: show a folder of this machine: clients may see the messages.
"""


class WeightsProblem(ValueError):
    """The value names no file that can be used; the message says why and how to mend it."""


class SeveralModels(WeightsProblem):
    """The value may mean more than one model; the message names them."""


class NotPulled(WeightsProblem):
    """What the value names lies on a hub or behind a URL, and has not been fetched yet."""
