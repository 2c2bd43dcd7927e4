"""What is asked of texts and not answered with text: embeddings, ranks, scores.

Owns: from a decoded request to the struct that answers it.
Must not: evaluate (`batcher`); speak HTTP.
"""

import asyncio
import base64
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import Floats
from engines.llamacpp.crowd import Crowd
from engines.llamacpp.model import Model
from engines.protocol.answers import (
    Embedding,
    EmbeddingAnswer,
    RankedDocument,
    RankedResult,
    RerankAnswer,
    Score,
    ScoreAnswer,
    Usage,
)
from engines.protocol.errors import InvalidRequest
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a text stands in a request: how it is called there, and the field."""

    who: str
    param: str


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How many tokens are read of a text, or of a pair's, and of a document; None for all."""

    text: int | None
    document: int | None


class Reader:
    """Answers for one model. Where the model has no head that ranks, likeness of vectors ranks.

    Cancelling an answer takes its texts out of the line.
    """

    def __init__(self, model: Model, batcher: Batcher, crowd: Crowd) -> None:
        self._model = model
        self._batcher = batcher
        self._crowd = crowd

    async def embed(self, request: EmbeddingRequest) -> EmbeddingAnswer:
        """Return a unit vector for each input.

        Raises:
            InvalidRequest: the model makes none, or not of what is sent, or not so wide.
            DecodeFailed: the engine could not go on.
            Overloaded: too many wait already.
        """
        self._model.check_embeds(request.model)
        kept, pack = self._dimensions(request), _packing(request)
        inputs = await asyncio.to_thread(self._inputs, request)
        vectors = await self._evaluate(inputs, "input")
        data = [Embedding(at, pack(_unit(vector[:kept]))) for at, vector in enumerate(vectors)]
        return EmbeddingAnswer(data, self._model.name, _usage(inputs))

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Return the documents' scores, the best first.

        Raises:
            InvalidRequest: the model cannot rank, or a document is too long for it.
            DecodeFailed: the engine could not go on.
            Overloaded: too many wait already.
        """
        _, texts = request.sides()
        scores, usage = await self._scores(request, ("query", "documents"))
        order = sorted(range(len(scores)), key=lambda at: -scores[at])
        told = request.return_documents is not False
        results = [
            RankedResult(at, scores[at], RankedDocument(texts[at]) if told else None)
            for at in order[: request.top_n or None]
        ]
        return RerankAnswer(f"rerank-{uuid.uuid4().hex}", self._model.name, usage, results)

    async def score(self, request: ScoreRequest) -> ScoreAnswer:
        """Return the score of each pair.

        Raises:
            InvalidRequest: the model cannot rank, a pair is too long for it, or they are none.
            DecodeFailed: the engine could not go on.
            Overloaded: too many wait already.
        """
        scores, usage = await self._scores(request, ("text_1", "text_2"))
        data = [Score(at, score) for at, score in enumerate(scores)]
        name = f"score-{uuid.uuid4().hex}"
        return ScoreAnswer(name, int(time.time()), self._model.name, data, usage)

    async def _scores(
        self, request: RerankRequest | ScoreRequest, params: tuple[str, str]
    ) -> tuple[list[float], Usage]:
        self._model.check_ranks(request.model)
        pairs, bounds = _pairs(request), _Bounds(self._most(request), _most_of_document(request))
        if not self._model.abilities.reranks:
            return await self._likeness(pairs, _places(pairs, request), bounds)
        prompts = await asyncio.to_thread(self._paired, pairs, params, bounds)
        told = await self._evaluate(prompts, params[1])
        # Of several scores llama.cpp has made chances, of which the first is that of "yes".
        bare = request.use_activation is False or self._batcher.pooled.width > 1
        score = float if bare else _chance
        return [score(numbers[0]) for numbers in told], _usage(prompts)

    def _inputs(self, request: EmbeddingRequest) -> list[list[int]]:
        """Return the tokens of each input; of one that is cut, what stands behind a text stays."""
        most = self._most(request)
        if most is None:
            return self._model.prompts(request.input, "input")
        texts = [request.input] if isinstance(request.input, str) else request.input
        beginning = self._model.vocabulary.beginning
        given = [beginning(one, most) if isinstance(one, str) else one for one in texts]
        return [self._cut(prompt, most) for prompt in self._model.prompts(given, "input")]

    def _tokens(self, text: str, param: str, most: int | None) -> list[int]:
        if most is None:
            return self._model.tokens(text, param)
        beginning = self._model.vocabulary.beginning(text, most)
        return self._cut(self._model.tokens(beginning, param), most)

    def _cut(self, tokens: list[int], most: int) -> list[int]:
        if len(tokens) <= most:
            return tokens
        _, ending, _ = self._model.vocabulary.frame()
        if not ending or most <= len(ending) or tokens[-len(ending) :] != ending:
            return tokens[:most]
        return [*tokens[: most - len(ending)], *ending]

    def _most(self, request: EmbeddingRequest | RerankRequest | ScoreRequest) -> int | None:
        """Return how many tokens of a text are read; None where longer ones are refused."""
        most, context = request.truncate_prompt_tokens, self._model.context
        if most == 0:
            raise InvalidRequest(
                "'truncate_prompt_tokens' must be 1 or more, or -1 for as many as fit.",
                param="truncate_prompt_tokens",
            )
        if most is not None and most > context:
            raise InvalidRequest(
                f"{most} tokens are more than this model's context length of {context}; -1 is as "
                "many as fit.",
                param="truncate_prompt_tokens",
            )
        return context if most == -1 else most

    def _paired(
        self, pairs: Sequence[Pair], params: tuple[str, str], bounds: _Bounds
    ) -> list[list[int]]:
        """Return the tokens of each pair; what cannot fit is refused before it is read."""
        own = bounds.document
        if own is not None:
            beginning = self._model.vocabulary.beginning
            pairs = [(first, beginning(second, own)) for first, second in pairs]
        if bounds.text is not None:
            return [self._cut_pair(pair, params[0], bounds.text, own) for pair in pairs]
        for first, second in pairs:
            self._model.room.check_text(first + second, params[1])
        return [self._model.pairs.tokens(first, second, own=own) for first, second in pairs]

    def _cut_pair(self, pair: Pair, param: str, most: int, own: int | None) -> list[int]:
        """Return the tokens of a pair; `param` is the first text's field, which is never cut."""
        first, second = pair
        self._model.room.check_text(first, param)
        beginning = self._model.vocabulary.beginning(second, most)
        tokens = self._model.pairs.tokens(first, beginning, most, own)
        if len(tokens) > most:  # nothing of the second is left: its score would mean nothing
            raise InvalidRequest(
                f"'{param}' leaves no room for the other text: {most} tokens of a pair are read, "
                f"and without that text it has {len(tokens)}. Shorten it, or have more read.",
                param=param,
            )
        return tokens

    async def _likeness(
        self, pairs: Sequence[Pair], places: Mapping[str, _Place], bounds: _Bounds
    ) -> tuple[list[float], Usage]:
        """Return the cosine of each pair; a text that stands in several is evaluated once."""
        own = bounds.text
        if bounds.document is not None:  # what stands around a text is none of it
            opening, ending, _ = self._model.vocabulary.frame()
            whole = bounds.document + len(opening) + len(ending)
            own = whole if own is None else min(own, whole)

        def read() -> list[list[int]]:
            return [
                self._tokens(text, place.param, own if place.param == "documents" else bounds.text)
                for text, place in places.items()
            ]

        prompts = await asyncio.to_thread(read)
        numbers = await self._pooled(prompts, [*places.values()])
        found = dict(zip(places, map(_unit, numbers), strict=True))
        # Rounding would make equal texts a little more than equal.
        likeness = [min(1.0, float(found[first] @ found[second])) for first, second in pairs]
        return likeness, _usage(prompts)

    async def _evaluate(self, prompts: Sequence[Sequence[int]], param: str) -> list[Floats]:
        texts = range(1, len(prompts) + 1)
        return await self._pooled(
            prompts, [_Place(f"Text {at} of '{param}'", param) for at in texts]
        )

    async def _pooled(
        self, prompts: Sequence[Sequence[int]], places: Sequence[_Place]
    ) -> list[Floats]:
        for prompt, place in zip(prompts, places, strict=True):
            self._model.room.check(len(prompt), place.param, answer=0, who=place.who)
        with self._crowd.with_these(len(prompts), places[-1].param):
            return await self._batcher.pool(prompts)

    def _dimensions(self, request: EmbeddingRequest) -> int:
        width = self._batcher.pooled.width
        if request.dimensions is not None and request.dimensions > width:
            raise InvalidRequest(
                f"This model's vectors have only {width} dimensions, not {request.dimensions}.",
                param="dimensions",
            )
        return request.dimensions or width


