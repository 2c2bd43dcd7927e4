"""What one exchange cost: its times and its tokens.

Owns: the numbers of one request while it runs.
Must not: publish them; `gateway.observe.replica_metrics` does, when the exchange is over.
"""

from collections.abc import Callable

import msgspec

from engines.protocol.answers import Usage

_TOLD_EVERY_S = 0.2


class Account(msgspec.Struct):
    """Mutable, owned by the task that relays one exchange. All times in seconds of one clock.

    `gaps_s` are the times between two events that carry content (ITL where an event is a token).
    `retried` says that another replica was tried before: its time is no overhead of ours.
    `goes_on` says that another had begun to answer. `on_token` hears of events several times a
    second, of `told_events` so far.
    """

    clock: Callable[[], float]
    arrived_s: float
    forwarded_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    content_events: int = 0
    gaps_s: list[float] = []
    usage: Usage | None = None
    on_token: Callable[[int], None] | None = None
    told_events: int = 0
    retried: bool = False
    goes_on: bool = False
    _tell_s: float = 0.0

    def content_seen(self, events: int = 1) -> None:
        """Note that events with content have arrived now."""
        now_s, last_s = self.clock(), self.last_token_s
        if last_s is None:
            self.first_token_s = now_s
        else:
            self.gaps_s.append(now_s - last_s)
        if events > 1:
            self.gaps_s += [0.0] * (events - 1)
        self.last_token_s = now_s
        self.content_events += events
        if now_s >= self._tell_s and self.on_token is not None:
            self.on_token(self.content_events - self.told_events)
            self.told_events = self.content_events
            self._tell_s = now_s + _TOLD_EVERY_S

    @property
    def completion_tokens(self) -> int:
        """Completion tokens: what the engine reported, or else the events counted."""
        return self._reported_tokens or self.content_events

    @property
    def estimated_tokens(self) -> int:
        """Those of the completion tokens that are estimated: the events of what has no report."""
        return 0 if self._reported_tokens else self.content_events

    @property
    def _reported_tokens(self) -> int:
        return 0 if self.usage is None else self.usage.completion_tokens
