"""Tools and thoughts through gateway and worker, as the openai SDK sees them."""

from typing import Any

import openai
import pytest

from tests.support.parrot import Parrot, parrot

# Written by us: what a dialect is known by, and turns that are told apart.
HERMES = (
    "{% for tool in tools or () %}{{ tool | tojson }}{% endfor %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>{{ m.content }}"
    "{% for c in m.tool_calls %}<tool_call>"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "</tool_call>{% endfor %}{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
THINKING = HERMES + "{# <think></think> #}"
OPENED = HERMES + "{% if add_generation_prompt %}<think>{# </think> #}{% endif %}"
MISTRAL = "{# [TOOL_CALLS][ARGS] #}" + HERMES
LLAMA = '{# {"name": function name, "parameters" <|python_tag|> #}' + HERMES.replace(
    "tool_call>", "x>"
)
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("add", "now")
]
TWO = (
    'Let me see.<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>\n'
    '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
)
ASK: Any = [{"role": "user", "content": "What?"}]
THOUGHT = "<think>\nA long thought.\n</think>\n\nYes."
CUT = {"tools": TOOLS, "max_tokens": 30}


async def whole(parrot: Parrot, **fields: Any) -> Any:
    fields = {"messages": ASK} | fields
    return await parrot.client.chat.completions.create(model="parrot", **fields)


async def streamed(parrot: Parrot, **fields: Any) -> Any:
    """Return what the SDK makes of a stream: the same as an answer at once."""
    fields = {"messages": ASK, "stream_options": {"include_usage": True}} | fields
    async with parrot.client.chat.completions.stream(model="parrot", **fields) as stream:
        return await stream.get_final_completion()


def plain(answer: Any) -> dict[str, Any]:
    """Return message and end of an answer, without ids, which are new each time."""
    message = answer.choices[0].message
    return {
        "content": message.content or "",
        "thought": getattr(message, "reasoning_content", None) or "",
        "calls": [(c.function.name, c.function.arguments) for c in message.tool_calls or ()],
        "finish_reason": answer.choices[0].finish_reason,
    }


@pytest.mark.parametrize("ask", [whole, streamed])
async def test_parallel_calls_reach_the_client(ask: Any) -> None:
    async with parrot(HERMES, TWO) as served:
        answer = await ask(served, tools=TOOLS)
    assert plain(answer) == {
        "content": "Let me see.",
        "thought": "",
        "calls": [("add", '{"a": 1}'), ("now", "{}")],
        "finish_reason": "tool_calls",
    }
    ids = [call.id for call in answer.choices[0].message.tool_calls]
    assert len(set(ids)) == 2
    assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("template", "architecture", "text"),
    [
        (MISTRAL, "llama", '[TOOL_CALLS]now[ARGS]{"a": 1}'),
        (LLAMA, "llama", '<|python_tag|>{"name": "now", "parameters": {"a": 1}}'),
        (LLAMA, "llama", "[now(a=1)]"),
    ],
)
async def test_other_families_calls_reach_the_client_too(
    template: str, architecture: str, text: str
) -> None:
    async with parrot(template, text, architecture=architecture) as served:
        for ask in (whole, streamed):
            answer = plain(await ask(served, tools=TOOLS))
            assert answer["calls"] == [("now", '{"a": 1}')]
            assert answer["finish_reason"] == "tool_calls"


async def test_a_model_whose_template_knows_no_tools_calls_them_all_the_same() -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<|assistant|>"
    async with parrot(template, TWO) as served:
        for ask in (whole, streamed):
            assert len(plain(await ask(served, tools=TOOLS))["calls"]) == 2
        assert "<system># Tools" in served.prompts[0]


async def test_a_template_for_tools_is_taken_where_there_are_tools() -> None:
    template = "(no tools)" + HERMES.replace("tool_call>", "x>")
    async with parrot(template, TWO, for_tools=HERMES) as served:
        assert len(plain(await whole(served, tools=TOOLS))["calls"]) == 2
        assert plain(await whole(served))["calls"] == []
        assert [prompt.startswith("(no tools)") for prompt in served.prompts] == [False, True]


