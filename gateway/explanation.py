"""Where a request would go and why, without sending it: what `route` tells on every path.

Owns: reading what may be asked about (whole bodies, or a text with its history), and the fields of
an explanation.
Must not: decide (`classify` and `selection` do), send anything, or lay out tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from engines.protocol.decoding import AnyRequest, decode_request
from engines.protocol.errors import ApiError, InvalidRequest
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest, Message
from gateway.asking import asked_by
from gateway.classify import language_hints
from gateway.deciding import Decider, Settled
from gateway.domain import Choice, Endpoint, ModelScore, ModelStatus, Weighed
from gateway.responses import ResponsesRequest, as_chat, error_of
from gateway.selection import Selector, Verdict

_FEATURES = ("task", "language", "prompt_language", "request_size", "difficulty")


class Prompt(msgspec.Struct, frozen=True):
    """A prompt that is no whole body.

    `history` are earlier turns, the oldest first; those that are texts are the user's.
    """

    text: str
    history: tuple[str | Message, ...] = ()
    has_tools: bool = False
    system: str | None = None
    model: str | None = None
    user: str | None = None
    metadata: Any = None

    def request(self) -> ChatRequest:
        """Return the chat request that it stands for."""
        before = [Message("system", self.system)] if self.system else []
        said = (*self.history, self.text)
        turns = [Message("user", one) if isinstance(one, str) else one for one in said]
        tools: list[Any] | None = [{}] if self.has_tools else None
        return ChatRequest(
            messages=[*before, *turns],
            model=self.model,
            tools=tools,
            user=self.user,
            metadata=self.metadata,
        )


# The field that tells which body it is, and what decodes it; the first that is there counts.
_BODIES: tuple[tuple[str, Endpoint, "msgspec.json.Decoder[Any]"], ...] = (
    ("messages", Endpoint.CHAT, msgspec.json.Decoder(ChatRequest)),
    ("prompt", Endpoint.COMPLETIONS, msgspec.json.Decoder(CompletionRequest)),
    ("input", Endpoint.EMBEDDINGS, msgspec.json.Decoder(EmbeddingRequest)),
    ("query", Endpoint.RERANK, msgspec.json.Decoder(RerankRequest)),
    ("text_1", Endpoint.SCORE, msgspec.json.Decoder(ScoreRequest)),
)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PROMPT = msgspec.json.Decoder(Prompt)
_RESPONSES = msgspec.json.Decoder(ResponsesRequest)
_CHAT = msgspec.json.Decoder(ChatRequest)
_OF_RESPONSES = frozenset(ResponsesRequest.__struct_fields__) - {
    *EmbeddingRequest.__struct_fields__,
    *CompletionRequest.__struct_fields__,
    *RerankRequest.__struct_fields__,
}


def read_request(body: bytes) -> tuple[Endpoint, AnyRequest]:
    """Return what a body asks for: a whole request of any endpoint, or an object with `text`.

    Raises:
        InvalidRequest: it is neither.
    """
    fields = decode_request(_FIELDS, body)
    if _is_of_responses(fields):
        asked = decode_request(_RESPONSES, body)
        try:
            return Endpoint.CHAT, decode_request(_CHAT, as_chat(asked, body))
        except InvalidRequest as error:
            raise error_of(asked, error) from None
    for name, endpoint, decoder in _BODIES:
        if name in fields:
            return endpoint, decode_request(decoder, body)
    if "text" in fields:
        return Endpoint.CHAT, decode_request(_PROMPT, body).request()
    raise InvalidRequest(
        "There is nothing to weigh. Send a whole request body (`messages`, `prompt`, `input`, "
        "`query` or `text_1`), or an object with `text`.",
        param="messages",
        code="missing_required_parameter",
    )


def _is_of_responses(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Say whether a body with an `input` is one of the Responses API, and of no other endpoint."""
    if "input" not in fields or any(name in fields for name, _, _ in _BODIES[:2]):
        return False
    # Texts and tokens are what embeddings are of; turns of a conversation are objects.
    turns = bytes(fields["input"]).lstrip(b"[ \t\r\n").startswith(b"{")
    return turns or not _OF_RESPONSES.isdisjoint(fields)


