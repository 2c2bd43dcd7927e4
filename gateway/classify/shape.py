"""What a request says without its words being read: how much of what there is, and what it carries.

Owns: the bulk of each endpoint's requests, tools, images, JSON, tasks that the shape settles.
Must not: tell languages, or tasks by words.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from engines.protocol.decoding import AnyRequest
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest, Message
from gateway.classify.counting import Counts, SignCounter
from gateway.classify.task import Task
from gateway.domain import Bulk

_JSON_FORMATS = ("json_object", "json_schema")


class Shape(msgspec.Struct, frozen=True):
    """A request without its words. `task` is set where the shape settles it."""

    bulk: Bulk
    answer_tokens: int | None = None
    task: Task | None = None
    tools: bool = False
    images: bool = False
    json_schema: bool = False


class ShapeReader:
    """Reads shapes; built once. Safe from any thread."""

    def __init__(self) -> None:
        self._counter = SignCounter()

    def counts(self, text: str) -> Counts:
        """Return what a text is made of."""
        return self._counter.count(text)

    def read(self, request: AnyRequest) -> Shape:
        """Return the shape of a request to any endpoint."""
        shape = self._read(request)
        if request.truncate_prompt_tokens is not None:  # the engine takes what it has room for
            return replace(shape, bulk=replace(shape.bulk, one_prompt=False))
        return shape

    def _read(self, request: AnyRequest) -> Shape:
        if isinstance(request, ChatRequest):
            return self._chat(request)
        if isinstance(request, CompletionRequest):
            shape = self._prompts(request.prompt)
            return replace(shape, answer_tokens=request.answer_tokens())
        if isinstance(request, EmbeddingRequest):
            task = Task("embedding", "the endpoint makes embeddings")
            return replace(self._prompts(request.input), task=task)
        return self._ranking(request)

    def _chat(self, request: ChatRequest) -> Shape:
        messages = request.messages
        texts = [message.text() for message in messages]
        calls = [message.tool_calls for message in messages if message.tool_calls]
        texts += [_json(given) for given in (*calls, request.tools) if given]
        images = sum(_parts(message, "image_url") for message in messages)
        return Shape(
            bulk=Bulk(
                signs=self._counter.count("\n".join(texts)).values,
                turns=len(messages),
                images=images,
                tools=bool(request.tools),
            ),
            answer_tokens=request.answer_tokens(),
            task=_task_of(request),
            tools=bool(request.tools),
            images=images > 0,
            json_schema=(request.response_format or {}).get("type") in _JSON_FORMATS,
        )

    def _prompts(self, given: Any) -> Shape:
        """Read text, ids, or a list of either; anything else weighs nothing."""
        texts = texts_of(given)
        listed = given if isinstance(given, list) else []
        ids = sum(len(item) if isinstance(item, list) else isinstance(item, int) for item in listed)
        several = len(texts) + sum(isinstance(item, list) for item in listed) > 1
        counts = self._counter.count("\n".join(texts))
        return Shape(Bulk(signs=counts.values, ids=ids, one_prompt=not several))

    def _ranking(self, request: RerankRequest | ScoreRequest) -> Shape:
        first, second = request.sides()
        query = self._counter.count("\n".join(first))
        if len(first) == 1:  # it is read again with each text of the other side
            query = query.times(len(second))
        counts: Counts = query + self._counter.count("\n".join(second))
        task = Task("rerank", "the endpoint ranks texts")
        return Shape(Bulk(signs=counts.values, one_prompt=False), task=task)


def texts_of(given: Any) -> list[str]:
    """Return the texts of a prompt or an input; token ids are none."""
    if isinstance(given, str):
        return [given]
    return [item for item in given if isinstance(item, str)] if isinstance(given, list) else []


def _task_of(request: ChatRequest) -> Task | None:
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


def _json(given: list[Any]) -> str:
    return msgspec.json.encode(given).decode("utf-8")
