"""Why something was not fetched, in words for people.

Owns: the errors of this room. Must not: hold a token or a whole URL.
"""


class PullProblem(Exception):
    """It was not fetched; the message says why and how to mend it."""


class LicenceProblem(PullProblem):
    """Nobody has agreed to the licence."""
