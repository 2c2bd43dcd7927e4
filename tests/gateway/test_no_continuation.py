"""Where the rest of a broken answer could not be exact: a typed error says why, case by case."""

from typing import Any

import msgspec
import pytest

from tests.support.answers import FIRST, chunk
from tests.support.broken import (
    ASK,
    BEGUN,
    WEIGHS,
    Breaking,
    config,
    requests,
    streamed,
    told_error,
)
from tests.support.scripted import CUT, running
from tests.support.serving import serving
from tests.support.streams import data_of

CALL = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"toy",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function",'
    b'"function":{"name":"f","arguments":""}}]},"finish_reason":null}]}\n\n'
)
RAW = (FIRST, chunk("<think>"), chunk("Hm"))
THOUGHT = chunk("Hm").replace(b'"content"', b'"reasoning_content"')
REFUSAL = chunk("No").replace(b'"content"', b'"refusal"')
PARTS = [{"type": "text", "text": "I think"}]
BEGUN_IN_PARTS = {
    "messages": [*ASK["messages"], {"role": "assistant", "content": PARTS}],
    "continue_final_message": True,
    "add_generation_prompt": False,
}
BEGUN_AND_TOLD_AGAIN = BEGUN_IN_PARTS | {
    "messages": [*ASK["messages"], {"role": "assistant", "content": "I think"}],
    "echo": True,
}
IMPOSSIBLE: list[tuple[str, tuple[bytes, ...], dict[str, Any]]] = [
    ("tool call", (FIRST, CALL), {}),
    ("amid a thought", (FIRST, THOUGHT), {}),
    ("take its thought back", (FIRST, THOUGHT, chunk("So")), {}),
    ("structured output", BEGUN, {"response_format": {"type": "json_object"}}),
    ("structured output", BEGUN, {"guided_regex": "a+"}),
    ("structured output", BEGUN, {"tools": [{}], "tool_choice": "required"}),
    ("log probabilities", BEGUN, {"logprobs": True}),
    ("several choices", BEGUN, {"n": 2}),
    ("a stop string", BEGUN, {"stop": ["weighs much"]}),
    ("a stop string", BEGUN, {"stop": "weighs", "include_stop_str_in_output": True}),
    ("a penalty", BEGUN, {"frequency_penalty": 0.5}),
    ("white space", BEGUN[:2], {}),
    ("take its thought back", RAW, {}),
    ("take its thought back", (*RAW, chunk("</think>So")), {}),
    ("take its thought back", (FIRST, chunk("Hm."), chunk("</think>So")), {}),
    ("structured output", BEGUN, {"structured_outputs": {"choice": ["a"]}}),
    ("structured output", BEGUN, {"grammar": "root ::= [a-z ]+"}),
    ("a penalty", BEGUN, {"presence_penalty": -1}),
    ("told of its prompt", BEGUN, {"prompt_logprobs": 0}),
    ("told of its prompt", BEGUN, {"return_token_ids": True}),
    ("told of its prompt", BEGUN, {"truncate_prompt_tokens": 9}),
    ("something else than text", (FIRST, REFUSAL), {}),
    ("its client has begun it", BEGUN, BEGUN_IN_PARTS),
    ("its client has begun it", BEGUN, BEGUN_AND_TOLD_AGAIN),
]


@pytest.mark.parametrize(("why", "begun", "fields"), IMPOSSIBLE)
async def test_where_the_rest_could_not_be_exact_a_typed_error_says_why(
    why: str, begun: tuple[bytes, ...], fields: dict[str, Any]
) -> None:
    one, two = Breaking(CUT, begun=begun), Breaking(CUT, begun=begun)
    async with running(one), running(two), serving(config(one, two)) as served:
        error = await told_error(served, **fields)
        assert error["code"] == "continuation_impossible"
        assert why in error["message"]
        assert len(requests(one, two)) == 1


async def test_a_text_that_has_come_to_its_end_is_not_gone_on_with() -> None:
    told = b'data: {"error":{"message":"no usage","code":500}}\n\n'
    begun = (*BEGUN, chunk(finish="stop"), told)
    one, two = Breaking(CUT, begun=begun), Breaking(CUT, begun=begun)
    async with running(one), running(two), serving(config(one, two)) as served:
        text = await streamed(served)
        *events, last = (msgspec.json.decode(data) for data in data_of(text))
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert "error" in last
        assert last["error"]["code"] != "continuation_impossible"
        assert len(requests(one, two)) == 1


FURTHER: list[tuple[str, dict[str, Any]]] = [
    ("log probabilities", {"logprobs": 0}),
    ("log probabilities", {"logprobs": 2}),
    ("an echo or a suffix", {"echo": True}),
    ("an echo or a suffix", {"suffix": "."}),
    ("several choices", {"best_of": 2}),
    ("several choices", {"prompt": ["Once it", "Twice it"]}),
    ("a stop string", {"stop": "hs a lot"}),
    ("token ids", {"prompt": [1, 2]}),
]


@pytest.mark.parametrize(("why", "fields"), FURTHER)
async def test_nor_is_a_completion_gone_on_with_where_that_is_not_exact(
    why: str, fields: dict[str, Any]
) -> None:
    one, two = Breaking(CUT, begun=[WEIGHS]), Breaking(CUT, begun=[WEIGHS])
    one.tokens = two.tokens = None
    async with running(one), running(two), serving(config(one, two)) as served:
        text = await streamed(served, "/v1/completions", **{"prompt": "Once it"} | fields)
        error = msgspec.json.decode(data_of(text)[-1])["error"]
        assert error["code"] == "continuation_impossible"
        assert why in error["message"]
        assert len(requests(one, two)) == 1
