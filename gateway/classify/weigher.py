"""Weighs a request: task, languages, size, each with a reason a person can read.

Owns: which text of a request counts, and what its shape says (tools, images, audio, JSON).
Must not: choose models; keep anything of a request; raise on any text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from engines.protocol.requests import (
    AnyRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    RerankRequest,
    ScoreRequest,
)
from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.language import NOTHING, Found, LanguageFinder
from gateway.classify.lexicon import load_lexicons
from gateway.classify.plain import plain
from gateway.classify.reading import Reader, Turn
from gateway.classify.requesting import load_openings
from gateway.classify.segments import clip, has_letters
from gateway.classify.size import TOKENS_PER_IMAGE, TOKENS_PER_TURN, request_size, tokens_of
from gateway.classify.task import Task, TaskFinder
from gateway.config.schema import LanguageSection, SizeSection
from gateway.domain import UNDECIDED, Weighed

_EARLIER_TURNS = 4
_SHORT_LETTERS = 24  # a turn shorter than this leans on the turns before it
_SURE = 0.75
_ASKED = 0.95  # how sure it is that a language which the request names is meant
_HINTED = 0.5
_INSTRUCTION_CHARS = 600
_CLOSING_CHARS = 240
_SHORT_CHARS = 60
_JSON_FORMATS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a request says without its words. `task` is set where the shape settles it."""

    prompt_tokens: int
    answer_tokens: int | None = None
    task: Task | None = None
    tools: bool = False
    images: bool = False
    json_schema: bool = False


class Weigher:
    """Weighs requests. Built once: it loads word lists and a language detector of 1 MB.

    Synchronous and quick; long texts are read at their ends only. Safe from any thread.
    """

    def __init__(
        self, sizes: SizeSection | None = None, languages: LanguageSection | None = None
    ) -> None:
        self._sizes = sizes or SizeSection()
        languages = languages or LanguageSection()
        self._languages = LanguageFinder(languages.undecided_below)
        self._answers = AnswerLanguageFinder()
        lexicons = load_lexicons()
        self._tasks = TaskFinder(lexicons)
        leads = (one.leads() for one in lexicons.values())
        openings = chain(load_openings(), self._answers.verbs(), *leads)
        self._reader = Reader(self._languages, openings)

    def weigh(self, request: AnyRequest, hints: Sequence[str] = ()) -> Weighed:
        """Return what a request to any endpoint weighs; `hints` as for `weigh_chat`."""
        if isinstance(request, ChatRequest):
            return self.weigh_chat(request, hints)
        if isinstance(request, CompletionRequest):
            return self.weigh_completion(request)
        if isinstance(request, EmbeddingRequest):
            return self.weigh_embedding(request)
        return self.weigh_rerank(request)

    def weigh_chat(self, request: ChatRequest, hints: Sequence[str] = ()) -> Weighed:
        """Return what a chat request weighs; the newest user turn leads.

        `hints` are languages that something beside the text speaks for, the likeliest first.
        """
        turns = [m.text() for m in request.messages if m.role == "user"]
        systems = [m.text() for m in request.messages if m.role in ("system", "developer")]
        return self._weigh(turns, systems, _shape_of_chat(request), hints)

    def weigh_completion(self, request: CompletionRequest) -> Weighed:
        """Return what a text completion weighs; token ids count but cannot be read."""
        texts, tokens = _texts_and_tokens(request.prompt)
        return self._weigh(texts[:1], (), _Shape(tokens, request.answer_tokens()))

    def weigh_embedding(self, request: EmbeddingRequest) -> Weighed:
        """Return what an embedding request weighs; the first text stands for all."""
        texts, tokens = _texts_and_tokens(request.input)
        task = Task("embedding", "the endpoint makes embeddings")
        return self._weigh(texts[:1], (), _Shape(tokens, task=task))

    def weigh_rerank(self, request: RerankRequest | ScoreRequest) -> Weighed:
        """Return what a request for ranks or scores weighs; its first text stands for all."""
        first, second = request.sides()
        # A query is read again with each document.
        times = len(second) if len(first) == 1 else 1
        tokens = sum(map(tokens_of, second)) + times * sum(map(tokens_of, first))
        task = Task("rerank", "the endpoint ranks texts")
        return self._weigh(first[:1], (), _Shape(tokens, task=task))

    def _weigh(
        self,
        turns: Sequence[str],
        systems: Sequence[str],
        shape: _Shape,
        hints: Sequence[str] = (),
    ) -> Weighed:
        recent = [text for text in turns[: -_EARLIER_TURNS - 2 : -1] if text.strip()]
        read = [self._reader.read(text, hints) for text in recent]
        prompt = self._prompt_language(read)
        task = self._task(read, shape)
        answer = self._answer_language(read, systems, prompt, task.name)
        if answer.language == UNDECIDED and hints:
            answer = Found(hints[0], _HINTED, "the request's headers hint at it")
        size = request_size(shape.prompt_tokens, self._sizes)
        return Weighed(
            task=task.name,
            language=answer.language,
            prompt_language=prompt.language,
            request_size=size,
            prompt_tokens=shape.prompt_tokens,
            answer_tokens=shape.answer_tokens,
            tools=shape.tools,
            images=shape.images,
            json_schema=shape.json_schema,
            language_confidence=round(answer.confidence, 2),
            prompt_language_confidence=round(prompt.confidence, 2),
            reasons=(
                f"task is {task.name}: {task.reason}",
                f"prompt_language is {prompt.language}: {prompt.reason}",
                f"language is {answer.language}: {answer.reason}",
                f"request_size is {size}: about {shape.prompt_tokens} prompt tokens, "
                f"small below {self._sizes.small_below}, large from {self._sizes.large_from}",
            ),
        )

    def _prompt_language(self, turns: Sequence[Turn]) -> Found:
        """Return the newest turn's language; where it is too short to tell, an earlier one's."""
        if not turns:
            return NOTHING
        newest = turns[0].found
        short = newest.confidence < _SURE and not has_letters(turns[0].text.asked, _SHORT_LETTERS)
        if newest.language != UNDECIDED and not short:
            return newest
        for turn in turns[1:]:
            if turn.found.language != UNDECIDED:
                why = f"the newest turn is too short to tell; before it: {turn.found.reason}"
                return Found(turn.found.language, turn.found.confidence, why)
        return newest

    def _answer_language(
        self, turns: Sequence[Turn], systems: Sequence[str], prompt: Found, task: str
    ) -> Found:
        if turns:
            text = turns[0].text
            # In "a script that translates into English" the language belongs to the script.
            asked = self._answers.find(text.asked, prompt.language, strict=task == "code")
            if asked is None and turns[0].supplied:
                closing = plain(text.prose[-_CLOSING_CHARS:])
                asked = self._answers.find(closing, prompt.language, strict=True)
            if asked is not None:
                return Found(asked, _ASKED, "the prompt asks for it")
        for system in systems:
            start = plain(clip(system)[:_INSTRUCTION_CHARS])
            written = self._languages.find(start).language
            named = self._answers.find(start, written)
            if named is not None:
                return Found(named, _ASKED, "the system prompt asks for it")
        why = "the prompt's own, as no other is asked for"
        return Found(prompt.language, prompt.confidence, why)

    def _task(self, turns: Sequence[Turn], shape: _Shape) -> Task:
        if shape.task is not None:
            return shape.task
        task = self._tasks.find(turns[0].text) if turns else Task(UNDECIDED, "there is no text")
        if task.name != UNDECIDED:
            return task
        if shape.json_schema:
            return Task("extraction", "JSON is wanted back, and nothing else speaks")
        if len(turns) > 1 and len(turns[0].text.raw) <= _SHORT_CHARS:
            before = self._tasks.find(turns[1].text)
            return Task(before.name, f"the newest turn is short; before it: {before.reason}")
        return task


