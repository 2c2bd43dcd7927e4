"""Guesses from the text so far: they change no token that is said, only how many steps it takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.demo import weights_path
from engines.llamacpp.binding import Floats, Limits, Runtime
from engines.llamacpp.drafts import Drafter
from engines.llamacpp.mirostat import Mirostat
from engines.llamacpp.narrowing import Narrowing
from engines.llamacpp.orders import Order, TokenTold
from engines.llamacpp.repetition import Dry
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.speech.budget import ThoughtBudget
from engines.llamacpp.speech.speech import Tags
from tests.conftest import WorkerOf
from tests.support.batching import Client, batching
from tests.support.contract import CHAT, user
from tests.support.listening import Listener, check_same
from tests.support.streams import events_of
from tests.support.toy_runtime import SIZE, ToyRuntime, following
from tests.support.worker import figures

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=60)


@given(TOKENS, st.integers(0, 8))
def test_a_guess_is_what_followed_the_last_three_tokens_the_time_before(
    tokens: list[int], most: int
) -> None:
    guess = list(Drafter().draft(tokens, most))
    before = [at for at in range(3, len(tokens)) if tokens[at - 3 : at] == tokens[-3:]]
    if not before or most < 3:
        assert guess == []
    else:
        assert guess == ((tokens[before[-1] :]) * 3)[:3]


@given(TOKENS, TOKENS)
def test_a_text_that_has_grown_is_read_on_from_where_it_was(
    one: list[int], more: list[int]
) -> None:
    drafter = Drafter()
    drafter.draft(one, 8)
    assert drafter.draft(one + more, 8) == Drafter().draft(one + more, 8)


def test_a_guess_that_was_right_is_followed_by_a_longer_one() -> None:
    drafter, tokens = Drafter(), [1, 2, 3, 4] * 20
    assert drafter.draft(tokens, 7) == (1, 2, 3)
    drafter.learn(3, 3, len(tokens))
    assert drafter.draft(tokens, 7) == (1, 2, 3, 4, 1, 2, 3)
    assert drafter.draft(tokens, 6) == (1, 2, 3)
    drafter.learn(7, 6, len(tokens))
    assert len(drafter.draft(tokens, 7)) == 3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 99))
def test_guesses_lose_no_more_than_a_fiftieth_however_right_they_are(
    rights: list[float], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    drafter, tokens, steps = Drafter(), [1, 2, 3, 4] * 10, 0.0
    start = len(tokens)
    while len(tokens) < 3_000:
        guess = drafter.draft(tokens, 7)
        steps += 1 + 0.7 * len(guess)
        likely = rights[len(tokens) * len(rights) // 3_000]
        right = next((n for n in range(len(guess)) if chance.random() > likely), len(guess))
        for _ in range(right + 1):
            tokens.append(1 + len(tokens) % 4)
        if guess:
            drafter.learn(len(guess), right, len(tokens))
    told = len(tokens) - start
    assert steps <= 1.02 * told + 5


def echoing(tokens: Sequence[int], adapter: int) -> Floats:
    """Return logits that mostly prefer what stood ten tokens before; the same for the same text."""
    chance = np.random.default_rng([*tokens, adapter])
    line = chance.normal(0, 1.5, SIZE).astype(np.float32)
    line[SIZE - 1] -= 4
    if len(tokens) >= 10 and following(tokens) % 16:
        line[tokens[-10]] += 12
    return line


class Hearer(Client):
    """Asks with any order, and notes each token."""

    def __init__(self, order: Order) -> None:
        super().__init__(order.prompt, order.most_tokens)
        self.told_tokens: list[TokenTold] = []
        self.counted = 0
        self.sequence = SequenceState(order, self.listen)

    def listen(self, progress: Any) -> None:
        self.told_tokens += progress.told
        self.counted += progress.tokens
        assert progress.tokens <= 1  # as without guesses: what is told counts single tokens
        self.hear(progress)

    def heard(self) -> tuple[object, ...]:
        return (self.text, self.reason, self.error, self.counted, self.told_tokens)


ORDERS: dict[str, dict[str, Any]] = {
    "greedy": {"sampling": SamplingParams(temperature=0)},
    "sampled": {"sampling": SamplingParams(seed=3)},
    "narrowed": {"sampling": SamplingParams(seed=3, narrowing=Narrowing(top_k=5, top_p=0.9))},
    "penalized": {
        "sampling": SamplingParams(
            seed=4, presence_penalty=0.3, frequency_penalty=0.2, repetition_penalty=1.1
        )
    },
    "dry": {"sampling": SamplingParams(seed=5, dry=Dry(0.4))},
    "mirostat": {"sampling": SamplingParams(seed=6, mirostat=Mirostat(2, tau=2))},
    "logprobs": {"sampling": SamplingParams(seed=7), "logprobs": 3},
    "stop": {"sampling": SamplingParams(seed=8), "stops": ("A0", "b", "zz")},
    "no end": {"sampling": SamplingParams(temperature=0), "ignore_eos": True},
    "thought": {
        "sampling": SamplingParams(seed=9),
        "thoughts": ThoughtBudget(
            Tags("<", ">", ""), inside=True, most_tokens=9, closing_tokens=(14,)
        ),
    },
}


async def answers(
    orders: list[Order], *, drafts: bool, **room: Any
) -> tuple[list[tuple[object, ...]], dict[str, int]]:
    runtime = ToyRuntime(drafts=drafts, **room)
    runtime.speaks = echoing
    async with batching(runtime) as batcher:
        clients = [Hearer(order) for order in orders]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            await one.end()
        assert batcher._cells.used == runtime.held()
        counts = batcher.counts
    figures = {
        "steps": counts.steps,
        "drafted": counts.drafted_tokens,
        "accepted": counts.accepted_tokens,
        "told": counts.completion_tokens,
        "timed": sum(counts.itl_s.counts) + sum(counts.ttft_s.counts),
        "preemptions": counts.preemptions,
    }
    return [one.heard() for one in clients], figures


def order_of(kind: str, length: int = 30, count: int = 120) -> Order:
    prompt = tuple(at % 10 + length % 7 for at in range(length))
    return Order(prompt, count, **ORDERS[kind])


@pytest.mark.parametrize("kind", ORDERS)
async def test_what_is_said_is_the_same_with_guesses_and_takes_fewer_steps(kind: str) -> None:
    plain, without = await answers([order_of(kind)], drafts=False)
    guessed, with_them = await answers([order_of(kind)], drafts=True)
    assert guessed == plain
    assert without["drafted"] == 0
    assert 0 < with_them["accepted"] <= with_them["drafted"]
    assert with_them["steps"] == without["steps"] - with_them["accepted"]
    assert with_them["told"] == with_them["timed"] == without["told"]


@pytest.mark.parametrize("length", [20, 23, 26, 29])
async def test_so_it_is_where_the_text_outgrows_its_context(length: int) -> None:
    order = order_of("no end", length, 400)
    plain, _ = await answers([order], drafts=False, cells=100)
    guessed, figures = await answers([order], drafts=True, cells=100)
    assert guessed == plain
    assert figures["accepted"] > 0


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(ORDERS)), st.integers(1, 40), st.integers(1, 50)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
    st.sampled_from([110, 400]),
)
async def test_so_it_is_in_any_company_and_in_a_crowded_cache(
    asked: list[tuple[str, int, int]], shares: bool, cells: int
) -> None:
    orders = [order_of(*one) for one in asked]
    plain, _ = await answers(orders, drafts=False, cells=400)
    guessed, _ = await answers(orders, drafts=True, cells=cells, shares=shares)
    assert guessed == plain


async def test_a_sequence_that_leaves_amid_its_guesses_leaves_nothing_behind() -> None:
    runtime = ToyRuntime(drafts=True, shares=True, cells=2_000)
    runtime.speaks = echoing
    async with batching(runtime) as batcher:
        gone = Client(tuple(at % 10 for at in range(40)), 1_000)
        batcher.submit(gone.sequence)
        await gone.first()
        batcher.cancel(gone.sequence)
        last = Client((1, 2, 3), 2)
        batcher.submit(last.sequence)
        await last.end()
        for left in batcher._cells._parked._kept.values():
            state = runtime.left[int(left.state[0])]
            assert [cell.token for cell in state] == left.tokens.tolist()
        assert len(batcher._cells._parked) > 0


async def test_a_cache_that_cannot_be_cut_is_never_asked_to() -> None:
    runtime = ToyRuntime(drafts=True)
    runtime.cuts = False
    async with batching(runtime) as batcher:
        one = Client((1, 2, 3) * 9, 20)
        batcher.submit(one.sequence)
        await one.end()
        assert batcher.counts.drafted_tokens == 0


QUESTION = "<|im_start|>user\nWhat is Weighbridge?<|im_end|>\n<|im_start|>assistant\n"


AGAIN = QUESTION + "{said}<|im_end|>\n" + QUESTION


async def test_a_real_model_says_the_same_with_guesses() -> None:
    heard = []
    for drafts in (False, True):
        limits = Limits(512, 2_048, 4, 64, 1, 1, drafts)
        runtime = Runtime(weights_path("qwen"), limits, 0)
        clients: list[Listener] = []
        async with batching(runtime) as batcher:
            said = ""
            for question in (QUESTION, AGAIN):  # what it says the second time stands in its prompt
                text = question.format(said=said)
                tokens = runtime.vocabulary.tokens(text, add_special=False, parse_special=True)
                clients.append(Listener(tuple(tokens), 60))
                batcher.submit(clients[-1].sequence)
                assert (await clients[-1].end()).error is None
                said = clients[-1].text
            accepted = batcher.counts.accepted_tokens
        runtime.close()
        heard.append(clients)
    assert accepted > 0
    for guessed, plain in zip(*heard, strict=True):
        check_same(guessed, plain)


async def test_clients_see_the_same_answer_and_usage(worker_of: WorkerOf) -> None:
    told = []
    async with worker_of("demo:qwen").client() as http:
        asked = user("What is Weighbridge?")
        first = await http.post(CHAT, json={"messages": asked, "temperature": 0})
    said_before = first.json()["choices"][0]["message"]
    body = {
        "messages": [*asked, said_before, *asked],
        "temperature": 0,
        "logprobs": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for options in ((), ("--prompt-lookup",)):
        async with worker_of("demo:qwen", *options).client() as http:
            events = events_of((await http.post(CHAT, json=body)).text)
            accepted = (await figures(http))["accepted_tokens"]
        said = [event["choices"][0] for event in events if event["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in said)
        told_of = [choice["logprobs"]["content"] for choice in said if choice.get("logprobs")]
        tokens = [token["token"] for content in told_of for token in content]
        told.append((text, tokens, len(events), events[-1]["usage"]["completion_tokens"]))
    assert told[0] == told[1]
    assert accepted > 0
