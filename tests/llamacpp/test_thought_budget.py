"""A bound on thoughts counts their tokens, and nothing else."""

from collections.abc import Iterable

import numpy as np
import pytest

from engines.llamacpp.conversation import Conversations
from engines.llamacpp.orders import Order
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.speech.budget import ThoughtBudget, ThoughtMeter
from engines.llamacpp.speech.speech import Tags
from engines.protocol.requests import ChatRequest, Message
from tests.support.parrot import ParrotRuntime
from tests.support.toy_runtime import END, SIZE, ToyVocabulary

TAGS = Tags("<think>", "</think>", "\n</think>\n\n")


def meter(most_tokens: int, *, inside: bool = False) -> ThoughtMeter:
    return ThoughtMeter(ThoughtBudget(TAGS, inside, most_tokens, (1, 2)))


def spent(meter: ThoughtMeter, pieces: Iterable[bytes]) -> list[bool]:
    """Return what the meter says after each token."""
    said: list[bool] = []
    for piece in pieces:
        meter.take(piece)
        said.append(meter.spent())
    return said


def test_a_thought_is_spent_when_it_has_had_its_tokens() -> None:
    assert spent(meter(2), [b"<think>", b"\n", b"one", b"two"]) == [False, False, True, True]


def test_the_tags_may_come_in_many_tokens() -> None:
    assert spent(meter(1), [b"\n<th", b"ink", b">", b"a"]) == [False, False, False, True]
    assert spent(meter(4), [b"<think>", b"a</", b"think", b">", b"b", b"c"]) == [False] * 6


def test_a_thought_that_ends_by_itself_is_never_spent() -> None:
    assert spent(meter(2), [b"<think>", b"a", b"</think>", b"b", b"c"]) == [False] * 5


def test_a_budget_of_none_is_spent_at_once() -> None:
    assert meter(0, inside=True).spent()
    assert spent(meter(0), [b"<think>"]) == [True]
    assert not meter(0).spent()


def test_a_thought_that_the_prompt_opened_counts_from_the_first_token() -> None:
    assert spent(meter(2, inside=True), [b"a", b"b"]) == [False, True]


def test_an_answer_without_a_thought_has_no_bound() -> None:
    assert spent(meter(0), [b"Hello", b"<think>", b"a"]) == [False] * 3


def test_no_character_is_cut() -> None:
    heart = "♥".encode()
    assert spent(meter(1, inside=True), [heart[:1], heart[1:2], heart[2:]]) == [False, False, True]


def test_a_thought_is_closed_once() -> None:
    running = meter(0, inside=True)
    assert running.close() == (1, 2)
    assert not running.spent()
    assert spent(running, [b"a", b"b"]) == [False, False]


def answer(budget: ThoughtBudget | None, shown: dict[int, bytes], drawn: list[int]) -> str:
    """Return what a sequence says whose model would draw these tokens."""
    said: list[str] = []
    order = Order((1,), 20, SamplingParams(temperature=0), shown=shown, thoughts=budget)
    sequence = SequenceState(order, lambda _progress: None)
    for token in drawn:
        logits = np.zeros(SIZE, dtype=np.float32)
        logits[token] = 9
        said.append(sequence.advance(logits, ToyVocabulary()).text)
    return "".join(said)


OPEN, CLOSE, LETTER = 3, 4, 49
SHOWN = {OPEN: b"<think>", CLOSE: b"</think>"}


def test_a_sequence_closes_a_thought_that_is_spent_and_goes_on() -> None:
    budget = ThoughtBudget(TAGS, inside=False, most_tokens=2, closing_tokens=(CLOSE, 2))
    drawn = [OPEN, *[LETTER] * 6, END]
    assert answer(budget, SHOWN, drawn) == "<think>aa</think>2aa"


def test_a_sequence_that_may_not_think_at_all_begins_with_the_closing_tag() -> None:
    budget = ThoughtBudget(TAGS, inside=True, most_tokens=0, closing_tokens=(CLOSE,))
    assert answer(budget, SHOWN, [LETTER] * 3) == "</think>aa"


def test_what_closes_a_thought_is_penalised_as_text_that_was_drawn() -> None:
    budget = ThoughtBudget(TAGS, inside=True, most_tokens=0, closing_tokens=(CLOSE, 2))
    sampling = SamplingParams(temperature=0, presence_penalty=1)
    order = Order((1,), 20, sampling, shown=SHOWN, thoughts=budget)
    sequence = SequenceState(order, lambda _progress: None)
    logits = np.zeros(SIZE, dtype=np.float32)
    logits[[2, LETTER]] = 0.9, 0.5
    for _ in range(3):
        sequence.advance(logits.copy(), ToyVocabulary())
    assert sequence.tokens == [1, CLOSE, 2, LETTER]


def test_control_tokens_are_text_where_somebody_looks_for_them() -> None:
    assert answer(None, SHOWN, [OPEN, LETTER, CLOSE]) == "<think>a</think>"


GPT_OSS = "{# <|channel|>analysis<|message|> #}{{ messages[0].content }}<|start|>assistant"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("required", "<|end|><|start|>assistant"),
    ],
)
def test_a_thought_that_is_spent_gives_way_to_a_call_that_must_come(
    choice: str, expected: str
) -> None:
    runtime = ParrotRuntime([GPT_OSS], [], "gpt-oss")
    request = ChatRequest(
        messages=[Message("user", "What?")],
        tools=[{"type": "function", "function": {"name": "now"}}],
        tool_choice=choice,
        thinking_token_budget=3,
    )
    order = Conversations(runtime).told(request, Order((1,), 20))
    assert order.thoughts is not None
    assert runtime.vocabulary.text(order.thoughts.closing_tokens, special=True) == expected
