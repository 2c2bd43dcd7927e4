"""Settles which models may serve a request: decided, and where it matters counted by an engine.

Owns: the order of deciding, counting and deciding again.
Must not: decide or count itself.
"""

from collections.abc import Mapping, Sequence

from engines.protocol.requests import AnyRequest
from gateway.classify import language_hints
from gateway.deciding import Decider, Settled
from gateway.domain import Asked, ModelStatus
from gateway.selection import Selector
from gateway.tokenizing import TokenCounter


class Settler:
    """Settles requests, and remembers what they came to."""

    def __init__(self, selector: Selector, decider: Decider, counter: TokenCounter) -> None:
        self._selector = selector
        self._decider = decider
        self._counter = counter

    async def settle(
        self,
        asked: Asked,
        request: AnyRequest,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        status: Mapping[str, ModelStatus],
    ) -> Settled:
        """Return what serves a request.

        Raises:
            ApiError: the asked model does not exist, or nothing can serve the request.
        """
        if self._selector.meaning(asked.model).model is not None:
            return self._decider.decide_named(asked, request, len(body), status)
        weighed = self._decider.weigh(request, language_hints(headers))
        settled = self._decider.decide(asked, weighed, status)
        if settled.to_count is None:
            return settled
        tokens = await self._counter.count(settled.to_count, request, body)
        return settled if tokens is None else self._decider.counted(settled, tokens, status)

    def learn(self, settled: Settled, model: str, prompt_tokens: int) -> None:
        """Note how many tokens an engine has counted in a request's prompt."""
        self._decider.learn(settled, model, prompt_tokens)
