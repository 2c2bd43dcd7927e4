"""What was said weighs as it does with llama.cpp's own samplers: penalties, DRY, mirostat."""

import ctypes
from collections.abc import Iterator
from typing import Any

import llama_cpp as native
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.demo import weights_path
from engines.llamacpp.counting import words_of
from engines.llamacpp.defaults import Defaults
from engines.llamacpp.mirostat import Mirostat
from engines.llamacpp.sampling import SamplingParams
from engines.protocol.requests import CompletionRequest
from tests.support.native_chain import NO_SEED, chain, logits_of, same, watched

TOKENS = st.lists(st.integers(0, 4), max_size=20)
SIZE = 6
LAST_N = 8


def both(
    params: SamplingParams, theirs: Any, prompt: list[int], said: list[int], size: int = SIZE
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the chances behind a prompt and an answer, as we and as llama.cpp see them."""
    logits = logits_of([(7 * token) % 41 - 20 for token in range(size)])
    sampler, race = watched(params, prompt)
    for token in said:
        race.first = token
        sampler.pick(logits.copy())
    race.first = None
    sampler.pick(logits.copy())
    with chain(theirs) as made:
        for token in (*prompt, *said):
            made.accept(token)
        expected, _ = made.apply(logits)
    return {token: chance for token, chance in race.chances.items() if chance > 0}, expected


@given(TOKENS, TOKENS, st.floats(1, 2), st.sampled_from([-1, LAST_N]))
def test_what_prompt_and_answer_have_is_penalised_the_same(
    prompt: list[int], said: list[int], penalty: float, last_n: int
) -> None:
    params = SamplingParams(repetition_penalty=penalty, repetition_last_n=last_n)
    window = LAST_N if last_n > 0 else 1_000
    theirs = native.llama_sampler_init_penalties(SIZE, window, penalty, 0.0, 0.0)
    assert same(*both(params, theirs, prompt, said))


@given(TOKENS, st.floats(-2, 2), st.floats(-2, 2))
def test_what_the_answer_has_is_penalised_the_same(
    said: list[int], frequency: float, presence: float
) -> None:
    params = SamplingParams(frequency_penalty=frequency, presence_penalty=presence)
    theirs = native.llama_sampler_init_penalties(SIZE, 1_000, 1.0, frequency, presence)
    assert same(*both(params, theirs, [], said))


@pytest.mark.parametrize("version", [1, 2])
@given(
    rows=st.lists(st.permutations(range(-60, 60, 3)), min_size=1, max_size=6),
    tau=st.floats(0.5, 6),
    temperature=st.floats(0.3, 2),
)
def test_mirostat_draws_from_the_same_tokens_all_along_a_text(
    version: int, rows: list[list[int]], tau: float, temperature: float
) -> None:
    sampler, race = watched(SamplingParams(temperature, mirostat=Mirostat(version, tau, 0.1)))
    theirs = (
        native.llama_sampler_init_mirostat(len(rows[0]), NO_SEED, tau, 0.1, 100)
        if version == 1
        else native.llama_sampler_init_mirostat_v2(NO_SEED, tau, 0.1)
    )
    with chain(native.llama_sampler_init_temp(temperature), theirs) as made:
        for row in rows:
            logits = logits_of(row)
            expected, race.first = made.apply(logits)
            assert sampler.pick(logits.copy()) == race.first
            # A bound that falls on a token is beside it in single precision.
            assume(len(race.chances) == len(expected))
            assert same(race.chances, expected)


@pytest.fixture(scope="module")
def words() -> Iterator[Any]:
    with words_of(weights_path("qwen")) as words:
        yield words


@pytest.mark.parametrize("breakers", [None, ["two:"], ["<|im_end|>", "\n"], ["three two"]])
@settings(max_examples=25)
@given(st.data(), st.tuples(st.floats(1, 2.5), st.integers(1, 4), st.integers(1, 40)))
def test_dry_costs_the_same(
    words: Any,
    breakers: list[str] | None,
    data: st.DataObject,
    bounds: tuple[float, int, int],
) -> None:
    """Also where what breaks is made of several tokens, or is a control token."""
    base, allowed_length, last_n = bounds
    text = " one two: three two<|im_end|>\n"
    known = words.vocabulary.tokens(text, add_special=False, parse_special=True)
    prompt = data.draw(st.lists(st.sampled_from(known), max_size=40))
    said = data.draw(st.lists(st.sampled_from(known), max_size=3))
    request = CompletionRequest(
        prompt="",
        temperature=1,
        dry_multiplier=0.8,
        dry_base=base,
        dry_allowed_length=allowed_length,
        dry_penalty_last_n=last_n,
        dry_sequence_breakers=breakers,
    )
    params = Defaults(words).params(request)
    texts = [text.encode() for text in ('\n:"*' if breakers is None else breakers)]
    given_texts = (ctypes.c_char_p * len(texts))(*texts)
    theirs = native.llama_sampler_init_dry(
        words.vocabulary._vocab, 0.8, base, allowed_length, last_n, given_texts, len(texts)
    )
    assert same(*both(params, theirs, prompt, said, words.vocabulary.size))
