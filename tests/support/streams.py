"""Event streams as a client reads them."""

from typing import Any

import msgspec
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from engines.protocol.events import event_data

Event = dict[str, Any]


def events_of(text: str) -> list[Event]:
    """Return the events of a whole stream, which must end with the one `[DONE]`."""
    *events, done = data_of(text)
    assert done == b"[DONE]"
    assert b"[DONE]" not in events
    return [msgspec.json.decode(data, type=Event) for data in events]


def data_of(text: str) -> list[bytes]:
    """Return the data of every event of a stream, however it ends."""
    parts = (event_data(part.encode() + b"\n\n") for part in text.split("\n\n") if part)
    return [data for data in parts if data is not None]


def said(events: list[Event], index: int = 0) -> str:
    """Return the text that a streamed answer's choice amounts to."""
    choices = [c for event in events for c in event["choices"] if c["index"] == index]
    return "".join(c["delta"].get("content") or "" if "delta" in c else c["text"] for c in choices)


def finishes(events: list[Event], index: int = 0) -> list[str]:
    """Return the finish reasons of a choice: a proper stream has one."""
    choices = [c for event in events for c in event["choices"] if c["index"] == index]
    return [c["finish_reason"] for c in choices if c["finish_reason"]]


def accumulated(stream: bytes) -> ChatCompletion:
    """Return what the openai SDK puts together from a stream that ends with `[DONE]`."""
    state = ChatCompletionStreamState()
    for data in data_of(stream.decode())[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(data))
    return state.get_final_completion()
