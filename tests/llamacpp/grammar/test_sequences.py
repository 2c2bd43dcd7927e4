"""A sequence under a grammar, with logits that are chance: what is forced, drawn and told."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Part, Wish
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.speech.budget import ThoughtBudget
from engines.llamacpp.speech.speech import Tags
from engines.llamacpp.vocabulary import Vocabulary

TAGS = Tags("<think>", "</think>", "\n</think>\n\n")


def regex(text: str) -> Wish:
    return Wish("guided_regex", Part("regex", "guided_regex", text))


def advanced(order: Order, vocabulary: Vocabulary, *, most: int = 200) -> list[Progress]:
    """Draw from logits that are noise until the sequence ends."""
    chance = np.random.default_rng(5)
    sequence = SequenceState(order, lambda _: None)
    told: list[Progress] = []
    with ThreadPoolExecutor(1) as pool:
        while len(told) < most:
            sequence.foresee(pool)
            sequence.foresee(pool)  # a step that was refused asks again
            logits = chance.normal(size=vocabulary.size).astype(np.float32)
            told.append(sequence.advance(logits, vocabulary))
            if told[-1].finish_reason or told[-1].error:
                break
    return told


async def test_a_complete_grammar_ends_the_sequence_without_another_token(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    grammar = await compiler.compile(regex("[a-c]{5}"), Frame())
    order = Order((1,), 50, SamplingParams(seed=1), grammar=grammar)
    told = advanced(order, vocabulary)
    text = "".join(p.text for p in told)
    assert len(text) == 5
    assert set(text) <= set("abc")
    assert told[-1].finish_reason == "stop"
    assert sum(p.tokens for p in told) <= 5


async def test_an_end_may_come_only_where_the_grammar_allows_it(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    grammar = await compiler.compile(regex("(ab){2,}"), Frame())
    always = dict.fromkeys(vocabulary.ends, 100.0)
    params = SamplingParams(seed=1, logit_bias=always)
    told = advanced(Order((1,), 50, params, grammar=grammar), vocabulary)
    text = "".join(p.text for p in told)
    assert re.fullmatch("(ab){2,4}", text)
    assert told[-1].finish_reason == "stop"


async def test_the_bound_on_tokens_cuts_an_answer_off(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    grammar = await compiler.compile(regex("(ab){9}"), Frame())
    told = advanced(Order((1,), 3, SamplingParams(seed=1), grammar=grammar), vocabulary)
    assert told[-1].finish_reason == "length"


async def test_the_last_token_within_the_bound_may_complete_the_grammar(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    grammar = await compiler.compile(regex("q"), Frame())
    told = advanced(Order((1,), 1, SamplingParams(seed=1), grammar=grammar), vocabulary)
    assert told == [Progress("q", 1, finish_reason="stop")]


@pytest.mark.parametrize("most", [0, 4])
async def test_a_thought_over_its_budget_is_closed_and_the_answer_still_holds(
    compiler: Compiler, vocabulary: Vocabulary, most: int
) -> None:
    grammar = await compiler.compile(
        regex("[a-c]{5}"), Frame(None, (TAGS.opening, TAGS.closing), thinking=True)
    )
    closing = vocabulary.tokens(TAGS.ending, add_special=False, parse_special=True)
    budget = ThoughtBudget(TAGS, inside=True, most_tokens=most, closing_tokens=tuple(closing))
    mark = {vocabulary.marks()["</think>"]: b"</think>"}
    order = Order((1,), 90, SamplingParams(seed=1), grammar=grammar, thoughts=budget, shown=mark)
    told = advanced(order, vocabulary)
    assert told[-1].finish_reason == "stop", told[-1]
    _, _, answer = "".join(p.text for p in told).partition("</think>\n\n")
    assert len(answer) == 5
    assert set(answer) <= set("abc")


async def test_a_grammar_that_cannot_go_on_is_the_requests_error(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    many = ", ".join(f'"p{n}": {{"type": "string"}}' for n in range(600))
    schema = Part("json", "place", f'{{"type": "object", "properties": {{{many}}}}}')
    grammar = await compiler.compile(Wish("response_format", schema), Frame())
    told = advanced(Order((1,), 90, SamplingParams(seed=1), grammar=grammar), vocabulary)
    assert told[-1].error
    assert told[-1].refused