@pytest.mark.parametrize("ask", [whole, streamed])
async def test_without_parallel_calls_an_answer_ends_with_the_first(ask: Any) -> None:
    async with parrot(HERMES, TWO) as served:
        answer = await ask(served, tools=TOOLS, parallel_tool_calls=False)
        assert plain(answer)["calls"] == [("add", '{"a": 1}')]
        assert plain(answer)["finish_reason"] == "tool_calls"
        both = await ask(served, tools=TOOLS, parallel_tool_calls=True)
        assert len(plain(both)["calls"]) == 2
    assert answer.usage.completion_tokens < both.usage.completion_tokens


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("start", ['<tool_call>{"na', '<tool_call>{"name": "add", "argu'])
async def test_a_call_that_the_client_has_begun_reaches_it_whole(ask: Any, start: str) -> None:
    start = "Let me see." + start
    begun: Any = {"continue_final_message": True, "add_generation_prompt": False}
    turns = [*ASK, {"role": "assistant", "content": start}]
    async with parrot(HERMES, TWO) as served:
        answer = await ask(served, messages=turns, tools=TOOLS, extra_body=begun)
    assert plain(answer) == {
        "content": "",
        "thought": "",
        "calls": [("add", '{"a": 1}'), ("now", "{}")],
        "finish_reason": "tool_calls",
    }


async def test_a_conversation_goes_on_with_the_results() -> None:
    async with parrot(HERMES, TWO, "It is 3.") as served:
        first = (await whole(served, tools=TOOLS)).choices[0].message
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} = 3"}
            for call in first.tool_calls
        ]
        turns = [*ASK, first.model_dump(exclude_none=True), *results]
        second = await served.client.chat.completions.create(
            model="parrot", messages=turns, tools=TOOLS
        )
        assert plain(second)["content"] == "It is 3."
        assert served.prompts[-1].endswith(
            '<user>What?<|assistant|>Let me see.<tool_call>{"name": "add", "arguments": {"a": 1}}'
            '</tool_call><tool_call>{"name": "now", "arguments": {}}</tool_call>'
            "<tool>add = 3<tool>now = 3<|assistant|>"
        )


@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_without_tools_nothing_is_called(fields: dict[str, Any]) -> None:
    """Control tokens stay unseen then, as ever."""
    async with parrot(HERMES, '<tool_call>{"name": "now"}</tool_call>') as served:
        answer = plain(await whole(served, **fields))
        assert answer["content"] == '{"name": "now"}'
        assert (answer["calls"], answer["finish_reason"]) == ([], "stop")
        assert ("parameters" in served.prompts[0]) is False


async def test_a_call_that_is_cut_is_content_and_no_call() -> None:
    """In a stream its name was told already: what is left of it is content there."""
    async with parrot(HERMES, TWO) as served:
        answer = plain(await whole(served, **CUT))
        assert answer["content"] == 'Let me see.<tool_call>{"name": "add", "a'
        assert (answer["calls"], answer["finish_reason"]) == ([], "length")
        chunks = [chunk async for chunk in await whole(served, **CUT, stream=True)]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == 'Let me see., "a'
    called = [call.function for delta in deltas for call in delta.tool_calls or ()]
    assert [(call.name, call.arguments) for call in called] == [("add", "")]
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_an_answer_that_is_cut_behind_a_call_says_that_it_was_cut() -> None:
    async with parrot(HERMES, TWO) as served:
        uncut = await whole(served, tools=TOOLS)
        fields = {"tools": TOOLS, "max_tokens": uncut.usage.completion_tokens - 9}
        answer = plain(await whole(served, **fields))
        chunks = [chunk async for chunk in await whole(served, **fields, stream=True)]
        with pytest.raises(openai.LengthFinishReasonError):  # who puts calls together is told
            await streamed(served, **fields)
    assert answer["calls"] == [("add", '{"a": 1}')]
    assert answer["finish_reason"] == chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("ask", [whole, streamed])
