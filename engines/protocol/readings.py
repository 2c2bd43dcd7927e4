"""What OpenAI clients send to have texts read, not answered: embeddings, ranks and scores.

Owns: the structs of these requests; unknown fields are ignored.
Must not: know models, or how a model pools what it reads.
"""

from typing import Annotated, Any

import msgspec

from engines.protocol.requests import Budget, PositiveInt

Texts = str | Annotated[list[str], msgspec.Meta(min_length=1)]


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/v1/embeddings`. The input is text, token ids, or a list of either.

    `dimensions` keeps that many of a vector's first values, made a unit vector again.
    `truncate_prompt_tokens` is vLLM's, here and below: of a longer text the first so many tokens
    are read, as many as there is room for where it is -1; of a pair the second text is cut.
    """

    input: str | list[Any]
    model: str | None = None
    encoding_format: str | None = None
    dimensions: PositiveInt | None = None
    truncate_prompt_tokens: Budget | None = None
    user: str | None = None
    metadata: Any = None


class Document(msgspec.Struct, frozen=True):
    """A document to rank, where it is no plain text."""

    text: str


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/v1/rerank`. `top_n` bounds the results; 0, as without it, is all of them.

    Documents come back with the results unless `return_documents` is false. `use_activation`
    false asks for scores as the model's head gives them, where it has one. `max_tokens_per_doc` is
    Cohere's: of each document the first so many tokens are read.
    """

    query: str
    documents: Annotated[list[str | Document], msgspec.Meta(min_length=1)]
    model: str | None = None
    top_n: Annotated[int, msgspec.Meta(ge=0)] | None = None
    return_documents: bool | None = None
    use_activation: bool | None = None
    truncate_prompt_tokens: Budget | None = None
    max_tokens_per_doc: PositiveInt | None = None
    user: str | None = None
    metadata: Any = None

    def sides(self) -> tuple[list[str], list[str]]:
        """Return the query, and the texts that are ranked by it."""
        texts = [one if isinstance(one, str) else one.text for one in self.documents]
        return [self.query], texts


class ScoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/v1/score`: one text and one or several others, or as many as others."""

    text_1: Texts
    text_2: Texts
    model: str | None = None
    use_activation: bool | None = None
    truncate_prompt_tokens: Budget | None = None
    user: str | None = None
    metadata: Any = None

    def sides(self) -> tuple[list[str], list[str]]:
        """Return the texts that are held against each other, as they were sent."""
        first = [self.text_1] if isinstance(self.text_1, str) else self.text_1
        second = [self.text_2] if isinstance(self.text_2, str) else self.text_2
        return first, second
