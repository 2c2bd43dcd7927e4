"""Threads step aside for other processes, and come back when these have gone."""

from itertools import pairwise
from pathlib import Path

import llama_cpp as native
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.crew import Crew
from engines.llamacpp.pooled import Pooled
from engines.weights import resolve

STEP_S = 0.05


def run(crew: Crew, cores: int, neighbours: int, seconds: float) -> list[int]:
    """Let it step on `cores` that are shared fairly; return its threads after each step."""
    seen: list[int] = []
    for _ in range(round(seconds / STEP_S)):
        part = min(1.0, cores / (crew.threads + neighbours))
        crew.after(STEP_S, crew.threads * part * STEP_S)
        seen.append(crew.threads)
    return seen


@given(st.integers(1, 128))
def test_on_a_quiet_machine_all_work(cores: int) -> None:
    assert set(run(Crew(cores), cores, 0, 60)) == {cores}


@given(st.integers(2, 64), st.data())
def test_others_get_their_cores_within_seconds(cores: int, data: st.DataObject) -> None:
    neighbours = data.draw(st.integers(1, cores - 1))
    crew = Crew(cores)
    run(crew, cores, neighbours, 10)
    seen = run(crew, cores, neighbours, 60)
    free = cores - neighbours
    # A thread more is tried at times, and given back at once; a few too many in many are not seen.
    few = 2 + cores // 8
    assert max(seen) <= free + few
    assert sum(free - 1 <= threads < free + few for threads in seen) > 0.8 * len(seen)


@given(st.integers(2, 16), st.data())
def test_all_work_again_when_the_others_have_gone(cores: int, data: st.DataObject) -> None:
    crew = Crew(cores)
    run(crew, cores, data.draw(st.integers(1, 4 * cores)), 120)
    assert run(crew, cores, 0, 40 + 2 * cores)[-1] == cores


@given(st.integers(1, 128), st.floats(0, 0.24))
def test_who_wants_little_gets_no_thread(cores: int, busy: float) -> None:
    crew = Crew(cores)
    for _ in range(1_000):
        crew.after(STEP_S, (cores - busy) * STEP_S)
        assert crew.threads == cores


def test_one_of_two_threads_is_worth_more_than_a_third_of_a_core() -> None:
    """All stand still while one does, and one alone would be half as fast."""
    for busy, threads in ((0.35, 2), (0.45, 1)):
        crew = Crew(2)
        for _ in range(20):
            crew.after(STEP_S, (2 - busy) * STEP_S)
        assert crew.threads == threads


@given(st.integers(1, 32), st.integers(1, 32), st.lists(st.booleans(), min_size=1, max_size=9))
def test_who_reads_prompts_with_other_threads_gives_none_of_them_up(
    threads: int, batch_threads: int, steps: list[bool]
) -> None:
    crew = Crew(threads, batch_threads)
    for reads in steps * 60:
        had = crew.batch_threads if reads else crew.threads
        crew.after(STEP_S, had * STEP_S, reads=reads)
        assert (crew.threads, crew.batch_threads) == (threads, batch_threads)


def test_both_give_way_by_the_same_part() -> None:
    crew = Crew(4, 8)
    for _ in range(20):  # six of the eight cores are free
        crew.after(STEP_S, min(6, crew.batch_threads) * STEP_S, reads=True)
    assert (crew.threads, crew.batch_threads) == (3, 6)


def test_one_thread_stays_however_many_others_there_are() -> None:
    assert min(run(Crew(2), 2, 50, 60)) == 1


def test_a_thread_that_came_too_early_waits_twice_as_long_the_next_time() -> None:
    seen = run(Crew(2), 2, 1, 100)
    tried = [step for step, (a, b) in enumerate(pairwise(seen)) if a < b]
    waits = [b - a for a, b in pairwise(tried)]
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


def test_llama_cpp_decodes_and_reads_prompts_with_the_threads_that_each_was_given() -> None:
    """For several that decode at once llama.cpp itself would take the threads of prompts."""
    limits = Limits(64, 128, 2, 16, threads=3, batch_threads=2)
    runtime = Runtime(resolve("demo:qwen", Path()), limits, 0)

    def threads(*pieces: Piece) -> set[int]:
        runtime.decode(pieces)
        context = runtime._context
        return {native.llama_n_threads(context), native.llama_n_threads_batch(context)}

    try:
        assert threads(Piece(0, 0, [5, 6, 7], 0), Piece(1, 0, [5], 1)) == {2}
        assert threads(Piece(0, 3, [8], 1), Piece(1, 1, [6], 1)) == {3}
        runtime.use_threads(2, 1)
        assert threads(Piece(0, 4, [8], 1)) == {2}
        assert threads(Piece(1, 2, [7, 8], 1)) == {1}
    finally:
        runtime.close()


def test_texts_are_read_with_the_threads_that_read_prompts() -> None:
    limits = Limits(64, 64, 1, 16, threads=1, batch_threads=3)
    runtime = Runtime(resolve("demo:qwen", Path()), limits, 0, generates=False)
    pooled = Pooled(runtime, "mean", in_pieces=True)
    try:
        for threads in (3, 2):
            runtime.use_threads(1, threads)
            pooled.evaluate([Piece(0, 0, [5, 6], 1)])
            pooled.forget()
            assert native.llama_n_threads_batch(pooled._context) == threads
    finally:
        pooled.close()
        runtime.close()
