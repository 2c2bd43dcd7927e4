"""Asks an engine how many tokens the prompt of a request has.

Owns: the question, in a form that vLLM, our workers and llama-server understand, and how long its
answer is waited for.
Must not: decide when it is worth asking (`gateway.deciding` does).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from engines.kinds import Deadlines
from engines.protocol.decoding import AnyRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from engines.protocol.unreadable import UNREADABLE
from gateway.fleet import Fleet
from gateway.observe.metrics import Metrics
from gateway.relay.bodies import edit_request
from gateway.relay.client import UpstreamClient, UpstreamRequest
from gateway.relay.failures import FAILURES

_DEADLINES = Deadlines(connect_s=0.5, first_byte_s=2, idle_s=2, total_s=3)
_SILENT_S = 60.0  # an engine that could not say is not asked again for so long


class _Told(msgspec.Struct, frozen=True):
    count: int | None = None
    tokens: list[Any] | None = None


_TOLD = msgspec.json.Decoder(_Told)


class TokenCounter:
    """Asks ready replicas. Mutable: it knows which models' engines could not say lately."""

    def __init__(
        self, fleet: Fleet, client: UpstreamClient, clock: Callable[[], float], metrics: Metrics
    ) -> None:
        self._fleet = fleet
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._silent_until_s: dict[str, float] = {}  # by model of the file

    async def count(self, model: str, request: AnyRequest, body: bytes) -> int | None:
        """Return the tokens of a prompt, None where no engine of the model can say."""
        plan = self._fleet.ready_plan(model)
        now_s = self._clock()
        if plan is None or plan.tokenize_path is None:
            return None
        if now_s < self._silent_until_s.get(model, now_s):
            return None
        sent = UpstreamRequest(
            "POST", plan.tokenize_path, question(request, body, plan.upstream_name(model))
        )
        try:
            status, answer = await self._client.fetch(plan.address, sent, _DEADLINES)
        except FAILURES:
            status, answer = 0, b""
        tokens = answered(answer) if status == 200 else None
        self._metrics.counted(model, told=tokens is not None)
        # A prompt that is refused as too long says nothing of the next one.
        if tokens is None and status not in (400, 413, 422):
            self._silent_until_s[model] = now_s + _SILENT_S
        return tokens


def question(request: AnyRequest, body: bytes, model: str) -> bytes:
    """Return what is asked: the request itself, and its texts for engines that know no messages."""
    if isinstance(request, ChatRequest):
        text = "\n".join(message.text() for message in request.messages)
    else:
        prompt = request.prompt if isinstance(request, CompletionRequest) else ""
        text = prompt if isinstance(prompt, str) else ""
    content = msgspec.Raw(msgspec.json.encode(text))
    return edit_request(body, model=model, ask_usage=False, changes={"content": content})


def answered(body: bytes) -> int | None:
    """Return the count that an engine told; None where it told none."""
    try:
        told = _TOLD.decode(body)
    except UNREADABLE:
        return None
    count = told.count if told.count is not None else len(told.tokens or ())
    return count if count > 0 else None
