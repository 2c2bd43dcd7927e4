"""From what sequences say to OpenAI's answers, whole or as events: what all share, and chats.

Owns: ids, indices, finish reasons, usage, logprobs on the wire.
Must not: run anything.
"""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engines.llamacpp.message import delta_of, message_of
from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.speech.parts import Part
from engines.llamacpp.speech.speech import Speech
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.answers import (
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    CompletionTokensDetails,
    PromptTokensDetails,
    Usage,
)
from engines.protocol.events import write_event

_NOTHING = ChatDelta()


@dataclass(slots=True)
class Said:
    """What one choice has said so far."""

    text: list[str] = field(default_factory=list)
    tokens: int = 0
    told: list[TokenTold] = field(default_factory=list)
    finish_reason: str = "stop"
    cached: int = 0
    prompt: Sequence[TokenTold] | None = None


class Writer(ABC):
    """Gathers one request's progress; subclasses know one endpoint's shapes.

    With `counts` each event tells the usage so far.
    """

    prefix = ""

    def __init__(
        self,
        model: str,
        orders: Sequence[Order],
        vocabulary: Vocabulary,
        *,
        counts: bool = False,
    ) -> None:
        self._counts = counts
        self._model = model
        self._orders = orders
        self._vocabulary = vocabulary
        self._said = [Said() for _ in orders]
        self._id = f"{self.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def add(self, index: int, progress: Progress) -> None:
        """Keep what a choice has said."""
        said = self._said[index]
        said.text.append(progress.text)
        said.tokens += progress.tokens
        said.told += progress.told
        said.cached += progress.cached
        if progress.prompt is not None:
            said.prompt = progress.prompt
        if progress.finish_reason is not None:
            said.finish_reason = progress.finish_reason

    def usage(self) -> Usage:
        """Return the tokens so far; a prompt counts once, however many choices it has."""
        firsts = [(o, s) for o, s in zip(self._orders, self._said, strict=True) if o.choice == 0]
        prompt = sum(len(order.prompt) for order, _ in firsts)
        cached = sum(said.cached for _, said in firsts)
        completion = sum(said.tokens for said in self._said)
        return Usage(prompt, completion, prompt + completion, PromptTokensDetails(cached))

    def opening(self) -> bytes:
        """Return the events that come before the first token."""
        return b""

    @abstractmethod
    def event(self, index: int, progress: Progress) -> bytes:
        """Return the event for one step of a choice; b"" when it says nothing."""

    @abstractmethod
    def usage_event(self) -> bytes:
        """Return the event that carries the usage and nothing else."""

    @abstractmethod
    def answer(self) -> bytes:
        """Return the whole answer."""


@dataclass(slots=True)
class _Heard:
    """What one choice's text has meant so far; `fresh` came with the last step."""

    speech: Speech
    parts: list[Part] = field(default_factory=list)
    fresh: list[Part] = field(default_factory=list)
    thought_tokens: int = 0


class ChatWriter(Writer):
    """`chat.completion` and its chunks. `speeches` hear the choices, one each."""

    prefix = "chatcmpl"

    def __init__(
        self,
        model: str,
        orders: Sequence[Order],
        vocabulary: Vocabulary,
        speeches: Sequence[Speech],
        *,
        counts: bool = False,
    ) -> None:
        super().__init__(model, orders, vocabulary, counts=counts)
        self._heard = [_Heard(speech) for speech in speeches]

    def add(self, index: int, progress: Progress) -> None:
        """Keep what a choice has said, and hear what it means."""
        super().add(index, progress)
        heard = self._heard[index]
        speech = heard.speech
        thought = speech.thinking
        heard.fresh = speech.feed(progress.text)
        if progress.finish_reason is not None:
            heard.fresh += speech.finish()
            # What is cut may lack a call, or the end of one: then that is what clients must know.
            if speech.calls and progress.finish_reason == "stop":
                self._said[index].finish_reason = "tool_calls"
        if thought or speech.thinking:
            heard.thought_tokens += progress.tokens
        heard.parts += heard.fresh

    def usage(self) -> Usage:
        """Return the tokens so far, those of thoughts as well where there are any."""
        thoughts = sum(heard.thought_tokens for heard in self._heard)
        details = CompletionTokensDetails(thoughts) if thoughts else None
        return msgspec.structs.replace(super().usage(), completion_tokens_details=details)

    def opening(self) -> bytes:
        """Give each choice its role first, as OpenAI does."""
        delta = ChatDelta(role="assistant", content="")
        return b"".join(
            self._chunk([ChatChunkChoice(index, delta)]) for index in range(len(self._orders))
        )

    def event(self, index: int, progress: Progress) -> bytes:
        """Return what a step added, and the end in the same event."""
        delta = delta_of(self._heard[index].fresh)
        ended = progress.finish_reason is not None
        if delta == _NOTHING and not progress.told and not ended:
            return b""
        finish_reason = self._said[index].finish_reason if ended else None
        logprobs = self._logprobs(progress.told) if progress.told else None
        return self._chunk([ChatChunkChoice(index, delta, finish_reason, logprobs)])

    def usage_event(self) -> bytes:
        """Return the last event before `[DONE]`."""
        return self._chunk([], self.usage())

    def answer(self) -> bytes:
        """Return the whole answer."""
        choices = [
            ChatChoice(
                index,
                message_of(heard.parts),
                said.finish_reason,
                self._logprobs(said.told) if said.told else None,
            )
            for index, (said, heard) in enumerate(zip(self._said, self._heard, strict=True))
        ]
        return msgspec.json.encode(
            ChatAnswer(self._id, self._created, self._model, choices, self.usage())
        )

    def _chunk(self, choices: list[ChatChunkChoice], usage: Usage | None = None) -> bytes:
        if self._counts:
            usage = self.usage()
        return write_event(
            msgspec.json.encode(ChatChunk(self._id, self._created, self._model, choices, usage))
        )

    def _logprobs(self, told: Sequence[TokenTold]) -> dict[str, Any]:
        return {"content": [self._one(t.token, t.logprob, t.alternatives) for t in told]}

    def _one(
        self, token: int, logprob: float, alternatives: Sequence[tuple[int, float]] | None = None
    ) -> dict[str, Any]:
        piece = self._vocabulary.written(token)
        told: dict[str, Any] = {
            "token": piece.decode("utf-8", "replace"),
            "logprob": logprob,
            "bytes": list(piece),
        }
        if alternatives is not None:
            told["top_logprobs"] = [self._one(other, value) for other, value in alternatives]
        return told
