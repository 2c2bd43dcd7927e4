"""Conversations with tool calls come to each template in the shape that it takes."""

import json
from typing import Any

import pytest

from engines.llamacpp.speech.form import Form
from engines.llamacpp.template import ChatTemplate
from engines.llamacpp.tool_turns import ToolShape
from engines.protocol.requests import Message

# Written by us after what the families' templates do.
QWEN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls %}{% set f = c.function %}"
    '<tool_call>{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}</tool_call>'
    "{% endfor %}{% endfor %}"
)
LLAMA = (
    "{% for m in messages %}{% if 'tool_calls' in m %}"
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('One call at once!') }}{% endif %}"
    '<{{ m.role }}>{{ m.content }}{"name": "{{ m.tool_calls[0].function.name }}", "parameters": '
    "{{ m.tool_calls[0].function.arguments | tojson }}}"
    "{% elif m.role == 'tool' %}<ipython>{{ m.content }}"
    "{% else %}<{{ m.role }}>{{ m.content | trim }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS]["
    "{% for c in m.tool_calls %}{% if c.id | length != 9 %}"
    "{{ raise_exception('Ids have nine characters!') }}{% endif %}"
    '{{ (c.function | tojson)[:-1] }}, "id": "{{ c.id }}"}{% if not loop.last %}, {% endif %}'
    "{% endfor %}]"
    "{% elif m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}"
    "{{ raise_exception('Ids have nine characters!') }}{% endif %}"
    "[TOOL_RESULTS]{{ m.tool_call_id }} {{ m.content }}"
    "{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}"
    "{% for c in m.tool_calls %}{{ c.type + ':' + c.function.name + '\\n' + "
    "c.function.arguments + '\\n' }}{% endfor %}"
    "{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
)
TEMPLATES = {"qwen": QWEN, "llama": LLAMA, "mistral": MISTRAL, "deepseek": DEEPSEEK}


def call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


BOTH = [call("call_1", "f", '{"a": 1}'), call("call_2", "g", "")]
PARALLEL = (
    Message("user", "Both?"),
    Message("assistant", None, tool_calls=BOTH),
    Message("tool", "two", tool_call_id="call_2"),
    Message("tool", "one", tool_call_id="call_1"),
    Message("assistant", "Done."),
)


def rendered(name: str, *messages: Message) -> str:
    return ChatTemplate(TEMPLATES[name], {}).render(messages)


def test_parallel_calls_are_written_as_each_template_writes_them() -> None:
    assert rendered("qwen", *PARALLEL) == (
        '<user>Both?<assistant><tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
        '<tool_call>{"name": "g", "arguments": {}}</tool_call><tool>two<tool>one<assistant>Done.'
    )


def test_where_a_template_takes_one_call_a_turn_each_is_followed_by_its_result() -> None:
    assert rendered("llama", *PARALLEL) == (
        '<user>Both?<assistant>{"name": "f", "parameters": {"a": 1}}<ipython>one'
        '<assistant>{"name": "g", "parameters": {}}<ipython>two<assistant>Done.'
    )


def test_what_was_said_beside_several_calls_is_said_once() -> None:
    calls = [call("1", "f", "{}"), call("2", "g", "{}")]
    said = rendered("llama", Message("user", "a"), Message("assistant", "Hm.", tool_calls=calls))
    assert said.count("Hm.") == 1
    assert said.index("Hm.") < said.index('"f"') < said.index('"g"')


def test_results_without_a_call_are_kept() -> None:
    calls = [call("1", "f", "{}"), call("2", "g", "{}")]
    said = rendered(
        "llama",
        Message("user", "a"),
        Message("assistant", None, tool_calls=calls),
        Message("tool", "lost", tool_call_id="3"),
    )
    assert said.endswith("<ipython>lost")


def test_ids_become_short_ones_and_still_belong_together() -> None:
    said = rendered("mistral", *PARALLEL)
    _, one, two = said.split('"id": "')
    assert f"[TOOL_RESULTS]{two[:9]} two[TOOL_RESULTS]{one[:9]} one" in said


def test_an_id_that_is_short_already_stays() -> None:
    turn = Message("assistant", None, tool_calls=[call("abcdef123", "f", "{}")])
    assert '"id": "abcdef123"' in rendered("mistral", Message("user", "a"), turn)


def test_arguments_stay_text_and_content_is_null_where_a_template_wants_that() -> None:
    assert rendered("deepseek", *PARALLEL) == (
        '<user>Both?function:f\n{"a": 1}\nfunction:g\n\n<tool>two<tool>one<assistant>Done.'
    )


def test_what_was_said_beside_calls_is_a_turn_of_its_own_there() -> None:
    turn = Message("assistant", "Hm.", tool_calls=[call("1", "f", "{}")])
    said = rendered("deepseek", Message("user", "a"), turn)
    assert said == "<user>a<assistant>Hm.function:f\n{}\n"


def test_arguments_that_are_no_json_are_left_to_the_template() -> None:
    turn = Message("assistant", None, tool_calls=[call("1", "f", "{a")])
    assert '"arguments": "{a"' in rendered("qwen", Message("user", "a"), turn)


