"""The worker's HTTP: OpenAI's endpoints, tokens, health, metrics.

Owns: the table of endpoints, what is sent and when, the end of a request whose client has gone.
Must not: evaluate, or know what a prompt means.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engines.asgi import BodyTooLong, ClientGone, Departure, read_body
from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import DecodeFailed
from engines.llamacpp.crowd import MOST_WAITING, Crowd
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.holding import Holder
from engines.llamacpp.grammar.wish import UnsupportedGrammar, wish_of, wish_of_chat
from engines.llamacpp.model import Draining, Model
from engines.llamacpp.pictures import Seen
from engines.llamacpp.reading import Reader
from engines.llamacpp.scrape import exposition
from engines.llamacpp.sequence import Order, Progress, SequenceState
from engines.llamacpp.uses import Use, Uses
from engines.llamacpp.writing import ChatWriter, TextWriter, Writer
from engines.protocol.errors import ApiError, InvalidRequest, NotFound
from engines.protocol.events import DONE, write_event
from engines.protocol.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    RequestT,
    RerankRequest,
    ScoreRequest,
    decode_request,
)

_MAX_BODY_BYTES = 64 * 1024 * 1024
# What is in a shorter one is read in less time than a step takes.
_SHORT_BODY_BYTES = 32 * 1024

_T = TypeVar("_T")
_Answer: TypeAlias = Callable[["Worker", "_Asked"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request to an endpoint: what came, where its answer goes, who counts its tokens."""

    body: bytes
    send: Send
    use: Use


class EngineFailure(ApiError):
    """llama.cpp could not go on: 500."""

    status = 500
    default_code = "engine_error"
    fault = "engine"


