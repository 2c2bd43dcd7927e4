"""Chat templates: what they are given, what they may do, and what becomes of their refusals."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engines.llamacpp import sandbox
from engines.llamacpp.template import CHATML, ChatTemplate, TemplateProblem
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ContentPart, Message

QWEN = (
    "{%- if messages[0].role == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are a toy.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if not (message.role == 'system' and loop.first) %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
LLAMA = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}"
    "<{{ message.role }}>{{ message.content }}{% endfor %}<model>"
)
SILENT = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def text(source: str, *messages: Message, **special: str) -> str:
    return ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"} | special).render(
        messages
    )


def user(content: str) -> Message:
    return Message("user", content)


def test_qwens_chatml_is_written_with_and_without_a_system_prompt() -> None:
    assert text(QWEN, user("hi")) == (
        "<|im_start|>system\nYou are a toy.<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text(QWEN, Message("system", "Be brief."), user("hi")) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_llama_3_headers_and_the_beginning_of_the_text_are_written() -> None:
    assert text(LLAMA, Message("system", "s"), user(" hi ")) == (
        "<s><|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_weights_without_a_template_get_chatml() -> None:
    assert text(CHATML, user("hi")) == ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")


def test_a_developer_is_the_system() -> None:
    assert text(QWEN, Message("developer", "x"), user("hi")) == text(
        QWEN, Message("system", "x"), user("hi")
    )


def test_text_parts_are_joined_by_a_line_feed() -> None:
    parts = [ContentPart("text", "a"), ContentPart("text", "b")]
    assert text(CHATML, Message("user", parts)) == text(CHATML, user("a\nb"))


def test_a_part_that_is_no_text_is_refused_with_its_place() -> None:
    parts = [ContentPart("text", "a"), ContentPart("image_url", image_url={"url": "data:"})]
    with pytest.raises(InvalidRequest) as caught:
        text(CHATML, user("a"), Message("user", parts))
    assert caught.value.param == "messages[1].content[1]"
    assert caught.value.code == "unsupported_capability"


def test_an_assistants_null_content_is_empty() -> None:
    said = text(CHATML, user("a"), Message("assistant", None), user("b"))
    assert "<|im_start|>assistant\n<|im_end|>\n" in said


@pytest.mark.parametrize("source", [NO_SYSTEM, SILENT])
def test_a_template_without_a_system_role_has_it_in_the_first_user_turn(source: str) -> None:
    said = text(source, Message("system", "s"), user("a"), Message("assistant", "b"), user("c"))
    assert said.startswith("<user>s\n\na<assistant>b<user>c")


def test_several_system_turns_are_merged_in_their_order() -> None:
    said = text(NO_SYSTEM, Message("system", "s"), user("a"), Message("developer", "t"))
    assert said == "<user>s\n\nt\n\na<model>"


def test_a_system_turn_alone_becomes_a_user_turn() -> None:
    assert text(NO_SYSTEM, Message("system", "s")) == "<user>s<model>"


def test_what_a_template_rejects_is_the_clients_error_in_its_words() -> None:
    with pytest.raises(InvalidRequest, match="Roles must alternate user/assistant") as caught:
        text(NO_SYSTEM, user("a"), user("b"))
    assert caught.value.param == "messages"
    assert caught.value.status == 400


def test_tools_reach_the_template_as_json_that_is_not_escaped() -> None:
    source = "{% if tools %}{{ tools | tojson(indent=None, ensure_ascii=False) }}{% endif %}"
    template = ChatTemplate(source, {})
    assert template.render([user("a")], [{"name": "<é>"}]) == '[{"name": "<é>"}]'
    assert template.render([user("a")]) == ""


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__['os'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='x') }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
    ],
)
def test_nothing_outside_the_sandbox_can_be_reached(source: str) -> None:
    with pytest.raises(InvalidRequest, match="template rejects"):
        text(source, user("a"))


QUEUE = "{% set ns = namespace(ids=[]) %}"


def test_a_list_that_a_template_has_made_can_be_a_queue() -> None:
    source = (
        QUEUE + "{% for m in messages %}{% set _ = ns.ids.append(m.content ~ loop.index) %}"
        "{% endfor %}{{ ns.ids.pop(0) }},{{ ns.ids | length }}"
    )
    assert text(source, user("a"), user("b")) == "a1,1"


@pytest.mark.parametrize(
    "source",
    [
        "{% set q = messages[0:] %}{{ q.append('a') }}",
        QUEUE + "{{ ns.ids.append(ns.ids) }}",
        QUEUE + "{{ ns.ids.append([1]) }}",
        QUEUE + "{% set pair = [ns.ids, ns.ids] %}{{ ns.ids.append('a') }}",
        QUEUE + "{% set put = ns.ids.append %}{% set pair = {'a': ns.ids} %}{{ put('a') }}",
        QUEUE + "{% set pair = dict(a=ns.ids) %}{{ ns.ids.append('a') }}",
        QUEUE + "{{ ns.ids.extend('abc') }}",
        QUEUE + "{% for a in range(999) %}{% for b in range(999) %}{{ ns.ids.append(1) }}"
        "{% endfor %}{% endfor %}",
    ],
)
def test_other_lists_stay_as_they_are_and_queues_hold_little(source: str) -> None:
    with pytest.raises(InvalidRequest, match="template"):
        text(source, user("a"))


@pytest.mark.parametrize(
    "source", ["{{ messages.__class__ }}", "{{ '{0.__class__}'.format(messages) }}"]
)
def test_a_hidden_attribute_looks_as_if_it_were_not_there(source: str) -> None:
    assert text(source, user("a")) == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(10**9) %}x{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{{ 10**10 * 'a' }}",
        "{{ [1] * 10**10 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 999999999) }}",
        "{{ 'a'.ljust(999999999) }}",
        "{{ 'a' | indent(999999999, true) }}",
        "{{ lipsum(999999999) }}",
        "{% set x = namespace(v='aaaaaaaa') %}{% for i in range(60) %}"
        "{% set x.v = x.v ~ x.v %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v='aaaaaaaa') %}{% for i in range(60) %}"
        "{% set x.v = x.v + x.v %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v='aaaaaaaa') %}{% for i in range(60) %}"
        "{% set x.v = x.v.replace('a', 'aa') %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v='aaaaaaaa') %}{% for i in range(60) %}"
        "{% set x.v = [x.v, x.v] | join %}{% endfor %}{{ x.v }}",
        "{% macro f(n) %}{{ f(n - 1) }}{{ f(n - 1) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
        "{{ f(60) }}",
        "{% for i in range(99999) %}{{ messages[0].content }}{% endfor %}",
        "{% set x = namespace(v=[]) %}{% for i in range(40000) %}"
        "{% set x.v = x.v + ['a' * 9000000] %}{% endfor %}",
        "{% set x = namespace(v=7) %}{% for i in range(60) %}"
        "{% set x.v = x.v * x.v %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v=[1]) %}{% for i in range(60) %}"
        "{% set x.v = [x.v, x.v] %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v=(1,)) %}{% for i in range(60) %}"
        "{% set x.v = (x.v, x.v) %}{% endfor %}{{ x.v | string }}",
        "{% set x = namespace(v={'a': 1}) %}{% for i in range(60) %}"
        "{% set x.v = {'a': x.v, 'b': x.v} %}{% endfor %}{{ x.v | tojson }}",
        "{% set x = namespace(v=1) %}{% for i in range(60) %}"
        "{% set x.v = dict(a=x.v, b=x.v) %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v=[1], w=[1]) %}{% for i in range(60) %}"
        "{% set x.v = [x.v] * 2 %}{% set x.w = [x.w] * 2 %}{% endfor %}{{ x.v == x.w }}",
        "{% set b = 'a' * 9000000 %}{{ ('c' * 9000).replace('c', b) }}",
        "{% set b = 'a' * 9000000 %}{{ ('c' * 9000) | replace('c', b) }}",
        "{% set b = 'a' * 9000000 %}{{ b.join(['c'] * 9000) }}",
        "{% set b = 'a' * 9000000 %}{{ (['c'] * 9000) | join(b) }}",
        "{% set b = 'a' * 9000000 %}{{ ([b] * 9000) | join }}",
        "{% set b = 'a' * 9000000 %}{{ ([b] * 9000) | tojson }}",
        "{% set b = 'a' * 9000000 %}{{ ({'c': [b, b]},) | string }}",
        "{% set b = 'a' * 9000000 %}{{ {b: b} | tojson }}",
        "{% set b, q = 'a' * 9000000, [] %}{% set q = ['c'] %}{% for i in range(9) %}"
        "{% set _ = q.append(b) %}{% endfor %}{{ q | tojson }}",
        "{% set b = 'a' * 9000000 %}{{ ('{0}' * 9000).format(b) }}",
        "{% set b = 'a' * 9000000 %}{{ ('%(b)s' * 9000) | format(b=b) }}",
        "{% set b = 'a' * 9000000 %}{{ b" + " ~ b" * 900 + " }}",
        "{{ 1 // 0 }}",
        "{{ messages[7].content.upper() }}",
        "{{ messages | tojson(indent='x') }}",
    ],
)
def test_a_template_that_would_eat_the_machine_is_stopped(source: str) -> None:
    with pytest.raises(InvalidRequest, match="template rejects"):
        text(source, user("a" * 2_000))


def test_a_template_whose_turns_take_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "{% set x = 'a' * 9000000 %}{% for i in range(40000) %}{% if 'ab' in x %}{% endif %}"
        "{% endfor %}"
    )
    monkeypatch.setattr(sandbox, "MOST_SECONDS", 0.05)
    with pytest.raises(InvalidRequest, match=r"takes more than 0\.05 s"):
        text(source, user("a"))


def test_threads_that_render_at_once_do_not_count_each_others_turns() -> None:
    template = ChatTemplate("{% for i in range(20000) %}{% endfor %}{{ messages[0].content }}", {})
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(template.render, [[user("a")]] * 8)] == ["a"] * 8


def test_bounds_count_for_one_rendering_not_for_all() -> None:
    template = ChatTemplate("{% for i in range(20000) %}{% endfor %}{{ messages[0].content }}", {})
    for _ in range(4):
        assert template.render([user("a")]) == "a"


def test_long_conversations_are_no_hungry_templates() -> None:
    turns = [Message("user" if at % 2 == 0 else "assistant", "word " * 500) for at in range(2_000)]
    assert text(QWEN, *turns).count("<|im_end|>") == 2_001


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ 'a' ~ ('b' ~ 'c') | upper }}", "aBC"),
        ("{{ '%s-%02d' | format('a', 3) }}", "a-03"),
        ("{{ '{}-{:>3}'.format('a', 3) }}", "a-  3"),
        ("{{ '%s' % 'x' }}{{ 7 % 4 }}{{ 2 ** 10 }}", "x31024"),
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
        ("{{ (1, 2) | list + [3] }}", "[1, 2, 3]"),
        ("{% set a, b = 1, 2 %}{% for x, y in [(a, b)] %}{{ x }}{{ y }}{% endfor %}", "12"),
        ("{{ {'a': [1, (2,)]}['a'][1][0] }}{{ dict(a=3).a }}", "23"),
        ("{{ 'x'.join(['a', 'b']) }}{{ 'abca'.replace('a', '') }}", "axbbc"),
        ("{{ ['a', 'b'] | join }}{{ 'abca' | replace('a', '', 1) }}", "abbca"),
        ("{{ 2 * 3 }}{{ 'ab' * 2 }}{{ 2.5 * 2 }}", "6abab5.0"),
        ("{{ messages | map(attribute='role') | join(',') }}", "user"),
        ("{% for x in 'ab' %}{% if loop.last %}{% break %}{% endif %}{{ x }}{% endfor %}", "a"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('y') }}", "<y>"),
        ("{{ messages[0]['content'].split(' ')[-1].strip() }}", "there"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ messages | map(attribute='role') | tojson }}", '["user"]'),
        ("{% generation %}{{ 'a' }}{% if true %}b{% endif %}{% endgeneration %}c", "abc"),
    ],
)
def test_what_templates_do_every_day_still_works(source: str, said: str) -> None:
    assert text(source, user("hi there")) == said


@pytest.mark.parametrize(
    "source",
    [
        "{% for %}",
        "{{ a",
        "{% if x %}",
        "{{ x | nofilter }}",
        "{% what %}",
        "{{ 'a' | center(9) }}",
    ],
)
def test_a_template_that_is_no_jinja_is_one_line_about_the_weights(source: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        ChatTemplate(source, {})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("the chat template in the weights")


def test_special_tokens_are_the_models_own() -> None:
    values: dict[str, Any] = {"bos_token": "<B>"}
    assert text("{{ bos_token }}{{ eos_token }}", user("a"), **values) == "<B></s>"
