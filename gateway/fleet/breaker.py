"""Whether a replica is asked at all: a circuit that failures open, and what the engine itself says.

Owns: the states. Must not: read a clock; the caller tells the time, in seconds of one clock.

| state | left by |
|---|---|
| closed | so many failures in a row -> open; `rest` -> open |
| open | its time is over -> half-open after failures, closed after `rest` |
| half-open | one request is let through: it is answered -> closed; it fails -> open |

A stream answers with its first word: nobody waits for its last. An answer that blames the client
is one: the engine is well. A client that goes says nothing.
"""

from dataclasses import dataclass

from gateway.domain import Outcome

_ANSWERED = (Outcome.OK, Outcome.CLIENT_ERROR)
_FAILED = (Outcome.ENGINE_ERROR, Outcome.TIMEOUT)
_LONGEST_REST_S = 300


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """How many failures in a row open a circuit, and for how many seconds."""

    failures: int = 5
    open_s: float = 10


class Breaker:
    """One replica's circuit; used from the event loop's thread only."""

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._failures = 0
        self._shut_until_s = 0.0
        self._probing = False
        self.openings = 0

    def follow(self, rules: BreakerRules) -> None:
        """Go by other rules from now on."""
        self._rules = rules

    def admits(self, now_s: float) -> bool:
        """Say whether a request may be given to the replica."""
        return now_s >= self._shut_until_s and not self._probing

    def opens_in_s(self, now_s: float) -> float:
        """Return how long it is until a request may be let through, 0 where one may be now."""
        return max(0.0, self._shut_until_s - now_s)

    def begin(self) -> bool:
        """Note that a request is let through; return whether it is the one that tries."""
        self._probing = self._failures >= self._rules.failures
        return self._probing

    def answers(self) -> None:
        """Note that the request which tries gets an answer, before its end: the engine is well."""
        self._probing = False
        self._failures = 0

    def end(self, outcome: Outcome, now_s: float, *, probe: bool) -> None:
        """Note how a request ended; `probe` is what `begin` returned for it."""
        if probe:
            self._probing = False
        if outcome in _ANSWERED:
            self._failures = 0
        elif outcome in _FAILED:
            self._failures += 1
            if self._failures >= self._rules.failures:
                self.openings += probe or self._failures == self._rules.failures
                self._shut_until_s = now_s + self._rules.open_s

    def rest(self, wait_s: float, now_s: float) -> None:
        """Let nobody through for as long as the engine has asked for."""
        self._shut_until_s = max(self._shut_until_s, now_s + min(wait_s, _LONGEST_REST_S))

    def reset(self) -> None:
        """Forget everything: the replica is another one now."""
        self._failures = 0
        self._shut_until_s = 0.0
        self._probing = False
