"""The mirror of the KV cache: true common prefixes, each cell counted once, and none lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engines.llamacpp.prefixes import Outlook, Prefixes, Tokens, common_length

SLOTS, CELLS, BUDGET = 6, 120, 40
# Few tokens and long texts, so that much is shared.
TEXT = st.lists(st.integers(0, 1), min_size=1, max_size=50)
PIECES = st.lists(st.sampled_from([[0] * 20, [1] * 7, [0, 1] * 10, [2]]), min_size=1, max_size=4)
PROMPT = st.one_of(TEXT, PIECES.map(lambda pieces: [token for piece in pieces for token in piece]))


def tokens(*values: int) -> Tokens:
    return np.array(values, dtype=np.int32)


def prefixes(*, sharing: bool = True, budget: int = BUDGET) -> Prefixes:
    return Prefixes(SLOTS, CELLS, budget, sharing=sharing)


def evaluated(cache: Prefixes, prompt: list[int], adapter: int = 0) -> int:
    """Admit a sequence and evaluate all of it; return its slot."""
    outlook = cache.look(tokens(*prompt), adapter)
    admission = cache.admit(tokens(*prompt), outlook, adapter)
    cache.grow(admission.slot, len(prompt) - admission.reused)
    return admission.slot


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
    assert cache.used == cache.busy == 32


def test_the_whole_prompt_is_never_reused() -> None:
    cache = prefixes()
    evaluated(cache, [0] * 30)
    assert cache.look(tokens(*[0] * 30)).reused == 29
    assert cache.look(tokens(0)) == Outlook(donor=None, reused=0, soon=0, cells=1)


def test_what_another_evaluates_at_this_moment_is_worth_waiting_for() -> None:
    cache = prefixes()
    prompt = tokens(*[0] * 40)
    slot = cache.admit(prompt, cache.look(prompt)).slot
    assert cache.look(prompt).waits
    cache.grow(slot, 20)
    assert cache.look(prompt).waits
    cache.grow(slot, 15)
    assert not cache.look(prompt).waits  # what is left is quicker evaluated than waited for
    assert cache.look(prompt).reused == 35


def test_nobody_waits_for_a_few_tokens() -> None:
    cache = prefixes()
    prompt = tokens(0, 0, 0, 0)
    cache.admit(prompt, cache.look(prompt))
    assert not cache.look(prompt).waits


def test_nothing_is_shared_or_kept_where_the_cache_cannot() -> None:
    cache = prefixes(sharing=False)
    slot = evaluated(cache, [0] * 30)
    assert cache.look(tokens(*[0] * 40)) == Outlook(donor=None, reused=0, soon=0, cells=40)
    assert cache.retire(slot, tokens(*[0] * 30)) == (slot,)
    assert cache.used == 0


def test_a_kept_prefix_outlives_the_one_that_it_was_shared_from() -> None:
    cache = prefixes()
    first = evaluated(cache, [0] * 20 + [1])
    second = evaluated(cache, [0] * 20 + [2, 2])
    cache.drop(first)
    assert cache.used == cache.busy == 22
    assert cache.retire(second, tokens(*[0] * 20, 2, 2)) == ()
    assert (cache.used, cache.busy) == (22, 0)
    assert cache.look(tokens(*[0] * 20, 3)).reused == 20


def test_a_kept_prefix_of_another_kept_one_gives_its_slot_back() -> None:
    cache = prefixes()
    short = evaluated(cache, [0] * 10)
    cache.retire(short, tokens(*[0] * 10))
    long = evaluated(cache, [0] * 15)
    assert cache.retire(long, tokens(*[0] * 15)) == (short,)
    again = evaluated(cache, [0] * 12)
    assert cache.retire(again, tokens(*[0] * 12)) == (again,)
    assert cache.kept == (long,)
    assert cache.used == 15


def test_sequences_with_different_adapters_share_and_replace_nothing() -> None:
    cache = prefixes(budget=CELLS)
    plain = evaluated(cache, [0] * 20)
    adapted = evaluated(cache, [0] * 20, adapter=1)
    assert cache.used == 40
    assert cache.look(tokens(*[0] * 20), 2) == Outlook(donor=None, reused=0, soon=0, cells=20)
    assert cache.retire(plain, tokens(*[0] * 20)) == ()
    assert cache.retire(adapted, tokens(*[0] * 20)) == ()
    assert cache.look(tokens(*[0] * 20, 1), 0).donor == plain
    assert cache.look(tokens(*[0] * 20, 1), 1).donor == adapted


def test_the_least_recently_used_leaves_when_the_budget_is_spent() -> None:
    cache = prefixes(budget=40)
    kept = [evaluated(cache, [token] * 18) for token in (1, 2)]
    for slot, token in zip(kept, (1, 2), strict=True):
        assert cache.retire(slot, tokens(*[token] * 18)) == ()
    used_again = evaluated(cache, [1] * 18 + [5, 5, 5, 5, 5])
    assert cache.retire(used_again, tokens(*[1] * 18, 5, 5, 5, 5, 5)) == (kept[0], kept[1])
    assert cache.kept == (used_again,)


def test_cells_that_a_running_one_shared_come_under_the_budget_when_it_has_gone() -> None:
    cache = prefixes(budget=40)
    kept = evaluated(cache, [0] * 41)
    running = evaluated(cache, [0] * 20 + [1])
    assert cache.retire(kept, tokens(*[0] * 41)) == ()
    cache.drop(running)
    prompt = tokens(2)
    unread = cache.admit(prompt, cache.look(prompt)).slot
    assert cache.retire(unread, tokens()) == (unread, kept)
    assert cache.used == 0


def test_slots_of_kept_ones_are_taken_when_no_other_is_free() -> None:
    cache = prefixes(budget=CELLS)
    for token in range(SLOTS):
        cache.retire(evaluated(cache, [token] * 5), tokens(*[token] * 5))
    oldest = cache.kept[0]
    prompt = tokens(9, 9)
    assert cache.admit(prompt, cache.look(prompt)).dropped == (oldest,)


def test_the_last_kept_one_is_no_donor_of_its_own_slot() -> None:
    cache = Prefixes(1, CELLS, BUDGET, sharing=True)
    slot = evaluated(cache, [0] * 5)
    cache.retire(slot, tokens(*[0] * 5))
    prompt = tokens(0, 0, 0, 1)
    admission = cache.admit(prompt, cache.look(prompt))
    assert (admission.donor, admission.reused, admission.dropped) == (None, 0, (slot,))
    assert cache.used == 0


def test_kept_ones_leave_before_the_youngest_and_the_oldest_stays() -> None:
    cache = prefixes(budget=CELLS)
    old, young, ended = (evaluated(cache, [token] * 40) for token in range(3))
    cache.retire(ended, tokens(*[2] * 40))
    assert cache.who_leaves([old, young], 1) == [ended]
    assert cache.who_leaves([old, young], 41) == [ended, young]
    assert cache.who_leaves([old, young], 500) == [ended, young]


def test_what_nobody_uses_for_long_leaves_though_there_is_room() -> None:
    cache = Prefixes(SLOTS, 100_000, 50_000, sharing=True)
    unused, used = (evaluated(cache, [token] * 40) for token in (1, 2))
    cache.retire(unused, tokens(*[1] * 40))
    cache.retire(used, tokens(*[2] * 40))
    running = evaluated(cache, [0] * 5_000)
    assert cache.who_leaves([running], 1) == []
    again = evaluated(cache, [2] * 40 + [3])
    cache.grow(running, 5_000)
    assert cache.who_leaves([running, again], 1) == [unused]


class Story(RuleBasedStateMachine):
    """Any story of sequences, beside a cache that is a set of cells for each slot."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = prefixes()
        self.told: dict[int, list[int]] = {}  # what a slot was admitted with, or has kept
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
        admission = self.cache.admit(tokens(*prompt), outlook, adapter)
        self.forget(admission.dropped)
        assert admission.slot not in self.cells
        if admission.donor is not None:
            assert self.common(prompt, admission.donor) >= admission.reused
            assert self.adapters[admission.donor] == adapter
        self.cells[admission.slot] = shared[: admission.reused]
        self.told[admission.slot] = prompt
        self.adapters[admission.slot] = adapter
        self.running.append(admission.slot)

    def common(self, prompt: list[int], slot: int) -> int:
        told = self.told[slot][: len(self.cells[slot])]
        return common_length(tokens(*prompt), tokens(*told))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), count=st.integers(1, 30))
    def evaluate(self, data: st.DataObject, count: int) -> None:
        slot = data.draw(st.sampled_from(self.running))
        for leaving in self.cache.who_leaves(self.running, count):
            assert leaving == (self.cache.kept or self.running[:0:-1])[0]
            self.cache.drop(leaving)
            self.forget([leaving])
        if slot in self.running and self.cache.used + count <= CELLS:
            self.cache.grow(slot, count)
            self.cells[slot] += range(self.made, self.made + count)
            self.made += count

    @precondition(lambda self: self.running)
    @rule(data=st.data(), said=st.lists(st.integers(0, 1), min_size=90, max_size=90))
    def retire(self, data: st.DataObject, said: list[int]) -> None:
        slot = data.draw(st.sampled_from(self.running))
        self.told[slot] = (self.told[slot] + said)[: len(self.cells[slot])]
        self.running.remove(slot)
        self.forget(self.cache.retire(slot, tokens(*self.told[slot])))
        assert self.cache.used - self.cache.busy <= BUDGET

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(self.running))
        self.cache.drop(slot)
        self.forget([slot])

    def forget(self, slots: "list[int] | tuple[int, ...]") -> None:
        for slot in slots:
            del self.cells[slot], self.told[slot]
            if slot in self.running:
                self.running.remove(slot)

    @invariant()
    def every_cell_is_counted_once(self) -> None:
        held = {slot: set(cells) for slot, cells in self.cells.items()}
        assert self.cache.used == len(set().union(*held.values()))
        assert self.cache.busy == len(set().union(*(held[slot] for slot in self.running)))
        assert sorted((*self.running, *self.cache.kept)) == sorted(held)


TestStory = Story.TestCase