async def test_a_thought_reaches_the_client_apart(ask: Any) -> None:
    async with parrot(THINKING, THOUGHT) as served:
        answer = await ask(served)
        assert plain(answer)["thought"] == "A long thought."
        assert plain(answer)["content"] == "Yes."
        assert answer.usage.completion_tokens_details.reasoning_tokens == 1 + 17 + 1
        left = await ask(served, extra_body={"reasoning_format": "none"})
        assert plain(left)["content"] == THOUGHT
        assert plain(left)["thought"] == ""


async def test_a_thought_that_the_prompt_opened_is_one() -> None:
    async with parrot(OPENED, THOUGHT) as served:
        answer = plain(await whole(served))
        assert (answer["thought"], answer["content"]) == ("A long thought.", "Yes.")


@pytest.mark.parametrize("template", [THINKING, OPENED])
@pytest.mark.parametrize(("budget", "thought"), [(7, "A long"), (0, ""), (-1, "A long thought.")])
async def test_a_thought_over_its_budget_is_closed(
    template: str, budget: int, thought: str
) -> None:
    async with parrot(template, THOUGHT) as served:
        for name in ("reasoning_budget_tokens", "thinking_token_budget"):
            answer = plain(await whole(served, extra_body={name: budget}))
            assert (answer["thought"], answer["content"]) == (thought, "Yes.")


async def test_a_budget_below_minus_one_is_refused() -> None:
    async with parrot(THINKING, THOUGHT) as served:
        with pytest.raises(openai.BadRequestError, match="reasoning_budget_tokens"):
            await whole(served, extra_body={"reasoning_budget_tokens": -2})


async def test_a_templates_options_are_the_clients_to_set() -> None:
    template = "{% if enable_thinking %}(think){% endif %}" + HERMES
    async with parrot(template, "Yes.") as served:
        await whole(served, extra_body={"chat_template_kwargs": {"enable_thinking": True}})
        await whole(served)
        assert [prompt.startswith("(think)") for prompt in served.prompts] == [True, False]


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"reasoning_effort": "high"}, "(high True)"),
        ({"reasoning_effort": "none"}, "(none False)"),
        ({"reasoning": {"effort": "low"}}, "(low True)"),
        ({"reasoning": {"enabled": False}}, "( False)"),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}},
            "(low False)",
        ),
        ({}, "( )"),
    ],
)
async def test_how_much_to_think_reaches_the_template(fields: dict[str, Any], seen: str) -> None:
    template = "({{ reasoning_effort }} {{ enable_thinking }})" + HERMES
    async with parrot(template, "Yes.") as served:
        await whole(served, extra_body=fields)
        assert served.prompts[0].startswith(seen)


@pytest.mark.parametrize(
    ("fields", "thought"),
    [
        ({"reasoning": {"max_tokens": 7}}, "A long"),
        ({"reasoning_effort": "none"}, ""),
        ({"reasoning": {"enabled": False}}, ""),
        ({"reasoning_effort": "high"}, "A long thought."),
    ],
)
async def test_a_thought_is_bounded_where_the_template_has_no_switch(
    fields: dict[str, Any], thought: str
) -> None:
    async with parrot(OPENED, THOUGHT) as served:
        answer = plain(await whole(served, extra_body=fields))
        assert (answer["thought"], answer["content"]) == (thought, "Yes.")


@pytest.mark.parametrize("reasoning", ["high", {"effort": 3}, {"max_tokens": "7"}])
async def test_a_malformed_wish_for_reasoning_is_refused(reasoning: Any) -> None:
    async with parrot(THINKING, THOUGHT) as served:
        with pytest.raises(openai.BadRequestError, match="'reasoning"):
            await whole(served, extra_body={"reasoning": reasoning})
