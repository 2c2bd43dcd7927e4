"""What is told of a prompt's own tokens: `echo` with `logprobs`, as evaluation harnesses ask it."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llamacpp.binding import Floats
from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.sampling import top_logprobs
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.text import places_in
from tests.conftest import WorkerOf
from tests.support.batching import GREEDY, Client, arrive, batching
from tests.support.contract import COMPLETIONS
from tests.support.streams import events_of
from tests.support.toy_runtime import SIZE, Gate, ToyRuntime, following
from tests.support.worker import figures

PROMPT = "The quick brown fox jumps over the lazy dog. Καλημέρα, wie geht es dir heute?"
START = "The quick brown"
LENGTHS = st.tuples(st.integers(1, 40), st.integers(0, 12))


class Asker(Client):
    """Wants to be told of the prompt, and notes what it hears of it."""

    def __init__(self, prompt: tuple[int, ...], count: int) -> None:
        super().__init__(prompt, count)
        order = Order(prompt, count, GREEDY, logprobs=2, tells_prompt=True)
        self.prompt_told: list[tuple[TokenTold, ...]] = []
        self.sequence = SequenceState(order, self.listen)

    def listen(self, progress: Progress) -> None:
        self.prompt_told += [] if progress.prompt is None else [progress.prompt]
        self.hear(progress)


def varied(tokens: Sequence[int], adapter: int) -> Floats:
    """Return logits that are others behind each text; the likeliest is the toy's next token."""
    line = np.random.default_rng([*tokens, adapter]).normal(0, 1, SIZE).astype(np.float32)
    line[following(tokens, adapter)] = 9
    return line


def expected(prompt: tuple[int, ...]) -> tuple[TokenTold, ...]:
    told: list[TokenTold] = []
    for at in range(1, len(prompt)):
        logprob, best = top_logprobs(varied(prompt[:at], 0), prompt[at], 2)
        told.append(TokenTold(prompt[at], logprob, tuple(best)))
    return tuple(told)


