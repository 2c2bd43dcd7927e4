"""What a compiled grammar lets through, and how a refusal is told."""

import asyncio

import pytest

from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.constraint import GrammarTooHard
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Part, UnsupportedGrammar, Wish
from engines.llamacpp.vocabulary import Vocabulary
from tests.support.compiling import (
    OBJECT,
    THOUGHT,
    compiled_by,
    form,
    said,
    schema,
    wish,
)


@pytest.mark.parametrize(
    ("asked", "text", "end"),
    [
        (schema(type="object"), '{"a": [1, {"b": null}]}', "over"),
        (schema(type="object"), '{\n  "a": 1\n}', "over"),
        (schema(type="object"), "[1]", "refused"),
        (schema(type="object"), '{"a": 1', "open"),
        (schema(**OBJECT), '{"a": 17}', "over"),
        (schema(**OBJECT), '{"a": "b"}', "refused"),
        (schema(**OBJECT), "{}", "refused"),
        (schema(enum=["é", "\n"]), '"é"', "over"),
        (schema(type="integer", minimum=3, maximum=12), "12", "over"),
        (schema(type="integer", minimum=3, maximum=12), "2", "refused"),
        (wish("json", '{"type": "object"}', compact=True), '{"a":1}', "over"),
        (wish("json", '{"type": "object"}', compact=True), '{"a": 1}', "refused"),
        (wish("regex", r"\d+/[a-z/]+"), "12/a/", "may end"),
        (wish("regex", "a\nb"), "a\nb", "over"),
        (wish("choice", '["yes", "no", "\\u00e9\\""]'), 'é"', "over"),
        (wish("choice", '["yes", "yes!"]'), "yes", "may end"),
        (wish("grammar", 'start: "a" /[0-9]/+'), "a12", "may end"),
        (wish("grammar", 'root ::= "a" [0-9] '), "a1", "over"),
    ],
)
async def test_a_compiled_grammar_lets_its_own_through(
    compiler: Compiler, vocabulary: Vocabulary, asked: Wish, text: str, end: str
) -> None:
    assert said(await compiled_by(compiler, asked, Frame(form())), text, vocabulary) == end


@pytest.mark.parametrize("space", ["  ", "\n\n", " \n", "\t", "\n" + " " * 41])
async def test_white_space_comes_to_an_end(
    compiler: Compiler, vocabulary: Vocabulary, space: str
) -> None:
    compiled = await compiled_by(compiler, schema(type="object"), Frame(form()))
    assert said(compiled, "{" + space, vocabulary) == "refused"


@pytest.mark.parametrize("key", [r"\u0061", r"\u0001"])
async def test_a_key_is_not_spelled_in_a_way_that_hides_which_it_is(
    compiler: Compiler, vocabulary: Vocabulary, key: str
) -> None:
    compiled = await compiled_by(compiler, schema(**OBJECT), Frame(form()))
    assert said(compiled, f'{{"a": 1, "{key}": "b"', vocabulary) == "refused"


@pytest.mark.parametrize("opened", [False, True])
async def test_a_thought_may_come_before_the_answer(
    compiler: Compiler, vocabulary: Vocabulary, opened: bool
) -> None:
    frame = Frame(form(), THOUGHT, thinking=opened)
    compiled = await compiled_by(compiler, schema(**OBJECT), frame)
    thought = "Well, {a}.\n" if opened else "<think>\nWell, {a}.\n"
    assert said(compiled, thought, vocabulary) == "open"
    assert said(compiled, thought + '</think>\n\n{"a": 1}', vocabulary) == "over"
    assert said(compiled, '{"a": 1}', vocabulary) == ("open" if opened else "over")


async def test_a_mark_that_is_no_token_ends_a_thought_as_letters(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    frame = Frame(form(), ("[THINK]", "[/THINK]"), thinking=True)
    compiled = await compiled_by(compiler, schema(**OBJECT), frame)
    assert said(compiled, 'Well.[/THINK]\n{"a": 1}', vocabulary) == "over"


async def test_a_refusal_names_field_keyword_and_place(compiler: Compiler) -> None:
    flawed = '{"properties": {"a": {"uniqueItems": true}}}'
    part = Part("json", "response_format.json_schema.schema", flawed)
    with pytest.raises(UnsupportedGrammar) as caught:
        await compiled_by(compiler, Wish("response_format", part), Frame(form()))
    assert caught.value.param == "response_format"
    assert "'uniqueItems' (at /properties/a/uniqueItems in response_format" in str(caught.value)


async def test_a_schema_that_would_hang_is_refused_while_the_loop_goes_on(
    compiler: Compiler,
) -> None:
    poison = asyncio.ensure_future(
        compiler.compile(schema(type="integer", multipleOf=1234577), Frame(form()))
    )
    for _ in range(3):
        await asyncio.sleep(0)
    assert not poison.done()
    with pytest.raises(UnsupportedGrammar, match="too much time"):
        await poison


async def test_the_same_wish_is_compiled_once(compiler: Compiler) -> None:
    asked = schema(type="object", title="once")
    first, second = await asyncio.gather(
        compiler.compile(asked, Frame(form())), compiler.compile(asked, Frame(form()))
    )
    assert first is second
    assert await compiled_by(compiler, asked, Frame(form(), THOUGHT)) is not first


async def test_a_refusal_is_kept_too(compiler: Compiler) -> None:
    told = set()
    for _ in range(2):
        with pytest.raises(UnsupportedGrammar) as caught:
            await compiled_by(compiler, schema(uniqueItems=True, title="twice"), Frame(form()))
        told.add(str(caught.value))
    assert len(told) == 1


async def test_sequences_of_one_grammar_go_their_own_ways(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    compiled = await compiled_by(compiler, wish("choice", '["a", "b"]'), Frame(form()))
    assert said(compiled, "a", vocabulary) == "over"
    assert said(compiled, "b", vocabulary) == "over"


async def test_a_grammar_that_grows_too_hard_is_told(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    many = {f"p{n}": {"type": "string"} for n in range(600)}
    compiled = await compiled_by(compiler, schema(type="object", properties=many), Frame(form()))
    with pytest.raises(GrammarTooHard) as caught:
        said(compiled, '{"p7": "x", "p', vocabulary)
    assert "\n" not in str(caught.value)
