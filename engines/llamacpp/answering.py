"""What each endpoint does with a request: reading it, having it answered, sending that.

Owns: when what is sent, and errors within a stream.
Must not: evaluate, or know what a prompt means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
from starlette.types import Send

from engines.llamacpp.beginnings import Draining
from engines.llamacpp.binding import DecodeFailed
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.tool_wish import wish_of_chat
from engines.llamacpp.grammar.wish import wish_of
from engines.llamacpp.model import Model
from engines.llamacpp.orders import Order
from engines.llamacpp.pictures import Seen
from engines.llamacpp.reading import Reader
from engines.llamacpp.sending import end, more, send_json, start
from engines.llamacpp.text_writing import TextWriter
from engines.llamacpp.uses import Use
from engines.llamacpp.vocabulary import Vocabulary
from engines.llamacpp.work import EngineFailure, Worker
from engines.llamacpp.writing import ChatWriter, Writer
from engines.protocol.decoding import RequestT, decode_request
from engines.protocol.errors import InvalidRequest
from engines.protocol.events import DONE, write_event
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from engines.protocol.unreadable import UNREADABLE

# What is in a shorter one is read in less time than a step takes.
_SHORT_BODY_BYTES = 32 * 1024

_T = TypeVar("_T")

_CHAT = msgspec.json.Decoder(ChatRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)
EMBEDDING = msgspec.json.Decoder(EmbeddingRequest)
RERANK = msgspec.json.Decoder(RerankRequest)
SCORE = msgspec.json.Decoder(ScoreRequest)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to an endpoint: what came, where its answer goes, who counts its tokens.

    `begun` is called when all is read, and what follows ends with the engine.
    """

    body: bytes
    send: Send
    use: Use
    begun: Callable[[], None]


Answer: TypeAlias = Callable[[Worker, Asked], Awaitable[None]]


async def chat(worker: Worker, asked: Asked) -> None:
    """`/v1/chat/completions`."""
    request = decode_request(_CHAT, asked.body)
    name = worker.model.served(request.model)
    wish = wish_of_chat(request)
    if wish is not None and request.continue_final_message:
        raise InvalidRequest(
            f"'{wish.param}' applies to a whole answer and cannot be enforced on one that is "
            "continued.",
            param="continue_final_message",
        )
    seen = await worker.see(request.messages)
    free = await _beside(asked.body, lambda: worker.model.chat_orders(request, seen))
    conversations = worker.model.conversations
    orders = await worker.holder.hold(free, wish, conversations.frame(request, free))
    speeches = conversations.speeches(request, orders)
    counts = request.counts_usage()
    writer = ChatWriter(name, orders, worker.model.vocabulary, speeches, counts=counts)
    await _generate(worker, asked, orders, writer, _streams(request))


async def completion(worker: Worker, asked: Asked) -> None:
    """`/v1/completions`."""
    request = decode_request(_COMPLETION, asked.body)
    name = worker.model.served(request.model)
    wish = wish_of(request)
    free = await _beside(asked.body, lambda: worker.model.completion_orders(request))
    orders = await worker.holder.hold(free, wish, Frame())
    telling = worker.model.telling(request)
    counts = request.counts_usage()
    writer = TextWriter(name, orders, worker.model.vocabulary, telling, counts=counts)
    await _generate(worker, asked, orders, writer, _streams(request))


def reading(
    decoder: "msgspec.json.Decoder[RequestT]",
    read: Callable[[Reader, RequestT], Awaitable[msgspec.Struct]],
) -> Answer:
    """Return an endpoint on whose texts nothing is generated."""

    async def answer(worker: Worker, asked: Asked) -> None:
        request = decode_request(decoder, asked.body)
        try:
            told = await read(worker.reader, request)
        except DecodeFailed as error:
            raise EngineFailure(f"The engine failed: {error}.") from None
        asked.begun()
        await send_json(asked.send, msgspec.json.encode(told))

    return answer


async def _generate(
    worker: Worker,
    asked: Asked,
    orders: Sequence[Order],
    writer: Writer,
    streams: tuple[bool, bool],
) -> None:
    send, use = asked.send, asked.use
    stream, wants_usage = streams
    asked.begun()
    async with aclosing(worker.run(orders, use)) as said:  # type: ignore[type-var]  # it has aclose
        if not stream:
            async for index, progress in said:
                writer.add(index, progress)
            await send_json(send, writer.answer())
            use.delivered(writer.usage().completion_tokens)
            return
        started = False
        try:
            async for index, progress in said:
                writer.add(index, progress)
                event = writer.event(index, progress)
                if not started:
                    await start(send, 200, b"text/event-stream; charset=utf-8")
                    started, event = True, writer.opening() + event
                if event:
                    await more(send, event)
                use.delivered(progress.tokens)
        except (Draining, EngineFailure, InvalidRequest) as error:
            if not started:
                raise
            await end(send, write_event(error.body()))
            return
        await end(send, (writer.usage_event() if wants_usage else b"") + DONE)


async def _beside(body: bytes, read: Callable[[], _T]) -> _T:
    """Return what is read in a request; a long one is read while the event loop goes on."""
    return read() if len(body) <= _SHORT_BODY_BYTES else await asyncio.to_thread(read)


async def tokenize(worker: Worker, asked: Asked) -> None:
    """Tokens of `messages` through the template, or of `prompt` (also called `content`)."""
    chat = decode_request(_CHAT, asked.body) if b'"image_url"' in asked.body else None
    seen = await worker.see(chat.messages) if chat else {}
    tokens = await _beside(asked.body, lambda: _tokens(worker.model, asked.body, seen))
    told = {"count": len(tokens), "max_model_len": worker.model.context, "tokens": tokens}
    asked.begun()
    await send_json(asked.send, msgspec.json.encode(told))


def _tokens(model: Model, body: bytes, seen: Seen) -> list[int]:
    """Return the tokens that a body asks for; -1 stands for each that an image takes."""
    asked = {field: value for field, value in _object(body).items() if value is not None}
    if "messages" in asked:
        tokens = model.conversations.tokens(decode_request(_CHAT, body), seen)
        return [max(-1, token) for token in tokens]
    text = asked.get("prompt", asked.get("content"))
    if not isinstance(text, str):
        raise InvalidRequest("Send 'prompt' (text) or 'messages'.", param="prompt")
    return model.tokens(text, "prompt", add_special=bool(asked.get("add_special_tokens", True)))


async def detokenize(worker: Worker, asked: Asked) -> None:
    """Text of `tokens`, control tokens written out."""
    text = await _beside(asked.body, lambda: _text(worker.model.vocabulary, asked.body))
    asked.begun()
    await send_json(asked.send, msgspec.json.encode({"prompt": text, "content": text}))


def _text(vocabulary: Vocabulary, body: bytes) -> str:
    tokens = _object(body).get("tokens")
    if not isinstance(tokens, list) or not all(
        type(token) is int and 0 <= token < vocabulary.size for token in tokens
    ):
        raise InvalidRequest("'tokens' must be a list of this model's token ids.", param="tokens")
    return vocabulary.text(tokens, special=True)


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
    except UNREADABLE as error:
        raise InvalidRequest(f"The body is not a JSON object: {error}.") from None