class Worker:
    """What the endpoints share: the model, its batcher, whether it is about to end."""

    def __init__(
        self, model: Model, batcher: Batcher, created_s: int, most_waiting: int = MOST_WAITING
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.created_s = created_s
        self.draining = False
        self.holder = Holder(model.vocabulary)
        self.crowd = Crowd(most_waiting)
        self.reader = Reader(model, batcher, self.crowd)
        self.uses = Uses()

    async def see(self, messages: Sequence[Message]) -> Seen:
        """Return what the model sees of a conversation's images; one without sight sees none.

        Raises:
            InvalidRequest: an image cannot be read, or they do not fit.
            Overloaded: too many wait already.
        """
        sight = self.model.sight
        if sight is None or not any(message.has_part("image_url") for message in messages):
            return {}
        with self.crowd.with_these(1, "messages"):
            return await sight.see(messages)

    async def run(self, orders: Sequence[Order], use: Use) -> AsyncIterator[tuple[int, Progress]]:
        """Yield what each sequence says; closing the iterator frees their slots.

        Raises:
            EngineFailure: the engine could not go on.
            InvalidRequest: they are more than may ever be here.
            Overloaded: too many wait already.
            UnsupportedGrammar: an answer's grammar has grown beyond what can be held.
        """
        heard: asyncio.Queue[tuple[int, Progress]] = asyncio.Queue()

        def listener(index: int) -> Callable[[Progress], None]:
            def hear(progress: Progress) -> None:
                use.heard(progress)
                heard.put_nowait((index, progress))

            return hear

        sequences = [SequenceState(order, listener(index)) for index, order in enumerate(orders)]
        open_sequences = len(sequences)
        with self.crowd.with_these(len(sequences), "n"):
            use.begin(sequences)
            try:
                for sequence in sequences:
                    self.batcher.submit(sequence)
                while open_sequences:
                    index, progress = await heard.get()
                    if progress.error is not None:
                        raise _failure(progress, orders[index])
                    open_sequences -= progress.finish_reason is not None
                    yield index, progress
            finally:
                if open_sequences:
                    for sequence in sequences:
                        self.batcher.cancel(sequence)


class _Endpoint:
    """A POST endpoint as plain ASGI: body, cancellation, errors."""

    def __init__(self, worker: Worker, answer: _Answer) -> None:
        self._worker = worker
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away first."""
        use = self._worker.uses.open(scope)
        try:
            body = await read_body(scope, receive, _MAX_BODY_BYTES)
            if self._worker.draining:
                raise Draining("This engine is about to end.")
            with Departure(scope, receive):
                await self._answer(self._worker, _Asked(body, send, use))
        except ClientGone:
            return
        except BodyTooLong:
            raise InvalidRequest("The body is too large.", code="body_too_large") from None
        finally:
            use.close()


def build_app(worker: Worker) -> Starlette:
    """Return the worker's application."""
    posts: dict[str, _Answer] = {
        "/v1/chat/completions": _chat,
        "/v1/completions": _completion,
        "/v1/embeddings": _reading(_EMBEDDING, Reader.embed),
        "/v1/rerank": _reading(_RERANK, Reader.rerank),
        "/v1/score": _reading(_SCORE, Reader.score),
        "/tokenize": _tokenize,
        "/detokenize": _detokenize,
    }
    gets = {
        "/v1/models": _models,
        "/health": _health,
        "/metrics": _metrics,
        "/uses/{name}": _use,
    }
    routes = [Route(path, _Endpoint(worker, f), methods=["POST"]) for path, f in posts.items()]
    routes += [Route(path, partial(f, worker), methods=["GET"]) for path, f in gets.items()]
    errors = dict.fromkeys((ApiError, HTTPException, Exception), _error)
    return Starlette(routes=routes, exception_handlers=errors)


async def _chat(worker: Worker, asked: _Asked) -> None:
    request = decode_request(_CHAT, asked.body)
    name = worker.model.served(request.model)
    wish = wish_of_chat(request)
    if wish is not None and request.continue_final_message:
        raise InvalidRequest(
            f"An answer that is continued cannot be held to '{wish.param}', which speaks of the "
            "whole of it.",
            param="continue_final_message",
        )
    seen = await worker.see(request.messages)
    free = await _beside(asked.body, lambda: worker.model.chat_orders(request, seen))
    conversations = worker.model.conversations
    orders = await worker.holder.hold(free, wish, conversations.frame(request, free))
    speeches = conversations.speeches(request, orders)
    writer = ChatWriter(name, orders, worker.model.vocabulary, speeches)
    await _generate(worker, asked, orders, writer, _streams(request))


async def _completion(worker: Worker, asked: _Asked) -> None:
    request = decode_request(_COMPLETION, asked.body)
    name = worker.model.served(request.model)
    wish = wish_of(request)
    free = await _beside(asked.body, lambda: worker.model.completion_orders(request))
    orders = await worker.holder.hold(free, wish, Frame())
    telling = worker.model.telling(request)
    writer = TextWriter(name, orders, worker.model.vocabulary, telling)
    await _generate(worker, asked, orders, writer, _streams(request))


def _reading(
    decoder: "msgspec.json.Decoder[RequestT]",
    read: Callable[[Reader, RequestT], Awaitable[msgspec.Struct]],
) -> _Answer:
    """Return an endpoint on whose texts nothing is generated."""

    async def answer(worker: Worker, asked: _Asked) -> None:
        request = decode_request(decoder, asked.body)
        try:
            told = await read(worker.reader, request)
        except DecodeFailed as error:
            raise EngineFailure(f"The engine failed: {error}.") from None
        await _send_json(asked.send, msgspec.json.encode(told))

    return answer


async def _generate(
    worker: Worker,
    asked: _Asked,
    orders: Sequence[Order],
    writer: Writer,
    streams: tuple[bool, bool],
) -> None:
    send, use = asked.send, asked.use
    stream, wants_usage = streams
    async with aclosing(worker.run(orders, use)) as said:  # type: ignore[type-var]  # it has aclose
        if not stream:
            async for index, progress in said:
                writer.add(index, progress)
            await _send_json(send, writer.answer())
            use.delivered(writer.usage().completion_tokens)
            return
        started = False
        try:
            async for index, progress in said:
                writer.add(index, progress)
                event = writer.event(index, progress)
                if not started:
                    await _start(send, 200, b"text/event-stream; charset=utf-8")
                    started, event = True, writer.opening() + event
                if event:
                    await _more(send, event)
                use.delivered(progress.tokens)
        except (EngineFailure, UnsupportedGrammar) as error:
            if not started:
                raise
            await _end(send, write_event(error.body()))
            return
        await _end(send, (writer.usage_event() if wants_usage else b"") + DONE)


def _failure(progress: Progress, order: Order) -> ApiError:
    if progress.refused:
        return UnsupportedGrammar(
            f"What the answer must hold to has become too hard: {progress.error}.",
            param=None if order.grammar is None else order.grammar.param,
        )
    return EngineFailure(f"The engine failed: {progress.error}.")


async def _beside(body: bytes, read: Callable[[], _T]) -> _T:
    """Return what is read in a request; a long one is read while the event loop goes on."""
    return read() if len(body) <= _SHORT_BODY_BYTES else await asyncio.to_thread(read)


async def _tokenize(worker: Worker, asked: _Asked) -> None:
    """Tokens of `messages` through the template, or of `prompt` (also called `content`)."""
    chat = decode_request(_CHAT, asked.body) if b'"image_url"' in asked.body else None
    seen = await worker.see(chat.messages) if chat else {}
    tokens = await _beside(asked.body, lambda: _tokens(worker.model, asked.body, seen))
    told = {"count": len(tokens), "max_model_len": worker.model.context, "tokens": tokens}
    await _send_json(asked.send, msgspec.json.encode(told))


def _tokens(model: Model, body: bytes, seen: Seen) -> list[int]:
    """Return the tokens that a body asks for; -1 stands for each that an image takes."""
    asked = _object(body)
    if "messages" in asked:
        tokens = model.conversations.tokens(decode_request(_CHAT, body), seen)
        return [max(-1, token) for token in tokens]
    text = asked.get("prompt", asked.get("content"))
    if not isinstance(text, str):
        raise InvalidRequest("Send 'prompt' (text) or 'messages'.", param="prompt")
    return model.tokens(text, "prompt", add_special=bool(asked.get("add_special_tokens", True)))


async def _detokenize(worker: Worker, asked: _Asked) -> None:
    tokens = _object(asked.body).get("tokens")
    vocabulary = worker.model.vocabulary
    if not isinstance(tokens, list) or not all(
        type(token) is int and 0 <= token < vocabulary.size for token in tokens
    ):
        raise InvalidRequest("'tokens' must be a list of this model's token ids.", param="tokens")
    text = vocabulary.text(tokens, special=True)
    await _send_json(asked.send, msgspec.json.encode({"prompt": text, "content": text}))


async def _models(worker: Worker, _request: Request) -> Response:
    model = worker.model
    rows = [
        {
            "id": name,
            "object": "model",
            "created": worker.created_s,
            "owned_by": "weighbridge",
            # As vLLM tells of an adapter.
            "parent": None if name == model.name else model.name,
            "max_model_len": model.context,
            "capabilities": _capabilities(model, name),
            "devices": model.devices.names,
            "gpu_layers": model.devices.gpu_layers,
            "tells_uses": True,
        }
        for name in model.names
    ]
    return _json({"object": "list", "data": rows})


def _capabilities(model: Model, name: str) -> list[str]:
    """Return what a name can be asked for; an adapter changes what is generated alone."""
    abilities, whole = model.abilities, name == model.name
    able = {
        "generation": abilities.generates,
        "embeddings": abilities.embeds and whole,
        "reranking": abilities.reranks and whole,
        "vision": model.sight is not None,
    }
    return [what for what, is_able in able.items() if is_able]


async def _health(worker: Worker, _request: Request) -> Response:
    if worker.draining:
        return _json({"status": "draining"}, 503)
    return _json({"status": "ready"})


async def _use(worker: Worker, request: Request) -> Response:
    told = await worker.uses.told(request.path_params["name"].encode())
    return Response(told, media_type="application/json")


async def _metrics(worker: Worker, _request: Request) -> Response:
    return Response(exposition(worker.batcher.counts), media_type="text/plain; version=0.0.4")


async def _error(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = NotFound("There is no such endpoint here.")
    if not isinstance(error, ApiError):  # it is raised again, and so logged
        error = EngineFailure(f"The engine failed: {type(error).__name__}; its log says more.")
    headers = None if error.retry_after_s is None else {"retry-after": f"{error.retry_after_s:.0f}"}
    return Response(error.body(), error.status, headers, media_type="application/json")


def _streams(request: ChatRequest | CompletionRequest) -> tuple[bool, bool]:
    """Say whether a stream is wanted, and its usage."""
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "'stream_options' is for streams; set 'stream' to true.", param="stream_options"
        )
    return bool(request.stream), request.wants_usage()


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is no JSON object: {error}.") from None


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _send_json(send: Send, body: bytes) -> None:
    await _start(send, 200, b"application/json", len(body))
    await _end(send, body)


async def _start(send: Send, status: int, kind: bytes, length: int | None = None) -> None:
    headers = [(b"content-type", kind)]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _end(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body})


_CHAT = msgspec.json.Decoder(ChatRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)
_EMBEDDING = msgspec.json.Decoder(EmbeddingRequest)
_RERANK = msgspec.json.Decoder(RerankRequest)
_SCORE = msgspec.json.Decoder(ScoreRequest)