def test_calls_that_are_none_are_left_to_the_template() -> None:
    shape = ToolShape(single=True, short_ids=True)
    odd = [{"role": "assistant", "content": None, "tool_calls": ["x", {"function": 1}, {}]}]
    assert len(shape.shaped(odd)) == 3


@pytest.mark.parametrize("calls", [None, []])
def test_a_turn_without_calls_has_no_such_field(calls: list[Any] | None) -> None:
    """Templates ask whether it is there, not what is in it."""
    said = rendered("llama", Message("user", "a"), Message("assistant", "b", tool_calls=calls))
    assert said == "<user>a<assistant>b"


def test_what_a_client_sent_is_not_changed() -> None:
    before = json.dumps([message.tool_calls for message in PARALLEL])
    for name in TEMPLATES:
        rendered(name, *PARALLEL)
    assert json.dumps([message.tool_calls for message in PARALLEL]) == before


# Knows neither tools nor calls; the second not even their results.
SIMPLE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Turns must alternate!') }}{% endif %}<{{ m.role }}>{{ m.content }}"
    "{% endfor %}"
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALLS_AS_TEXT = (
    '<assistant><tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>\n'
    '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
)


def test_a_template_that_writes_no_calls_gets_them_as_text() -> None:
    said = ChatTemplate(SIMPLE, {}).render(PARALLEL)
    assert said == f"<user>Both?{CALLS_AS_TEXT}<tool>two<tool>one<assistant>Done."


def test_results_are_the_users_where_a_template_takes_no_others() -> None:
    said = ChatTemplate(STRICT, {}).render(PARALLEL)
    assert said == (
        f"<user>Both?{CALLS_AS_TEXT}<user><tool_response>\ntwo\n</tool_response>\n"
        "<tool_response>\none\n</tool_response><assistant>Done."
    )


def test_what_was_said_beside_calls_stays_before_them_in_the_text() -> None:
    turn = Message("assistant", "Hm.", tool_calls=[call("1", "f", "{}")])
    said = ChatTemplate(SIMPLE, {}).render([Message("user", "a"), turn])
    assert "<assistant>Hm.\n<tool_call>" in said


@pytest.mark.parametrize("system", [(), (Message("system", "Be kind."),)])
@pytest.mark.parametrize("source", [SIMPLE, STRICT])
def test_a_template_that_says_nothing_of_tools_has_them_told_in_the_system_prompt(
    source: str, system: tuple[Message, ...]
) -> None:
    said = ChatTemplate(source, {}).render([*system, Message("user", "Why?")], [TOOL])
    first = "<system>" if source == SIMPLE else "<user>"
    assert said.startswith(first + "".join(f"{m.content}\n\n" for m in system) + "# Tools")
    assert json.dumps(TOOL) in said
    assert '<tool_call>\n{"name": "function-name", "arguments": {' in said
    assert said.endswith("<user>Why?" if source == SIMPLE else "\n\nWhy?")


def test_tools_are_told_once_where_the_template_tells_of_them() -> None:
    source = "{{ tools | tojson }}" + SIMPLE
    said = ChatTemplate(source, {}).render([Message("user", "a")], [TOOL])
    assert said == f"{json.dumps([TOOL])}<user>a"


def test_calls_are_asked_for_in_the_familys_own_form() -> None:
    form = Form("<call>", "|", "</call>")
    said = ChatTemplate(SIMPLE, {}, form).render([Message("user", "a")], [TOOL])
    assert '<call>function-name|{"argument-name": "value"}</call>' in said


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_reaches_the_template_by_whatever_name(field: str, name: str) -> None:
    source = f"{{% for m in messages %}}({{{{ m.{name} }}}}){{{{ m.content }}}}{{% endfor %}}"
    turn = Message("assistant", "b", **{field: "why"})  # type: ignore[arg-type]  # a text, as it is
    assert ChatTemplate(source, {}).render([Message("user", "a"), turn]) == "()a(why)b"


# gpt-oss wants no more than one of the two beside calls.
ALONE = QWEN.replace(
    "{% for c in",
    "{% if m.tool_calls and m.thinking %}{% if m.content %}{{ raise_exception('Both!') }}"
    "{% endif %}({{ m.thinking }}){% endif %}{% for c in",
)


def test_content_goes_into_the_thought_where_there_is_no_place_for_it_beside_calls() -> None:
    turn = Message("assistant", "Hm.", tool_calls=[call("1", "f", "{}")], reasoning="Why?")
    said = ChatTemplate(ALONE, {}).render([Message("user", "a"), turn])
    assert (
        said
        == '<user>a<assistant>(Why?\n\nHm.)<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    )


def test_a_templates_own_options_reach_it_and_cannot_replace_the_conversation() -> None:
    source = "{{ messages[0].content }}{% if enable_thinking %}<think>{% endif %}"
    template = ChatTemplate(source, {})
    options = {"enable_thinking": True, "messages": [{"content": "another"}]}
    assert template.render([Message("user", "a")], options=options) == "a<think>"
    assert template.render([Message("user", "a")]) == "a"
