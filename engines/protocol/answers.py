"""What OpenAI clients receive: the structs that workers write and the gateway reads in part.

Owns: field names and their order on the wire.
Must not: decide values.
"""

from typing import Annotated, Any

import msgspec

Tokens = Annotated[int, msgspec.Meta(ge=0)]


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """`usage.prompt_tokens_details`: prompt tokens that came from the KV cache."""

    cached_tokens: Tokens | None = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """`usage.completion_tokens_details`: generated tokens that were thoughts."""

    reasoning_tokens: Tokens | None = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    total_tokens: Tokens = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class UseTold(msgspec.Struct):
    """What a worker of ours tells of a request that has ended, however it did.

    Tokens of the prompt that were read (or found in the cache), generated, and sent to the client.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    delivered_tokens: int = 0


class FunctionCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function's name and its arguments, a JSON object as text; in an event, what is new."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """One whole tool call."""

    id: str
    function: FunctionCall
    type: str = "function"


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one event adds to a tool call; the first has its id, type and name."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """The message of a finished chat answer; fields that are not OpenAI's only where they speak."""

    content: str | None
    role: str = "assistant"
    refusal: str | None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET


class ChatChoice(msgspec.Struct, frozen=True):
    """One finished choice of a chat answer."""

    index: int
    message: ChatMessage
    finish_reason: str
    logprobs: Any = None


class ChatAnswer(msgspec.Struct, frozen=True):
    """The body of a chat answer that is not streamed."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    object: str = "chat.completion"


class ChatDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one event adds to a choice."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChatChunkChoice(msgspec.Struct, frozen=True):
    """One choice's part of an event."""

    index: int
    delta: ChatDelta
    finish_reason: str | None = None
    logprobs: Any = None


class ChatChunk(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    tag_field="object",
    tag="chat.completion.chunk",
):
    """One event of a streamed chat answer; the usage event has no choices.

    A tag rather than a default holds `object`: defaults are left out, a tag never is.
    """

    id: str
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class TextChoice(msgspec.Struct, frozen=True):
    """One choice of a text completion, whole or streamed."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: Any = None


class TextAnswer(
    msgspec.Struct, frozen=True, omit_defaults=True, tag_field="object", tag="text_completion"
):
    """A text completion, whole or one event of it."""

    id: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


class Embedding(msgspec.Struct, frozen=True):
    """One embedding: floats, or base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: str = "embedding"


class EmbeddingAnswer(msgspec.Struct, frozen=True):
    """The body of an embeddings answer."""

    data: list[Embedding]
    model: str
    usage: Usage
    object: str = "list"


class RankedDocument(msgspec.Struct, frozen=True):
    """A document as it was sent."""

    text: str


class RankedResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document's place among the results: its `index` in the request, and its score."""

    index: int
    relevance_score: float
    document: RankedDocument | None = None


class RerankAnswer(msgspec.Struct, frozen=True):
    """The body of a rerank answer; the best result is the first."""

    id: str
    model: str
    usage: Usage
    results: list[RankedResult]


class Score(msgspec.Struct, frozen=True):
    """How well the texts of one pair go together."""

    index: int
    score: float
    object: str = "score"


class ScoreAnswer(msgspec.Struct, frozen=True):
    """The body of a score answer, a pair's score at its place in the request."""

    id: str
    created: int
    model: str
    data: list[Score]
    usage: Usage
    object: str = "list"
