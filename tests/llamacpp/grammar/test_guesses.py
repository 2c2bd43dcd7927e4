"""Guesses under a grammar: they change no token, and cost no row that the grammar would refuse."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.llamacpp.binding import Floats
from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.constraint import Compiled, GrammarTooHard
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Part, Wish
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.vocabulary import Vocabulary
from tests.conftest import WorkerOf
from tests.support.contract import CHAT, user
from tests.support.worker import figures

NAMES = ("the_first_of_the_names", "the_second_of_the_names", "the_third_of_the_names")
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "integer", "minimum": 0, "maximum": 99} for name in NAMES},
    "required": list(NAMES),
    "additionalProperties": False,
}
PARTS = {
    "schema": Part("json", "response_format", json.dumps(SCHEMA)),
    "copies": Part("regex", "guided_regex", "((red|green|blue), ){12}end"),
    "open": Part("regex", "guided_regex", "[a-f]{1,60}"),
}


def noise(tokens: list[int], size: int) -> Floats:
    """Return logits that depend on the text so far alone, and prefer what stood before."""
    chance = np.random.default_rng(tokens)
    line = chance.normal(size=size).astype(np.float32)
    line[tokens[-12:]] += 3
    return line


def said(order: Order, vocabulary: Vocabulary, most: int) -> tuple[list[Progress], int, int]:
    """Return what a sequence says as the batcher has it, and in how many steps and rows."""
    sequence = SequenceState(order, lambda _: None)
    told: list[Progress] = []
    steps = rows = 0
    with ThreadPoolExecutor(1) as pool:
        while not (told and told[-1].ends):
            sequence.guess(most, context=4_096)
            sequence.foresee(pool)
            guess = sequence.draft
            text = [*sequence.tokens]
            lines = [
                noise([*text, *guess[:count]], vocabulary.size) for count in range(len(guess) + 1)
            ]
            sequence.done += 1
            told += sequence.draw(np.array(lines), vocabulary)
            steps, rows = steps + 1, rows + len(lines)
            assert sequence.done == len(sequence.tokens) - (not told[-1].ends) or told[-1].ends
    return told, steps, rows


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("params", [SamplingParams(temperature=0), SamplingParams(seed=3)])
async def test_what_is_said_is_the_same_with_guesses(
    compiler: Compiler, vocabulary: Vocabulary, name: str, params: SamplingParams
) -> None:
    grammar = await compiler.compile(Wish("place", PARTS[name]), Frame())
    order = Order((1,), 200, params, grammar=grammar)
    plain, without, _ = said(order, vocabulary, 0)
    guessed, steps, _ = said(order, vocabulary, 7)
    assert guessed == plain
    assert plain[-1].finish_reason == "stop"
    assert steps <= without


async def test_what_only_can_come_is_guessed_without_having_stood_before(
    compiler: Compiler, vocabulary: Vocabulary
) -> None:
    grammar = await compiler.compile(Wish("place", PARTS["schema"]), Frame())
    order = Order((1,), 200, SamplingParams(temperature=0), grammar=grammar)
    _, without, _ = said(order, vocabulary, 0)
    _, steps, rows = said(order, vocabulary, 7)
    assert steps < without
    assert rows >= without


def bans(compiled: Compiled, tokens: list[int], guess: list[int], size: int) -> list[list[int]]:
    """Return which tokens are allowed before each token, with a guess made before the first."""
    constraint = compiled.start()
    allowed: list[list[int]] = []
    with ThreadPoolExecutor(1) as pool:
        constraint.ask(pool, guess[: constraint.fits(guess)])
        for token in tokens:
            line = np.zeros(size, dtype=np.float32)
            constraint.apply(line)
            allowed.append(np.flatnonzero(np.isfinite(line)).tolist())
            if constraint.take(token):
                break
    return allowed


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2), max_size=7), st.lists(st.integers(0, 2), min_size=1, max_size=7))
async def test_a_guess_right_or_wrong_changes_nothing_that_may_come(
    compiler: Compiler, vocabulary: Vocabulary, guess: list[int], taken: list[int]
) -> None:
    letters = [vocabulary.continued(letter)[0] for letter in "abz"]
    part = Part("regex", "guided_regex", "(a|ab){0,9}b{2,5}")
    compiled = await compiler.compile(Wish("guided_regex", part), Frame())
    assert compiled is not None
    guessed, tokens = [letters[at] for at in guess], [letters[at] for at in taken]
    outcomes = []
    for given_guess in ([], guessed):
        try:
            outcomes.append(bans(compiled, tokens, given_guess, vocabulary.size))
        except GrammarTooHard:  # z is never allowed
            outcomes.append([])
    assert outcomes[0] == outcomes[1]


async def test_a_worker_says_the_same_json_with_guesses(
    worker_of: WorkerOf,
) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    body = {"messages": user("What is it?"), "temperature": 0, "response_format": shape}
    heard = []
    for options in ((), ("--prompt-lookup",)):
        async with worker_of("demo:qwen", *options).client() as http:
            before = await figures(http)
            told = (await http.post(CHAT, json=body)).json()
            after = await figures(http)
        heard.append(
            (
                json.loads(told["choices"][0]["message"]["content"]),
                told["usage"]["completion_tokens"],
                after["steps"] - before["steps"],
                after["accepted_tokens"] - before["accepted_tokens"],
                after["drafted_tokens"] - before["drafted_tokens"],
            )
        )
    (plain, tokens, steps, _, none), (guessed, as_many, fewer, right, drafted) = heard
    assert (plain, tokens) == (guessed, as_many)
    assert fewer == steps - right
    assert none < drafted  # a toy spells in other tokens, and most of its guesses are wrong
