"""Answers that the client has begun go on as if the model had said the beginning itself."""

from typing import Any

import httpx
import pytest

from engines.llamacpp.continuing import begun, goes_on_thinking
from engines.llamacpp.speech.dialect import dialect_of
from engines.llamacpp.speech.speech import Tags
from engines.protocol.requests import Message
from tests.conftest import WorkerOf
from tests.support.contract import CHAT, user
from tests.support.parrot import parrot
from tests.support.streams import events_of, said

TAGS = Tags("<think>", "</think>", "\n</think>\n\n")
GO_ON = {"continue_final_message": True, "add_generation_prompt": False}
QUESTIONS = ("What is Weighbridge?", "Write a haiku.")
PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}<|assistant|>"
THINKING = PLAIN + "{# <think></think> #}"
OPENED = PLAIN + "<think>{# </think> #}"


def answer(text: str, thought: str | None = None) -> Message:
    return Message("assistant", text, reasoning_content=thought)


async def whole(http: httpx.AsyncClient, ask: str, **fields: Any) -> dict[str, Any]:
    told = await http.post(CHAT, json={"messages": user(ask), "max_tokens": 60, **fields})
    assert told.status_code == 200, told.text
    choice: dict[str, Any] = told.json()["choices"][0]
    return choice


async def rest(http: httpx.AsyncClient, ask: str, start: str, **fields: Any) -> str:
    messages = [*user(ask), {"role": "assistant", "content": start}]
    told = await http.post(CHAT, json={"messages": messages, "max_tokens": 60, **GO_ON, **fields})
    assert told.status_code == 200, told.text
    if fields.get("stream"):
        return said(events_of(told.text))
    found: str = told.json()["choices"][0]["message"]["content"]
    return found


@pytest.mark.parametrize("weights", ["demo:qwen", "demo:coder", "demo:llama"])
async def test_from_any_token_on_the_rest_is_the_rest_of_the_whole(
    worker_of: WorkerOf, weights: str
) -> None:
    async with worker_of(weights).client() as http:
        for ask in QUESTIONS:
            choice = await whole(http, ask, logprobs=True)
            text = choice["message"]["content"]
            pieces = [bytes(token["bytes"]) for token in choice["logprobs"]["content"]]
            for count in range(0, len(pieces), 3):
                start = b"".join(pieces[:count]).decode()
                assert start + await rest(http, ask, start) == text
            assert start + await rest(http, ask, start, stream=True) == text


@pytest.mark.parametrize("start", ["Two words", " spaces about ", "\n\nlines\n\n", "a  ", ""])
@pytest.mark.parametrize("weights", ["demo:qwen", "demo:llama"])
async def test_the_seam_is_exact_though_templates_trim(
    worker_of: WorkerOf, weights: str, start: str
) -> None:
    async with worker_of(weights).client() as http:

        async def tokens(**asked: Any) -> list[int]:
            found: list[int] = (await http.post("/tokenize", json=asked)).json()["tokens"]
            return found

        opening = await tokens(messages=user("Hello"))
        said_first = await tokens(prompt=start, add_special_tokens=False)
        messages = [*user("Hello"), {"role": "assistant", "content": start}]
        assert await tokens(messages=messages, **GO_ON) == opening + said_first
        untold = await tokens(messages=user("Hello"), add_generation_prompt=False)
    assert untold == opening[: len(untold)] != opening


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"add_generation_prompt": True}, "add_generation_prompt"),
    ({"messages": user("Hello")}, "messages[0].role"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0]"),
    (
        {"messages": [{"role": "assistant", "content": "a", "reasoning_content": "b"}]},
        "messages[0].reasoning_content",
    ),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "image_url"}]}]},
        "messages[0].content[0]",
    ),
    ({"response_format": {"type": "json_object"}}, "continue_final_message"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
async def test_what_cannot_be_continued_is_refused(
    worker_of: WorkerOf, fields: dict[str, Any], param: str
) -> None:
    messages = [*user("Hello"), {"role": "assistant", "content": "Hel"}]
    async with worker_of("demo:coder").client() as http:  # which has no thoughts to go on from
        told = await http.post(CHAT, json={"messages": messages, **GO_ON, **fields})
    assert told.status_code == 400, told.text
    assert told.json()["error"]["param"] == param


def test_an_answer_begins_with_its_thought_where_the_model_thinks() -> None:
    assert begun(answer("So"), None, opened=False) == "So"
    assert begun(answer("So"), TAGS, opened=False) == "So"
    assert begun(answer("So", "Hm"), TAGS, opened=False) == "<think>\nHm\n</think>\n\nSo"
    assert begun(answer("So", "Hm"), TAGS, opened=True) == "Hm\n</think>\n\nSo"
    assert begun(answer("So"), TAGS, opened=True) == "\n</think>\n\nSo"
    assert begun(answer("", "Hm"), TAGS, opened=False) == "<think>\nHm"
    assert begun(answer(""), TAGS, opened=True) == ""
    assert begun(answer("<think>\nHm"), TAGS, opened=True) == "Hm"
    assert begun(answer("<think>\nHm"), TAGS, opened=False) == "<think>\nHm"


def test_an_answer_begins_with_its_header_where_a_model_writes_one() -> None:
    tags = dialect_of("<|channel|>analysis<|message|>", "gpt-oss").tags
    thought, final = "<|channel|>analysis<|message|>Hm", "<|channel|>final<|message|>So"
    assert begun(answer("So"), tags, opened=False) == final
    assert begun(answer("", "Hm"), tags, opened=False) == thought
    both = f"{thought}<|end|><|start|>assistant{final}"
    assert begun(answer("So", "Hm"), tags, opened=False) == both


def test_only_a_thought_without_an_end_goes_on() -> None:
    assert goes_on_thinking(answer("", "Hm"), TAGS)
    assert goes_on_thinking(answer("<think>\nHm"), TAGS)
    assert goes_on_thinking(answer("So", "Hm"), TAGS) is False
    assert goes_on_thinking(answer("<think>\nHm</think>So"), TAGS) is False
    assert goes_on_thinking(answer(""), TAGS) is None


@pytest.mark.parametrize("template", [THINKING, OPENED])
async def test_a_thought_goes_on_and_then_the_answer_comes(template: str) -> None:
    begin = "" if template is OPENED else "\n"
    turn = f"<think>{begin}A long thought.\n</think>\n\nYes, it is."
    ask: Any = [{"role": "user", "content": "What?"}]
    async with parrot(template, turn) as bird:

        async def go_on(**message: Any) -> Any:
            messages: Any = [*ask, {"role": "assistant", **message}]
            told = await bird.client.chat.completions.create(
                model="parrot", messages=messages, extra_body=GO_ON
            )
            return told.choices[0].message

        amid = await go_on(content=None, reasoning_content="A long")
        behind = await go_on(content="Yes,", reasoning_content="A long thought.")
    assert (amid.reasoning_content, amid.content) == (" thought.", "Yes, it is.")
    assert behind.content == " it is."
    assert not getattr(behind, "reasoning_content", None)