def _most_of_document(request: RerankRequest | ScoreRequest) -> int | None:
    return request.max_tokens_per_doc if isinstance(request, RerankRequest) else None


def _pairs(request: RerankRequest | ScoreRequest) -> list[Pair]:
    """Return the texts that are held against each other: one and several, or as many as others."""
    first, second = request.sides()
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise InvalidRequest(
            f"'text_1' has {len(first)} texts and 'text_2' has {len(second)}; send one and "
            "several, or as many on both sides.",
            param="text_2",
        )
    return [*zip(first, second, strict=True)]


def _places(pairs: Sequence[Pair], request: RerankRequest | ScoreRequest) -> dict[str, _Place]:
    """Return each text with where it first stands in a request."""
    ranks = isinstance(request, RerankRequest)
    places: dict[str, _Place] = {}
    for at, (first, second) in enumerate(pairs, 1):
        own = _Place(f"Text {at} of 'text_1'", "text_1")
        places.setdefault(first, _Place("The query", "query") if ranks else own)
        other = "documents" if ranks else "text_2"
        places.setdefault(second, _Place(f"Text {at} of '{other}'", other))
    return places


def _packing(request: EmbeddingRequest) -> Callable[[Floats], list[float] | str]:
    if request.encoding_format not in (None, "float", "base64"):
        raise InvalidRequest("Must be 'float' or 'base64'.", param="encoding_format")
    return _packed if request.encoding_format == "base64" else _listed


def _unit(vector: Floats) -> Floats:
    return vector / max(np.linalg.norm(vector), np.float32(1e-12))


def _chance(score: np.float32) -> float:
    return (1 + math.tanh(score / 2)) / 2  # the logistic function, which never overflows so


def _listed(vector: Floats) -> list[float]:
    numbers: list[float] = vector.tolist()
    return numbers


def _packed(vector: Floats) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _usage(prompts: Sequence[Sequence[int]]) -> Usage:
    tokens = sum(map(len, prompts))
    return Usage(tokens, 0, tokens)
