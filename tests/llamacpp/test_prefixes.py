"""The mirror of the KV cache: true common prefixes, each cell counted once, and none lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engines.llamacpp.prefixes import Outlook, Prefixes, Tokens, common_length

SLOTS, CELLS = 6, 120
# Few tokens and long texts, so that much is shared.
TEXT = st.lists(st.integers(0, 1), min_size=1, max_size=50)
PIECES = st.lists(st.sampled_from([[0] * 20, [1] * 7, [0, 1] * 10, [2]]), min_size=1, max_size=4)
PROMPT = st.one_of(TEXT, PIECES.map(lambda pieces: [token for piece in pieces for token in piece]))


def tokens(*values: int) -> Tokens:
    return np.array(values, dtype=np.int32)


def prefixes(*, sharing: bool = True) -> Prefixes:
    return Prefixes(SLOTS, CELLS, sharing=sharing)


def evaluated(cache: Prefixes, prompt: list[int], adapter: int = 0) -> int:
    """Admit a sequence and evaluate all of it; return its slot."""
    outlook = cache.look(tokens(*prompt), adapter)
    slot = cache.admit(tokens(*prompt), outlook, adapter)
    cache.grow(slot, len(prompt) - outlook.reused)
    return slot


@given(PROMPT, PROMPT)
def test_a_common_prefix_is_the_longest(one: list[int], other: list[int]) -> None:
    length = common_length(tokens(*one), tokens(*other))
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length == len(one)


def test_what_a_running_sequence_has_evaluated_is_shared_and_counts_once() -> None:
    cache = prefixes()
    evaluated(cache, [0] * 30)
    outlook = cache.look(tokens(*[0] * 30, 1, 1))
    assert outlook == Outlook(donor=outlook.donor, reused=30, soon=30, cells=2)
    evaluated(cache, [0] * 30 + [1, 1])
    assert cache.used == 32


def test_the_whole_prompt_is_never_reused() -> None:
    cache = prefixes()
    evaluated(cache, [0] * 30)
    assert cache.look(tokens(*[0] * 30)).reused == 29
    assert cache.look(tokens(0)) == Outlook(donor=None, reused=0, soon=0, cells=1)


def test_what_another_evaluates_at_this_moment_is_worth_waiting_for() -> None:
    cache = prefixes()
    prompt = tokens(*[0] * 40)
    slot = cache.admit(prompt, cache.look(prompt))
    assert cache.look(prompt).waits
    cache.grow(slot, 20)
    assert cache.look(prompt).waits
    cache.grow(slot, 15)
    assert not cache.look(prompt).waits  # what is left is quicker evaluated than waited for
    assert cache.look(prompt).reused == 35


def test_a_short_prompt_waits_for_no_long_one() -> None:
    cache = prefixes()
    long = tokens(*[0] * 100)
    slot = cache.admit(long, cache.look(long))
    assert cache.look(long).waits
    assert not cache.look(tokens(*[0] * 30, 1)).waits
    cache.grow(slot, 20)
    assert cache.look(tokens(*[0] * 30, 1)).reused == 20
    cache.grow(slot, 16)  # the rest is read in a step
    assert cache.look(tokens(*[0] * 50, 1)).waits


def test_a_prompt_waits_for_no_longer_one_before_which_more_is_read_than_it_has_itself() -> None:
    cache = Prefixes(SLOTS, 2_000, sharing=True)
    other, long = tokens(*[1] * 200), tokens(*[0] * 900)
    slots = [cache.admit(prompt, cache.look(prompt)) for prompt in (other, long)]
    assert not cache.look(tokens(*[0] * 100, 1)).waits
    assert cache.look(tokens(*[0] * 300, 1)).waits
    assert cache.look(tokens(*[1] * 150)).waits  # for what comes first
    cache.grow(slots[0], 120)
    assert cache.look(tokens(*[0] * 100, 1)).waits
    cache.grow(slots[1], 60)
    assert not cache.look(tokens(*[0] * 100, 1)).waits  # it has 41 left to read, the other 80


def test_nobody_waits_for_a_few_tokens() -> None:
    cache = prefixes()
    prompt = tokens(0, 0, 0, 0)
    cache.admit(prompt, cache.look(prompt))
    assert not cache.look(prompt).waits


def test_nothing_is_shared_where_the_cache_cannot() -> None:
    cache = prefixes(sharing=False)
    slot = evaluated(cache, [0] * 30)
    assert cache.look(tokens(*[0] * 40)) == Outlook(donor=None, reused=0, soon=0, cells=40)
    cache.drop(slot)
    assert cache.used == 0


def test_a_shared_prefix_outlives_the_one_that_it_was_shared_from() -> None:
    cache = prefixes()
    first = evaluated(cache, [0] * 20 + [1])
    evaluated(cache, [0] * 20 + [2, 2])
    cache.drop(first)
    assert cache.used == 22
    assert cache.look(tokens(*[0] * 20, 3)).reused == 20


def test_sequences_with_different_adapters_share_nothing() -> None:
    cache = prefixes()
    plain, adapted = evaluated(cache, [0] * 20), evaluated(cache, [0] * 20, adapter=1)
    assert cache.used == 40
    assert cache.look(tokens(*[0] * 20), 2) == Outlook(donor=None, reused=0, soon=0, cells=20)
    assert cache.look(tokens(*[0] * 20, 1), 0).donor == plain
    assert cache.look(tokens(*[0] * 20, 1), 1).donor == adapted


def test_the_youngest_leaves_first_and_the_oldest_never() -> None:
    cache = prefixes()
    running = [evaluated(cache, [token] * 40) for token in range(3)]
    assert cache.who_leaves(running, 0) == []
    assert cache.who_leaves(running, 1) == [running[2]]
    assert cache.who_leaves(running, 41) == [running[2], running[1]]
    assert cache.who_leaves(running, 500) == [running[2], running[1]]


class Story(RuleBasedStateMachine):
    """Any story of sequences, beside a cache that is a set of cells for each slot."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = prefixes()
        self.told: dict[int, list[int]] = {}  # what a slot was admitted with
        self.cells: dict[int, list[int]] = {}
        self.adapters: dict[int, int] = {}
        self.running: list[int] = []
        self.made = 0

    @precondition(lambda self: len(self.running) < SLOTS)
    @rule(prompt=PROMPT, adapter=st.integers(0, 1))
    def admit(self, prompt: list[int], adapter: int) -> None:
        outlook = self.cache.look(tokens(*prompt), adapter)
        if outlook.waits:
            return
        shared = self.cells[outlook.donor][: outlook.reused] if outlook.donor is not None else []
        held = {cell for slot in self.running for cell in self.cells[slot]}
        assert outlook.cells == len(prompt) - len(held & set(shared))
        alike = [slot for slot in self.cells if self.adapters[slot] == adapter]
        longest = max((self.common(prompt, slot) for slot in alike), default=0)
        assert outlook.reused == min(longest, len(prompt) - 1)
        slot = self.cache.admit(tokens(*prompt), outlook, adapter)
        assert slot not in self.cells
        if outlook.donor is not None:
            assert self.adapters[outlook.donor] == adapter
        self.cells[slot] = shared
        self.told[slot] = prompt
        self.adapters[slot] = adapter
        self.running.append(slot)

    def common(self, prompt: list[int], slot: int) -> int:
        told = self.told[slot][: len(self.cells[slot])]
        return common_length(tokens(*prompt), tokens(*told))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), count=st.integers(1, 30))
    def evaluate(self, data: st.DataObject, count: int) -> None:
        slot = data.draw(st.sampled_from(self.running))
        for leaving in self.cache.who_leaves(self.running, count):
            assert leaving == self.running[-1]
            self.cache.drop(leaving)
            self.forget(leaving)
        if slot in self.running and self.cache.used + count <= CELLS:
            self.cache.grow(slot, count)
            self.cells[slot] += range(self.made, self.made + count)
            self.made += count

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(self.running))
        self.cache.drop(slot)
        self.forget(slot)

    def forget(self, slot: int) -> None:
        del self.cells[slot], self.told[slot]
        self.running.remove(slot)

    @invariant()
    def every_cell_is_counted_once(self) -> None:
        assert self.cache.used == len({cell for cells in self.cells.values() for cell in cells})


TestStory = Story.TestCase
