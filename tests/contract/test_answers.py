"""Answers that are not streamed: one contract for every engine."""

import re
from typing import Any

import pytest

from tests.support.contract import COMPLETIONS, Contract, Subject, user

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_chat_answer_has_openais_shape(subject: Subject) -> None:
    told = await subject.whole("Hello")
    (choice,) = told["choices"]
    assert told["object"] == "chat.completion"
    assert told["id"]
    assert told["model"] == subject.model
    assert choice["index"] == 0
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] in ("stop", "length")


async def test_usage_adds_up_and_is_what_the_gateway_counts(behind: Subject) -> None:
    before = await behind.figures()
    usage = (await behind.whole("Hello"))["usage"]
    after = await behind.figures()
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 0
    for kind in ("prompt_tokens", "completion_tokens"):
        assert after[f"{kind}_total"] - before[f"{kind}_total"] == usage[kind]
    assert after["ok"] - before["ok"] == 1


async def test_an_alias_is_answered_under_the_served_name(engines: Contract) -> None:
    subject = await engines.subject("demo-qwen")
    assert (await subject.whole("Hello", model="small"))["model"] == "demo-qwen"


async def test_n_choices_are_numbered_and_all_are_counted(live: Subject) -> None:
    if live.is_vllm:
        await numbered_choices_of_vllm(live)
        return
    one = await live.whole("Hello")
    told = await live.whole("Hello", n=3)
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2]
    assert {c["message"]["content"] for c in told["choices"]} == {
        one["choices"][0]["message"]["content"]
    }
    assert told["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert told["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]