def _shape_of_chat(request: ChatRequest) -> _Shape:
    messages = request.messages
    tokens = sum(tokens_of(message.text()) + TOKENS_PER_TURN for message in messages)
    images = sum(_parts(message, "image_url") for message in messages)
    if request.tools:
        tokens += tokens_of(msgspec.json.encode(request.tools).decode("utf-8"))
    return _Shape(
        prompt_tokens=tokens + images * TOKENS_PER_IMAGE,
        answer_tokens=request.answer_tokens(),
        task=_task_of_shape(request),
        tools=bool(request.tools),
        images=images > 0,
        json_schema=(request.response_format or {}).get("type") in _JSON_FORMATS,
    )


def _task_of_shape(request: ChatRequest) -> Task | None:
    newest = next((m for m in reversed(request.messages) if m.role == "user"), None)
    if newest is not None and newest.has_part("input_audio"):
        return Task("audio", "the newest turn carries audio")
    if newest is not None and newest.has_part("image_url"):
        return Task("vision", "the newest turn carries an image")
    if request.tools and request.tool_choice != "none":
        return Task("tool_use", "the request carries tools")
    return None


def _parts(message: Message, kind: str) -> int:
    if not isinstance(message.content, list):
        return 0
    return sum(part.type == kind for part in message.content)


def _texts_and_tokens(given: Any) -> tuple[list[str], int]:
    """Return the texts of a prompt or an input, and its tokens: ids are counted, texts estimated.

    `given` is text, ids, or a list of either; anything else weighs nothing.
    """
    if isinstance(given, str):
        return [given], tokens_of(given)
    if not isinstance(given, list):
        return [], 0
    texts = [item for item in given if isinstance(item, str)]
    ids = sum(len(item) if isinstance(item, list) else isinstance(item, int) for item in given)
    return texts, ids + sum(map(tokens_of, texts))