def prompt_of(length: int, salt: int) -> tuple[int, ...]:
    return tuple((salt // 2 + at * at) % 60 for at in range(length))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(LENGTHS, st.booleans()), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
    st.sampled_from([60, 300]),
)
async def test_each_token_of_a_prompt_is_told_once_in_any_company_and_a_crowded_cache(
    asked: list[tuple[tuple[int, int], bool]], shares: bool, apart: bool, cells: int
) -> None:
    runtime = ToyRuntime(cells=cells, shares=shares, apart=apart, fills=apart)
    runtime.speaks = varied
    async with batching(runtime) as batcher:
        clients = [
            (Asker if tells else Client)(prompt_of(length, salt), max(count, 1 - tells))
            for salt, ((length, count), tells) in enumerate(asked)
        ]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            await one.end()
            assert (one.error, one.reason) == (None, "length")
            assert len(one.text) == one.count
            if isinstance(one, Asker):
                assert one.prompt_told == [expected(one.prompt)]
        assert batcher._cells.used == runtime.held() == 0


async def test_a_prompt_that_is_told_waits_for_nobody_to_decode_and_stops_nobody() -> None:
    runtime = ToyRuntime(cells=400, batch_tokens=64)
    runtime.before = gate = Gate()
    async with batching(runtime) as batcher:
        speaks, asks = Client((1, 2), 120), Asker(prompt_of(150, 0), 1)
        batcher.submit(speaks.sequence)
        await arrive(gate)
        gate.opened.release()
        await arrive(gate)  # it decodes from here on
        batcher.submit(asks.sequence)
        gate.open_for_good()
        await asks.end()
        await speaks.end()
    both = [step for step in runtime.steps if len({row.slot for row in step}) == 2]
    assert len(both) >= 150 // runtime.outputs
    assert len(asks.prompt_told[0]) == 149


def test_tokens_have_their_places_in_a_text_that_lacks_some_of_them() -> None:
    assert places_in("ab é", [b"<s>", b" a", b"b", b" ", b"\xc3", b"\xa9"]) == [0, 0, 1, 2, 3, 3]
    assert places_in("", [b"<s>"]) == [0]
    assert places_in("ab", [b"a", b"b", b"\xff"]) == [0, 0, 1]


async def ask(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post(COMPLETIONS, json={"temperature": 0} | fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize("demo", ["demo:qwen", "demo:llama"])
async def test_what_was_said_is_as_likely_when_it_is_asked_as_a_prompt(
    worker_of: WorkerOf, demo: str
) -> None:
    async with worker_of(demo).client() as http:
        said = (await ask(http, prompt=START, max_tokens=24, logprobs=3))["choices"][0]
        ids = (await http.post("/tokenize", json={"prompt": START})).json()["tokens"]
        whole = await ask(http, prompt=START + said["text"], max_tokens=0, logprobs=3, echo=True)
    choice, count = whole["choices"][0], len(said["logprobs"]["tokens"])
    told = choice["logprobs"]
    assert choice["text"] == START + said["text"]
    assert (choice["finish_reason"], whole["usage"]["completion_tokens"]) == ("length", 0)
    assert len(told["tokens"]) == whole["usage"]["prompt_tokens"] == len(ids) + count
    assert told["tokens"][-count:] == said["logprobs"]["tokens"]
    before = said["logprobs"]["token_logprobs"]
    assert told["token_logprobs"][-count:] == pytest.approx(before, abs=0.02)
    behind = [len(START) + at for at in said["logprobs"]["text_offset"]]
    assert told["text_offset"][-count:] == behind
    assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
    rows = zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True)
    for token, own, likely in [*rows][1:]:
        assert likely[token] >= own  # of two tokens with this text the likelier is told
        assert len(likely) <= 4


async def test_each_token_stands_where_it_is_told_to_begin(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        told = await ask(http, prompt=PROMPT, max_tokens=4, logprobs=1, echo=True)
    choice = told["choices"][0]
    rows = choice["logprobs"]
    for token, begins in zip(rows["tokens"], rows["text_offset"], strict=True):
        is_text = not token.startswith(("bytes:", "<"))
        assert not is_text or choice["text"][begins:].startswith(token)
    assert choice["finish_reason"] == "stop"  # the end is told as well
    assert len(rows["tokens"]) == told["usage"]["total_tokens"]


async def test_an_evaluation_reads_how_likely_each_ending_is(worker_of: WorkerOf) -> None:
    """As lm-evaluation-harness reads it: token ids, one token more, sums over the ending."""
    async with worker_of().client() as http:
        start = (await http.post("/tokenize", json={"prompt": "Once upon a"})).json()["tokens"]
        likely = await ask(http, prompt=[start], max_tokens=1, logprobs=1)
        best = likely["choices"][0]["logprobs"]["tokens"][0]
        ends = [
            (await http.post("/tokenize", json={"prompt": text})).json()["tokens"]
            for text in (best, "zzz")
        ]
        asked = [start + end for end in ends]
        told = await ask(http, prompt=asked, max_tokens=1, logprobs=1, echo=True, seed=1234)
    sums, greedy = [], []
    for choice, prompt in zip(told["choices"], asked, strict=True):
        rows = choice["logprobs"]
        own = rows["token_logprobs"][len(start) : -1]
        tops = [max(top.values()) for top in rows["top_logprobs"][len(start) : -1]]
        assert len(rows["tokens"]) == len(prompt) + 1
        sums.append(sum(own))
        greedy.append(own == tops)
    assert greedy == [True, False]
    assert sums[0] > sums[1]


async def test_a_stream_tells_of_the_prompt_before_the_answer(worker_of: WorkerOf) -> None:
    fields = {"prompt": ["One two", "Three"], "n": 2, "logprobs": 1, "max_tokens": 3}
    async with worker_of().client() as http:
        whole = await ask(http, **fields, echo=True)
        answer = await http.post(
            COMPLETIONS, json={"temperature": 0, "stream": True, "echo": True} | fields
        )
    heard: dict[int, list[dict[str, Any]]] = {}
    for event in events_of(answer.text):
        for choice in event["choices"]:
            heard.setdefault(choice["index"], []).append(choice)
    for choice in whole["choices"]:
        parts = heard[choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        told = [part["logprobs"] for part in parts if part["logprobs"]]
        assert [t for part in told for t in part["tokens"]] == choice["logprobs"]["tokens"]
        places = [at for part in told for at in part["text_offset"]]
        assert places == choice["logprobs"]["text_offset"]


@pytest.mark.parametrize("most", [0, 3])
async def test_a_prompt_of_several_answers_is_read_and_told_once(
    worker_of: WorkerOf, most: int
) -> None:
    fields = {"prompt": [PROMPT, START], "max_tokens": most, "logprobs": 2, "echo": True}
    async with worker_of("demo:llama").client() as http:
        before = await figures(http)
        told = await ask(http, **fields, n=3)
        after = await figures(http)
        alone = await ask(http, **fields)
    read = told["usage"]["prompt_tokens"] + 2 * 2  # and for each other one the last token
    assert after["prompt_tokens"] - before["prompt_tokens"] == read
    assert len(told["choices"]) == 6
    for at, choice in enumerate(told["choices"]):
        single = alone["choices"][at // 3]
        assert choice["logprobs"]["tokens"] == single["logprobs"]["tokens"]
        end = len(choice["logprobs"]["tokens"]) - most
        for rows in (choice, single):
            del rows["logprobs"]["token_logprobs"][end:]
        own = choice["logprobs"]["token_logprobs"]
        assert own[1:] == pytest.approx(single["logprobs"]["token_logprobs"][1:], abs=0.02)


async def test_no_tokens_are_an_answer_too_where_nothing_is_told(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        told = await ask(http, prompt="One", max_tokens=0)
        echoed = await ask(http, prompt="One", max_tokens=0, echo=True)
    assert [(c["text"], c["finish_reason"]) for c in told["choices"]] == [("", "length")]
    assert echoed["choices"][0]["text"] == "One"
    assert told["usage"]["completion_tokens"] == 0
