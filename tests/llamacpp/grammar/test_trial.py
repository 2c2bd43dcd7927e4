"""Bad schemas end the child that reads them, and nothing else."""

from collections.abc import Iterator

import pytest

from engines.llamacpp.grammar import trial as module
from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.trial import Trial, Words

# llguidance 1.9 builds an automaton whose states are the remainders: minutes, and gigabytes.
POISON = '{"type": "integer", "multipleOf": 1234567}'


LONG = Flaw("reading it takes too much time or memory")


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    trial = Trial(Words(512, {"<|end|>": 0}, [0], most_cpu_s=0.3))
    yield trial
    trial.close()


def test_the_child_says_what_can_be_held_and_what_cannot(trial: Trial) -> None:
    assert trial.flaw([Draft("part", "json", '{"type": "object"}')]) is None
    assert trial.flaw([Draft("part", "regex", "[a-z]+")]) is None
    found = trial.flaw([Draft("part", "json", '{"not": {}}')])
    assert found is not None
    assert found.pointer == "/not"


def test_a_schema_that_would_hang_is_refused_and_the_next_is_read(trial: Trial) -> None:
    assert trial.flaw([Draft("part", "json", POISON)]) == LONG
    assert trial.flaw([Draft("part", "json", '{"type": "integer", "multipleOf": 5}')]) is None


def test_a_child_that_was_killed_condemns_no_schema(trial: Trial) -> None:
    assert trial.flaw([Draft("part", "json", "{}")]) is None
    child = trial._child
    assert child is not None
    child.kill()
    child.wait()
    assert trial.flaw([Draft("part", "json", "{}")]) is None


def test_closing_leaves_no_child() -> None:
    trial = Trial(Words(512, {}, [0]))
    assert trial.flaw([Draft("part", "json", "{}")]) is None
    child = trial._child
    assert child is not None
    trial.close()
    assert child.returncode is not None
    trial.close()


def test_a_child_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_S", 0.05)
    trial = Trial(Words(512, {}, [0]))
    assert trial.flaw([Draft("part", "json", POISON)]) is not None
    trial.close()
