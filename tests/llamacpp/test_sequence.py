"""One sequence: what each step adds to it, and why it ends."""

import numpy as np
import pytest

from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sampling import Floats, SamplingParams
from engines.llamacpp.sequence import SequenceState
from tests.support.toy_runtime import END, SIZE, ToyVocabulary

GREEDY = SamplingParams(temperature=0)
VOCABULARY = ToyVocabulary()


def row(token: int, second: int | None = None) -> Floats:
    logits = np.zeros(SIZE, dtype=np.float32)
    logits[token] = 9
    if second is not None:
        logits[second] = 5
    return logits


def sequence(**order: object) -> SequenceState:
    values = {"prompt": (1, 2), "most_tokens": 4, "sampling": GREEDY} | order
    return SequenceState(Order(**values), lambda _progress: None)  # type: ignore[arg-type]  # any


def said(state: SequenceState, *tokens: int) -> list[Progress]:
    return [state.advance(row(token), VOCABULARY) for token in tokens]


def test_each_token_adds_its_text_until_the_length_is_reached() -> None:
    state = sequence()
    told = said(state, 17, 18, 19, 20)
    assert [progress.text for progress in told] == ["A", "B", "C", "D"]
    assert [progress.finish_reason for progress in told] == [None, None, None, "length"]
    assert state.tokens == [1, 2, 17, 18, 19, 20]
    assert sum(progress.tokens for progress in told) == 4


def test_the_models_own_end_stops_and_is_no_text() -> None:
    told = said(sequence(), 17, END)
    assert (told[1].text, told[1].finish_reason, told[1].tokens) == ("", "stop", 1)


def test_ignore_eos_never_draws_an_end() -> None:
    state = sequence(ignore_eos=True)
    progress = state.advance(row(END, second=17), VOCABULARY)
    assert (progress.text, progress.finish_reason) == ("A", None)


def test_a_stop_string_ends_it_and_is_not_shown() -> None:
    told = said(sequence(stops=("BC",)), 17, 18, 19)
    assert [progress.text for progress in told] == ["A", "", ""]
    assert told[-1].finish_reason == "stop"


def test_what_was_held_back_is_shown_at_the_end() -> None:
    state = sequence(stops=("BCX",), most_tokens=3)
    assert [progress.text for progress in said(state, 17, 18, 19)] == ["A", "", "BC"]
    assert [progress.text for progress in said(sequence(stops=("AX",)), 17, END)] == ["", "A"]


def test_a_stop_in_the_last_token_is_a_stop_and_no_length() -> None:
    told = said(sequence(stops=("B",), most_tokens=2), 17, 18)
    assert [progress.finish_reason for progress in told] == [None, "stop"]


@pytest.mark.parametrize("count", [0, 3])
def test_log_probabilities_are_told_for_each_token_that_is_kept(count: int) -> None:
    state = sequence(logprobs=count, sampling=SamplingParams(temperature=0))
    told = state.advance(row(17, second=18), VOCABULARY).told[0]
    assert told.token == 17
    assert -1 < told.logprob < 0
    assert [token for token, _ in told.alternatives[:2]] == [17, 18][:count]
    assert len(told.alternatives) == count


def test_log_probabilities_are_the_models_own_before_a_bias() -> None:
    biased = SamplingParams(temperature=0, logit_bias={5: 100.0})
    told = sequence(logprobs=1, sampling=biased).advance(row(17), VOCABULARY).told[0]
    assert told.token == 5
    assert told.alternatives[0][0] == 17
    assert told.logprob < -8


def test_a_row_without_any_number_ends_it_with_an_error() -> None:
    progress = sequence().advance(np.full(SIZE, np.nan, dtype=np.float32), VOCABULARY)
    assert progress.error == "no token has a finite logit"
    assert progress.finish_reason is None


def test_after_it_gave_way_all_of_it_is_pending_again() -> None:
    state = sequence()
    state.done = 2
    said(state, 17)
    assert state.pending == 1
    state.done = 0
    assert state.pending == 3
    assert list(state.next_tokens(2)) == [1, 2]


def test_no_end_and_no_stop_comes_before_the_least_tokens() -> None:
    state = sequence(least_tokens=2, most_tokens=9, stop_tokens=frozenset({20}), stops=("AB",))
    early = [state.advance(row(token, second=17), VOCABULARY) for token in (END, 20)]
    assert [(p.text, p.finish_reason) for p in early] == [("A", None), ("A", None)]
    told = said(state, 18, 17, 18)
    assert [(p.text, p.finish_reason) for p in told] == [("B", None), ("", None), ("", "stop")]


def test_where_nothing_but_the_end_is_possible_it_comes_early() -> None:
    only_end = np.full(SIZE, -np.inf, dtype=np.float32)
    only_end[END] = 0
    progress = sequence(least_tokens=2).advance(only_end, VOCABULARY)
    assert progress.finish_reason == "stop"


def test_a_stop_token_ends_it_as_the_models_own_end_does_and_also_without_that() -> None:
    told = said(sequence(stop_tokens=frozenset({18}), ignore_eos=True), 17, 18)
    assert [(p.text, p.finish_reason) for p in told] == [("A", None), ("", "stop")]


def test_the_stop_string_is_told_where_that_is_wanted_and_nothing_behind_it() -> None:
    told = said(sequence(stops=("BC",), tells_stop=True), 17, 18, 19)
    assert [progress.text for progress in told] == ["A", "", "BC"]
    assert told[-1].finish_reason == "stop"
