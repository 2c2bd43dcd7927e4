"""Seconds of requests of every kind by chance on a real worker; `benchmarks` has it for minutes."""

import os
from pathlib import Path

import pytest

from benchmarks.soak_worker import options, soaked
from tools.families.stateful_toys import LFM2, write_stateful_toy

# What is freed is overwritten, so that who reads it all the same gets nonsense.
OVERWRITTEN = {"MALLOC_PERTURB_": "165"}
BRIEF = ("--seconds", "4", "--rounds", "2", "--clients", "6")
TIGHT = ("--context", "256", "--cells", "400", "--parallel", "4", "--batch-tokens", "32")


def wrong(weights: str, *worker: str) -> list[str]:
    return soaked(options().parse_args([*BRIEF, "--weights", weights, "--", *TIGHT, *worker]))


@pytest.fixture(autouse=True)
def _overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OVERWRITTEN.items():
        monkeypatch.setenv(name, os.environ.get(name, value))


def test_whatever_is_asked_of_a_demo_model_is_answered_and_leaves_nothing() -> None:
    assert wrong("demo:qwen", "--prompt-lookup") == []


def test_whatever_is_asked_of_a_model_with_a_state_is_answered_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    assert wrong(str(write_stateful_toy(LFM2, tmp_path / "toy.gguf"))) == []
