"""Streamed tool calls as real engines have sent them, put together by the openai SDK."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.observe.account import Account
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told
from tests.support.streams import accumulated, data_of

CAPTURES = Path(__file__).resolve().parent.parent / "captures" / "tools"
# Recorded stream -> the cities for which it calls `get_weather`.
CITIES = {
    "llama-cpp-python-0.3.36.txt": ["Rome"],
    "mlx-lm-0.26.3.txt": ["Berlin", "Rome"],
    "our-worker.txt": ["Berlin", "Rome"],
    "vllm-0.32.txt": ["Berlin", "Rome"],
}
FAULTY = ("llama-cpp-python-0.3.36.txt", "mlx-lm-0.26.3.txt")


def recorded(name: str) -> bytes:
    return (CAPTURES / name).read_bytes()


def relayed(name: str, size: int) -> bytes:
    """Return what a client of the model `m` gets, the engine's bytes cut into pieces."""
    editor, whole = StreamEditor(Account(lambda: 1.0, 0.0), "m", True, Told()), recorded(name)
    out = b"".join(editor.feed(whole[at : at + size]) for at in range(0, len(whole), size))
    assert editor.whole
    return out


def calls_of(stream: bytes) -> list[tuple[str, str, dict[str, str]]]:
    """Return the id, the name and the arguments of each call that a client puts together."""
    (choice,) = accumulated(stream).choices
    return [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]


def test_every_recorded_stream_is_played() -> None:
    assert {path.name for path in CAPTURES.iterdir()} == set(CITIES)


@pytest.mark.parametrize("name", FAULTY)
def test_without_a_gateway_clients_cannot_put_these_together(name: str) -> None:
    try:
        calls = calls_of(recorded(name))
    except ValidationError:
        return  # no `index`
    assert [name for _, name, _ in calls] != ["get_weather"] * len(CITIES[name])


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("name", CITIES)
def test_behind_the_gateway_they_can(name: str, size: int) -> None:
    stream = relayed(name, size)
    calls = calls_of(stream)
    assert [(name, told) for _, name, told in calls] == [
        ("get_weather", {"city": city}) for city in CITIES[name]
    ]
    assert len({call_id for call_id, _, _ in calls}) == len(CITIES[name])
    answer = accumulated(stream)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.role == "assistant"
    assert choice.message.function_call is None
    assert answer.usage is not None
    models = {json.loads(data)["model"] for data in data_of(stream.decode())[:-1]}
    assert models == {"m"}


@pytest.mark.parametrize("name", sorted(CITIES.keys() - set(FAULTY)))
def test_what_needs_no_mending_passes_as_it_came(name: str) -> None:
    raw = recorded(name)
    assert relayed(name, 1_000) == raw.replace(b'"model":"demo-qwen"', b'"model":"m"')