class RuleTried(msgspec.Struct, frozen=True):
    """A rule tried on the request: whether it matched, and why."""

    rule: str
    matched: bool
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided; each feature with a confidence from 0 to 1."""

    asked: str
    task: str
    task_confidence: float
    language: str
    language_confidence: float
    prompt_language: str
    prompt_language_confidence: float
    request_size: str
    request_size_confidence: float
    difficulty: float
    difficulty_confidence: float
    prompt_tokens: int
    rule: str
    model: str
    models: tuple[str, ...]


class Scored(msgspec.Struct, frozen=True):
    """How well a model suits the request: the weighted mean, and each criterion, 0 to 1."""

    model: str
    score: float
    parts: dict[str, float]


class Explained(Decision, frozen=True, kw_only=True):
    """What was decided, with the reasons for each feature, each rule and the choice."""

    reasons: tuple[str, ...]
    rules: tuple[RuleTried, ...]
    scores: tuple[Scored, ...]
    shadow: str | None
    choice_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A request's way: what it weighs, each rule tried, the choice."""

    asked: str
    weighed: Weighed
    verdicts: tuple[Verdict, ...]
    choice: Choice

    def brief(self) -> Decision:
        """Return what was decided."""
        return Decision(**self._decision())

    def whole(self) -> Explained:
        """Return what was decided with every reason."""
        return Explained(
            **self._decision(),
            reasons=self.weighed.reasons,
            rules=tuple(RuleTried(v.rule, v.matched, v.reason) for v in self.verdicts),
            scores=tuple(_rounded(score) for score in self.choice.scores),
            shadow=self.choice.shadow,
            choice_reasons=self.choice.reasons,
        )

    def _decision(self) -> dict[str, Any]:
        weighed, choice = self.weighed, self.choice
        told: dict[str, Any] = {name: getattr(weighed, name) for name in _FEATURES}
        told |= {f"{name}_confidence": getattr(weighed, f"{name}_confidence") for name in _FEATURES}
        return told | {
            "asked": self.asked,
            "prompt_tokens": weighed.prompt_tokens,
            "rule": choice.rule,
            "model": choice.models[0],
            "models": choice.models,
        }


def _rounded(score: ModelScore) -> Scored:
    parts = {name: round(value, 3) for name, value in score.parts}
    return Scored(score.model, round(score.total, 3), parts)


Count: TypeAlias = Callable[[str, AnyRequest], int | None]


class Explainer:
    """Explains requests by one configuration. Safe from any thread."""

    def __init__(self, selector: Selector, decider: Decider) -> None:
        self._selector = selector
        self._decider = decider

    def explain(
        self,
        endpoint: Endpoint,
        request: AnyRequest,
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        status: Mapping[str, ModelStatus] | None = None,
        seen: Mapping[str, float] | None = None,
        chance: float = 0.0,
        count: Count | None = None,
    ) -> Explanation:
        """Return where a request would go; without a `status` every model counts as up and idle.

        `seen` and `chance` are as in `Asked`. `count` asks an engine how many tokens the prompt
        has: of the model that a gateway would ask, else of the one that is chosen; None is that it
        cannot say.

        Raises:
            ApiError: the asked model does not exist, or nothing can serve the request.
        """
        weighed = self._decider.weigh(request, language_hints(headers))
        asked = asked_by(endpoint, request, headers, self._selector, chance=chance, seen=seen)
        settled = self._decider.decide(asked, weighed, status or {})
        if count is not None:
            model = settled.to_count or settled.choice.models[0]
            tokens = count(model, request)
            if tokens is not None:
                settled = self._counted(settled, model, tokens, status or {})
        weighed = settled.weighed or weighed
        verdicts = self._selector.explain(asked, weighed)
        return Explanation(request.model or "auto", weighed, verdicts, settled.choice)

    def _counted(
        self, settled: Settled, model: str, tokens: int, status: Mapping[str, ModelStatus]
    ) -> Settled:
        """Return what a count comes to; where no gateway asks for one, it decides nothing."""
        try:
            told = self._decider.counted(settled, model, tokens, status)
        except ApiError:
            if settled.to_count is not None:
                raise
            return settled
        before, after = settled.choice, told.choice
        same = (before.rule, before.models) == (after.rule, after.models)
        return told if same or settled.to_count is not None else settled
