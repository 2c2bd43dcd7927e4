"""The grammars of calls: each lets through what the reader of calls reads."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Calls, Part, UnsupportedGrammar, Wish
from engines.llamacpp.speech.dialect import Dialect, dialect_of
from engines.llamacpp.speech.form import Elements, Form, Format
from engines.llamacpp.speech.formats import FORMATS, HARMONY, HERMES, LLAMA, QWEN_XML
from engines.llamacpp.speech.parts import CallBegan, CallEnded, CallGrew
from engines.llamacpp.vocabulary import Vocabulary
from tests.support.compiling import OBJECT, THOUGHT, TWO, compiled_by, form, said, taken


def heard(style: Format, text: str) -> list[tuple[str, str]]:
    """Return name and arguments of the whole calls that a reader finds."""
    speech = Dialect(style, None).hear({"look": OBJECT, "wait": None})
    parts = [*speech.feed(text), *speech.finish()]
    names = {p.index: p.name for p in parts if isinstance(p, CallBegan)}
    ended = [p.index for p in parts if isinstance(p, CallEnded)]
    grown = {
        at: "".join(p.text for p in parts if isinstance(p, CallGrew) and p.index == at)
        for at in ended
    }
    return [(names[at], grown[at]) for at in ended]


@pytest.mark.parametrize(
    "style", [f for f in FORMATS if isinstance(f.form, Form)], ids=lambda f: f.name
)
async def test_what_the_grammar_of_calls_lets_through_is_what_the_reader_of_calls_reads(
    compiler: Compiler, vocabulary: Vocabulary, style: Format
) -> None:
    written = form(style)

    def call(name: str, arguments: str) -> str:
        number = ":0" if written.numbered else ""
        return f"{written.before}{name}{number}{written.middle}{arguments}{written.after}"

    one, two = call("look", '{"a": 1}'), call("wait", "{}")
    text = written.opening + one + written.between + two + written.closing
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=TWO), Frame(written))
    assert said(compiled, text, vocabulary) in ("may end", "over")
    assert heard(style, text) == [("look", '{"a": 1}'), ("wait", "{}")]
    assert said(compiled, written.opening + call("look", "{}"), vocabulary) == "refused"
    assert said(compiled, written.opening + call("go", "{}"), vocabulary) == "refused"
    assert said(compiled, "Let me see.", vocabulary) == "refused"


PARAMETERS = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer", "maximum": 9},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["text", "days"],
}


def in_elements(how: Elements, *parameters: tuple[str, str]) -> str:
    line = "\n" if how.lines else ""

    def one(key: str, value: str) -> str:
        kind = next(m for m, t in how.kinds if t in (None, key in ("text", "unit")))
        gap = "\n" if how.value else ""
        return f"\n{how.key}{key}{kind}{gap}{how.value}{line}{value}{line}{how.value_end}"

    inner = "".join(one(key, value) for key, value in parameters)
    end = "\n".join([how.end, *how.closings[:1]])
    return f"{how.openings[0]}\n{how.before}look{how.behind}{inner}\n{end}"


@pytest.mark.parametrize(
    ("parameters", "end"),
    [
        ([("text", "a\n<b> 'c'"), ("days", "3")], "whole"),
        ([("text", ""), ("unit", "F"), ("days", "9"), ("note", "null")], "whole"),
        ([("text", "x"), ("days", "3"), ("note", '"y"')], "whole"),
        ([("text", "x"), ("days", "10")], "refused"),
        ([("text", "x"), ("unit", "K"), ("days", "1")], "refused"),
        ([("days", "3")], "refused"),
        ([("text", "x")], "refused"),
        ([("text", "x"), ("days", "3"), ("more", "1")], "refused"),
    ],
)
@pytest.mark.parametrize(
    "style", [f for f in FORMATS if isinstance(f.form, Elements)], ids=lambda f: f.name
)
async def test_parameters_as_elements_are_held_each_to_its_own_schema(
    compiler: Compiler,
    vocabulary: Vocabulary,
    style: Format,
    parameters: list[tuple[str, str]],
    end: str,
) -> None:
    how = style.form
    assert isinstance(how, Elements)
    calls = Calls(("look",), (Part("json", "tools", json.dumps(PARAMETERS)),), 1)
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=calls), Frame(how))
    text = in_elements(how, *parameters)
    ends = said(compiled, text, vocabulary)
    assert ends == "refused" if end == "refused" else ends in ("may end", "over")
    if end == "whole":
        speech = Dialect(style, None).hear({"look": PARAMETERS})
        grown = [p.text for p in speech.feed(text) if isinstance(p, CallGrew)]
        jsonschema.validate(json.loads("".join(grown)), PARAMETERS)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-f]{2}$"}}},
        {"type": "object", "minProperties": 1},
        {"anyOf": [{"type": "object"}]},
        {"type": "object", "properties": {"a>b": {"type": "integer"}}},
        {"type": "object", "properties": {"a": {"enum": ["\n"]}}},
    ],
)
async def test_a_function_that_cannot_be_taken_apart_is_called_in_json(
    compiler: Compiler, vocabulary: Vocabulary, schema: dict[str, Any]
) -> None:
    calls = Calls(("look",), (Part("json", "tools", json.dumps(schema)),), 1)
    how = QWEN_XML.form
    assert isinstance(how, Elements)
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=calls), Frame(how))
    assert said(compiled, in_elements(how), vocabulary) == "refused"
    text = '<tool_call>\n{"name": "look", "arguments": {"'
    assert said(compiled, text, vocabulary) == "open"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "enum": 5}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": [["a"]]},
    ],
)
async def test_what_is_no_schema_is_refused_where_parameters_are_elements(
    compiler: Compiler, schema: dict[str, Any]
) -> None:
    calls = Calls(("look",), (Part("json", "tools", json.dumps(schema)),), 1)
    with pytest.raises(UnsupportedGrammar):
        await compiled_by(compiler, Wish("tool_choice", calls=calls), Frame(QWEN_XML.form))


async def test_a_marker_that_is_a_token_is_that_token(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=TWO), Frame(form()))
    letters = vocabulary.tokens("<tool", add_special=False, parse_special=False)
    assert taken(compiled, letters, vocabulary) == "refused"


async def test_with_tools_at_hand_either_a_call_or_the_answer_comes(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    either = Wish("response_format", Part("json", "place", '{"type": "array"}'), TWO)
    compiled = await compiled_by(compiler, either, Frame(form(), THOUGHT))
    call = '<tool_call>\n{"name": "look", "arguments": {"a": 1}}\n</tool_call>'
    assert said(compiled, "[]", vocabulary) == "over"
    assert said(compiled, call, vocabulary) in ("may end", "over")
    assert said(compiled, f"<think>Well.</think>\n\n{call}", vocabulary) in ("may end", "over")


CALL = '<tool_call>\n{"name": "look", "arguments": {"a": 1}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Let me {see}.\n\n", "may end"),
        (CALL, "may end"),
        (f"Let me see.\n{CALL}\n{CALL}", "may end"),
        (f"<think>Well.</think>\n\nHm. {CALL}", "may end"),
        ('Hm. <tool_call>\n{"name": "look", "arguments": {}}', "refused"),
        ('<tool_call>\n{"name": "look", "arguments": {"a": "b"}}', "refused"),
        ("<tool_call>\nlook", "refused"),
    ],
)
async def test_amid_free_text_only_calls_are_held(
    compiler: Compiler, vocabulary: Vocabulary, text: str, end: str
) -> None:
    compiled = await compiled_by(
        compiler, Wish("tools", calls=TWO, free=True), Frame(form(), THOUGHT)
    )
    assert said(compiled, text, vocabulary) == end


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Let me {see}.", "may end"),
        (f"Let me see.\n{CALL}", "over"),
        (f"{CALL}\n", "refused"),
        (f"{CALL}\n{CALL}", "refused"),
    ],
)
async def test_amid_free_text_an_answer_of_one_call_ends_with_it(
    compiler: Compiler, vocabulary: Vocabulary, text: str, end: str
) -> None:
    one = Wish("tools", calls=replace(TWO, most=1), free=True)
    compiled = await compiled_by(compiler, one, Frame(form(), THOUGHT))
    assert said(compiled, text, vocabulary) == end


@pytest.mark.parametrize("frame", [Frame(form(LLAMA)), Frame()])
async def test_calls_that_no_token_tells_from_text_are_not_held_amid_it(
    compiler: Compiler, frame: Frame
) -> None:
    assert await compiler.compile(Wish("tools", calls=TWO, free=True), frame) is None


async def test_behind_a_thought_of_gpt_oss_a_forced_call_comes_and_no_answer(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    tags = dialect_of("<|channel|>analysis<|message|>", "gpt-oss").tags
    assert tags is not None
    thought = (tags.opening, tags.closing)
    frame = Frame(HARMONY.form, thought, turn=tags.turn, answer=tags.answer)
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=TWO), frame)
    how = form(HARMONY)
    call = how.before + "wait" + how.middle + "{}" + how.after
    start = tags.opening + "Hm."
    assert said(compiled, start + tags.closing + tags.turn + call, vocabulary) == "may end"
    assert said(compiled, start + tags.ending, vocabulary) == "refused"


async def test_a_model_without_a_form_of_calls_answers(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    either = Wish("response_format", Part("json", "place", '{"type": "array"}'), TWO)
    compiled = await compiled_by(compiler, either, Frame())
    assert said(compiled, "[]", vocabulary) == "over"
    assert said(compiled, "<tool_call>", vocabulary) == "refused"


async def test_a_tools_schema_is_refused_as_the_tools(compiler: Compiler) -> None:
    calls = Calls(("f",), (Part("json", "tools[0].function.parameters", '{"not": {}}'),), 1)
    with pytest.raises(UnsupportedGrammar, match=r"at /not in tools\[0\]") as caught:
        await compiled_by(compiler, Wish("tool_choice", calls=calls), Frame(form()))
    assert caught.value.param == "tools"


FLAWED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
        "a/b": {"type": "object", "properties": {"c": {"type": "integer", "not": {"const": 3}}}},
    },
    "required": ["tags", "a/b"],
    "additionalProperties": False,
}
ANY_OBJECT = '{"type": "object"}'


@pytest.mark.parametrize("style", [HERMES, QWEN_XML], ids=lambda style: style.name)
async def test_what_of_a_loose_schema_cannot_be_held_is_let_go_and_the_rest_is_held(
    compiler: Compiler, vocabulary: Vocabulary, style: Format
) -> None:
    part = Part("json", "tools[0].function.parameters", json.dumps(FLAWED), ANY_OBJECT)
    asked = Wish("tool_choice", calls=Calls(("look",), (part,), 1))
    compiled = await compiled_by(compiler, asked, Frame(style.form))

    def end(tags: str, number: str) -> str:
        inner = f'{{"c": {number}}}'
        if isinstance(style.form, Elements):
            text = in_elements(style.form, ("tags", tags), ("a/b", inner))
        else:
            arguments = f'{{"tags": {tags}, "a/b": {inner}}}'
            text = f'<tool_call>\n{{"name": "look", "arguments": {arguments}}}\n</tool_call>'
        return said(compiled, text, vocabulary)

    assert end('["a", "a"]', "3") in ("may end", "over")
    assert end('["c"]', "3") == "refused"
    assert end('["a"]', '"x"') == "refused"


async def test_a_loose_schema_beside_a_strict_one_changes_nothing_of_that(
    compiler: Compiler,
) -> None:
    loose = Part("json", "tools[0].function.parameters", '{"not": {}}', ANY_OBJECT)
    strict = Part("json", "tools[1].function.parameters", '{"contains": {}}')
    calls = Calls(("f", "g"), (loose, strict), 1)
    with pytest.raises(UnsupportedGrammar, match=r"'contains' .* in tools\[1\]"):
        await compiler.compile(Wish("tool_choice", calls=calls), Frame(form()))


async def test_loose_schemas_that_are_too_hard_give_way_as_a_whole(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    hard = json.dumps({"type": "object", "properties": {"a": {"multipleOf": 1234567}}})
    calls = Calls(("f",), (Part("json", "tools", hard, ANY_OBJECT),), 1)
    compiled = await compiled_by(compiler, Wish("tool_choice", calls=calls), Frame(form()))
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    assert said(compiled, call, vocabulary) == "over"


async def test_many_tools_that_are_hard_together_are_refused_as_one(compiler: Compiler) -> None:
    names = tuple(f"f{n}" for n in range(200))
    hard = [{"properties": {"a": {"type": "integer", "multipleOf": 9_001 + n}}} for n in range(200)]
    parts = tuple(Part("json", "tools", json.dumps(one)) for one in hard)
    with pytest.raises(UnsupportedGrammar, match=r"'tool_choice': reading it takes too much"):
        await compiled_by(
            compiler, Wish("tool_choice", calls=Calls(names, parts, 1)), Frame(form())
        )