async def numbered_choices_of_vllm(live: Subject) -> None:
    """It refuses several choices at temperature 0, for they would be the same."""
    refused = await live.post(messages=user("Hello"), n=3)
    assert refused.status_code == 400
    assert "greedy" in refused.json()["error"]["message"]
    told = await live.whole("Hello", n=3, temperature=0.8, max_tokens=9, ignore_eos=True)
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2]
    assert told["usage"]["completion_tokens"] == 27


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("most", [1, 7])
async def test_a_bound_on_tokens_is_kept_exactly(live: Subject, field: str, most: int) -> None:
    told = await live.whole("Hello", **{field: most})
    assert told["usage"]["completion_tokens"] == most
    assert told["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(("bound", "completion"), [(-1, 30), (None, 16)])
async def test_as_many_tokens_as_there_is_room_for_may_be_asked_for(
    live: Subject, bound: int | None, completion: int
) -> None:
    """-1 is LM Studio's and llama.cpp's word for it; null is so in a chat, and no bound given."""
    prompt, most = [5] * (live.context - 30), {"max_tokens": bound}
    answer = await live.post(COMPLETIONS, prompt=prompt, ignore_eos=True, **most)
    if bound == -1 and live.is_vllm:  # it has no word for it in a completion, and says so
        assert (answer.status_code, "max_tokens" in answer.text) == (400, True)
    else:
        assert answer.json()["usage"]["completion_tokens"] == completion
    free, asked = await live.whole("Hello"), await live.whole("Hello", max_tokens=bound)
    assert asked["choices"] == free["choices"]


async def test_an_answer_without_a_token_is_refused(live: Subject) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        none: dict[str, Any] = {field: 0}
        refused = await live.post(messages=user("Hello"), **none)
        assert refused.status_code == 400
        assert field in refused.json()["error"]["message"]


async def test_an_answer_without_a_bound_ends_with_the_context(live: Subject) -> None:
    told = await live.post(
        COMPLETIONS, prompt=[5] * (live.context - 8), max_tokens=500, ignore_eos=True
    )
    assert told.json()["usage"]["total_tokens"] == live.context
    assert told.json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_string_ends_the_answer_and_is_never_shown(
    live: Subject, stream: bool
) -> None:
    text = (await live.whole("What is Weighbridge?"))["choices"][0]["message"]["content"]
    assert len(text) > 60
    for at in range(1, 60, 7):  # windows of five characters begin and end inside tokens
        stop = text[at : at + 5]
        if stream:
            events = await live.stream("What is Weighbridge?", stop=[stop, "never said"])
            choices = [choice for event in events for choice in event["choices"]]
            shown = "".join(choice["delta"].get("content", "") for choice in choices)
            reason = choices[-1]["finish_reason"]
        else:
            told = await live.whole("What is Weighbridge?", stop=stop)
            shown = told["choices"][0]["message"]["content"]
            reason = told["choices"][0]["finish_reason"]
        assert shown == text[: text.find(stop)]
        assert reason == "stop"


async def test_the_same_seed_gives_the_same_answer(live: Subject) -> None:
    # A taught question: where a model is unsure, rounding decides, and batches round differently.
    first, second = [
        (await live.whole("Write a haiku", temperature=0.8, seed=11))["choices"] for _ in range(2)
    ]
    assert first == second


async def test_choices_of_one_seed_differ(live: Subject) -> None:
    told = await live.whole("Tell me more", temperature=2, seed=11, n=3, max_tokens=24)
    assert len({choice["message"]["content"] for choice in told["choices"]}) == 3


async def test_logprobs_spell_out_the_answer(live: Subject) -> None:
    told = await live.whole("Hello", logprobs=True, top_logprobs=3)
    (choice,) = told["choices"]
    tokens = choice["logprobs"]["content"]
    spelt = b"".join(bytes(token["bytes"]) for token in tokens)
    text = spelt.decode()
    if live.is_vllm:  # it tells the token at which it ended too
        text = text.removesuffix("<|im_end|>").removesuffix("<|eot_id|>")
    assert text == choice["message"]["content"]
    for token in tokens:
        best = token["top_logprobs"]
        assert len(best) == 3
        assert best[0]["bytes"] == token["bytes"]  # greedy: the likeliest was taken
        assert 0 >= best[0]["logprob"] >= best[1]["logprob"] >= best[2]["logprob"]
        assert token["logprob"] == best[0]["logprob"]


async def test_nobody_gets_logprobs_without_asking(subject: Subject) -> None:
    assert not (await subject.whole("Hello"))["choices"][0]["logprobs"]


async def test_a_completion_goes_on_with_a_text_and_its_logprobs_spell_it(live: Subject) -> None:
    ask: dict[str, Any] = {"prompt": "The quick brown", "max_tokens": 8}
    told = (await live.post(COMPLETIONS, **ask, logprobs=2)).json()
    (choice,) = told["choices"]
    assert told["object"] == "text_completion"
    assert told["model"] == live.model
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    echoed = (await live.post(COMPLETIONS, **ask, echo=True)).json()["choices"][0]["text"]
    assert echoed == "The quick brown" + choice["text"]


async def test_each_of_several_prompts_has_its_own_answer(live: Subject) -> None:
    prompts = ["Monday, Tuesday", "Once upon a time"]
    fields = {"max_tokens": 6, "temperature": 0}
    alone = [(await live.post(COMPLETIONS, prompt=p, **fields)).json() for p in prompts]
    each = 1 if live.is_vllm else 2
    told = (await live.post(COMPLETIONS, prompt=prompts, n=each, **fields)).json()
    assert [choice["index"] for choice in told["choices"]] == list(range(2 * each))
    texts = [choice["text"] for choice in told["choices"]]
    first, second = [one["choices"][0]["text"] for one in alone]
    assert texts == [first] * each + [second] * each
    assert told["usage"]["prompt_tokens"] == sum(one["usage"]["prompt_tokens"] for one in alone)


async def test_fields_that_sdks_add_never_fail(subject: Subject) -> None:
    await subject.whole(
        "Hello",
        user="u-1",
        store=True,
        metadata={"team": "a"},
        parallel_tool_calls=False,
        service_tier="auto",
        nobody_knows={"deep": [1, None]},
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_beyond_the_context_is_told_both_numbers(
    subject: Subject, stream: bool
) -> None:
    answer = await subject.post(messages=user("hello " * 6_000), stream=stream)
    error = answer.json()["error"]
    numbers = [int(digits.replace(",", "")) for digits in re.findall(r"[\d,]*\d", error["message"])]
    assert answer.status_code == 400
    assert error["code"] == "context_length_exceeded"
    assert error["param"]
    assert subject.context in numbers
    assert any(number > subject.context for number in numbers)


async def test_an_unknown_model_is_not_found(behind: Subject) -> None:
    answer = await behind.post(model="nobody", messages=user("Hello"))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.json()["error"]["param"] == "model"


RANGES = [
    ("temperature", 2.1),
    ("temperature", -0.1),
    ("temperature", "hot"),
    ("top_p", 1.1),
    ("min_p", -1),
    ("top_k", -2),
    ("presence_penalty", 2.5),
    ("frequency_penalty", -2.5),
    ("repetition_penalty", 0),
    ("n", 0),
    ("n", 129),
    ("max_tokens", 0),
    ("max_completion_tokens", -2),
    ("top_logprobs", 21),
    ("seed", 1.5),
    ("stop", 5),
    ("messages", "Hello"),
    ("messages", []),
]


@pytest.mark.parametrize(("field", "value"), RANGES)
async def test_a_value_out_of_its_range_is_named(subject: Subject, field: str, value: Any) -> None:
    answer = await subject.post(**{"messages": user("Hello"), field: value})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == field
    assert field in error["message"]
