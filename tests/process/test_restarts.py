"""Whether and when a child is started again, and the words for its end."""

import signal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engines.process.restarts import (
    FAULTS,
    FIRST_PAUSE_S,
    FORGIVEN_AFTER_S,
    LONGEST_PAUSE_S,
    MOST_FAULTS_AT_START,
    decide,
    describe_exit,
    without_folders,
)

CODES = st.one_of(st.none(), st.integers(-64, 255).filter(lambda code: code != 2))
JITTER = st.floats(0, 1, exclude_max=True)


def pause(failures: int, jitter: float = 0) -> float | None:
    return decide(1, failures=failures, ready_s=0, jitter=jitter).pause_s


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause(n) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause(10**6) == LONGEST_PAUSE_S


@given(CODES, st.integers(0, 10**9), st.floats(0, 1e6), JITTER)
def test_a_pause_is_never_shorter_than_the_first_or_a_fifth_above_the_longest(
    code: int | None, failures: int, ready_s: float, jitter: float
) -> None:
    assume(ready_s > 0 or code is None or -code not in FAULTS)
    restart = decide(code, failures=failures, ready_s=ready_s, jitter=jitter)
    assert restart.pause_s is not None
    assert FIRST_PAUSE_S <= restart.pause_s <= 1.2 * LONGEST_PAUSE_S


def test_exit_2_is_hopeless_however_long_it_was_ready() -> None:
    assert decide(2, failures=0, ready_s=10 * FORGIVEN_AFTER_S, jitter=0).pause_s is None


@pytest.mark.parametrize("number", sorted(FAULTS))
def test_faults_before_it_was_ever_ready_are_hopeless_when_they_go_on(
    number: signal.Signals,
) -> None:
    pauses = [
        decide(-number, failures=before, ready_s=0, jitter=0).pause_s
        for before in range(MOST_FAULTS_AT_START)
    ]
    assert pauses == [0.5, 1, None]
    assert decide(-number, failures=9, ready_s=1, jitter=0).pause_s == LONGEST_PAUSE_S


def test_what_others_kill_is_started_again_however_often() -> None:
    assert decide(-signal.SIGKILL, failures=9, ready_s=0, jitter=0).pause_s == LONGEST_PAUSE_S


def test_a_child_that_was_ready_long_has_a_fresh_start() -> None:
    restart = decide(1, failures=7, ready_s=FORGIVEN_AFTER_S, jitter=0)
    assert (restart.pause_s, restart.failures) == (FIRST_PAUSE_S, 1)
    assert decide(None, failures=7, ready_s=FORGIVEN_AFTER_S - 1, jitter=0).failures == 8


@pytest.mark.parametrize(
    ("code", "lines", "said"),
    [
        (1, ["loading", "no memory", "", "  "], "exit code 1: no memory"),
        (0, [], "exit code 0"),
        (-9, [], "killed by SIGKILL, as the system does when memory runs out"),
        (
            -6,
            ["x", "threw 'std::bad'", "  what():  at"],
            "killed by SIGABRT: threw 'std::bad' what():  at",
        ),
        (1, ["  a", "  b"], "exit code 1: a b"),
        (-11, ["x"], "killed by SIGSEGV: x"),
        (-60, [], "killed by signal 60"),
        (
            0,
            [
                "(EngineCore pid=7) ERROR 11-28 21:47:50 [core.py:15] Traceback (most recent):",
                "(EngineCore pid=7) ERROR 11-28 21:47:50 [core.py:15] ValueError: no room for KV",
                "(APIServer pid=6) ERROR 11-28 21:47:50 [llm.py:9] vllm.v1.DeadError: see above",
                "(APIServer pid=6) INFO 11-28 21:47:50 [core_client.py:77] [shutdown] complete",
            ],
            "exit code 0: ValueError: no room for KV",
        ),
        (
            1,
            ["(APIServer pid=6)   File x", "(APIServer pid=6) RuntimeError: no GPU"],
            "exit code 1: RuntimeError: no GPU",
        ),
        (2, ["/srv/models/toy.gguf is no GGUF file"], "exit code 2: toy.gguf is no GGUF file"),
    ],
)
def test_an_end_is_told_by_code_or_signal_and_the_last_word(
    code: int, lines: list[str], said: str
) -> None:
    assert describe_exit(code, lines) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ann/models/x.gguf", "cannot open x.gguf"),
        ("error:/home/ann/x.so: undefined", "error:x.so: undefined"),
        ("weights=/home/ann/x.gguf", "weights=x.gguf"),
        ("('/home/ann/x.gguf')", "('x.gguf')"),
        ("'/home/ann lee/my models/x.gguf' is cut", "'x.gguf' is cut"),
        ('"/home/ann lee/x" and "/opt/y/z"', '"x" and "z"'),
        ("see http://127.0.0.1:8000/v1/models", "see http://127.0.0.1:8000/v1/models"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("1/2 of input/output", "1/2 of input/output"),
        ("/root", "/root"),
    ],
)
def test_a_reason_names_files_but_no_folders(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@given(st.text("/ab'\" :", max_size=60))
def test_taking_folders_out_twice_changes_nothing_and_adds_nothing(text: str) -> None:
    once = without_folders(text)
    assert len(once) <= len(text)
    assert without_folders("x" * 10_000) == "x" * 300
