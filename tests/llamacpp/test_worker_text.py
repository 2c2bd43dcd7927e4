"""Text that leaves the worker is whole characters, whatever the tokens were."""

from typing import Any

import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.streams import events_of, said
from tools.demo_models.corpus import corpus_of

SCRIPTS = ("zh", "ja", "ko", "hi", "ar", "ru")
FOREIGN = "🐘👩‍👩‍👧 漢字仮名 हिन्दी ñ\u0301 \U0001f1e9\U0001f1ea"


def is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


async def test_no_character_breaks_where_a_token_ends(worker_of: WorkerOf) -> None:
    broken = 0
    questions = [q for q in corpus_of("qwen").questions if q.language in SCRIPTS][::9]
    async with worker_of().client() as http:
        for question in questions:
            ask = {"messages": user(question.ask), "logprobs": True, "stream": True}
            events = events_of((await http.post(CHAT, json=ask)).text)
            whole = await http.post(CHAT, json={"messages": user(question.ask)})
            text = said(events)
            assert text == whole.json()["choices"][0]["message"]["content"]
            assert "\ufffd" not in text
            told = [c["logprobs"]["content"] for e in events for c in e["choices"] if c["logprobs"]]
            pieces = [bytes(token["bytes"]) for tokens in told for token in tokens]
            assert b"".join(pieces).decode() == text
            broken += sum(not is_whole(piece) for piece in pieces)
    assert broken > 20  # there were borders inside characters


async def test_a_prompt_comes_back_unharmed(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        ask = {"prompt": FOREIGN, "echo": True, "max_tokens": 1}
        whole = (await http.post(COMPLETIONS, json=ask)).json()["choices"][0]["text"]
        stream = await http.post(COMPLETIONS, json=ask | {"stream": True})
        assert whole.startswith(FOREIGN)
        assert said(events_of(stream.text)) == whole


@pytest.mark.parametrize("stream", [False, True])
async def test_bytes_that_are_no_character_become_one_that_says_so(
    worker_of: WorkerOf, stream: bool
) -> None:
    async with worker_of().client() as http:
        told = (await http.post("/tokenize", json={"prompt": "\U0001f9ff"})).json()["tokens"]
        assert len(told) > 1  # nothing of it was trained: its first token is a part of it
        bias = {"logit_bias": {str(told[0]): 100}, "max_tokens": 3, "stream": stream}
        answer = await http.post(COMPLETIONS, json={"prompt": "a", **bias})
        text = said(events_of(answer.text)) if stream else answer.json()["choices"][0]["text"]
        assert text
        assert set(text) == {"\ufffd"}


async def test_a_control_token_among_the_likeliest_is_told_by_its_name(
    worker_of: WorkerOf,
) -> None:
    async with worker_of().client() as http:
        ask = {"messages": user("Hello"), "temperature": 0, "logprobs": True, "top_logprobs": 3}
        told = (await http.post(CHAT, json=ask)).json()
        beyond: dict[str, Any] = {"max_tokens": told["usage"]["completion_tokens"]}
        beyond["logit_bias"] = [["<|im_end|>", False]]
        choice = (await http.post(CHAT, json=ask | beyond)).json()["choices"][0]
    end = choice["logprobs"]["content"][-1]["top_logprobs"][0]
    assert (end["token"], bytes(end["bytes"])) == ("<|im_end|>", b"<|im_end|>")
