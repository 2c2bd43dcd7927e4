"""The linear model of tasks: adding up, and its file."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.lexicon import load_lexicons
from gateway.classify.plain import plain
from gateway.classify.reading import Text
from gateway.classify.task_evidence import EvidenceReader
from gateway.classify.task_features import Features, may_be_group, spoken
from gateway.classify.task_model import (
    BIAS,
    Header,
    LinearModel,
    Weights,
    lean,
    load_weights,
    parse_weights,
)

TASKS = ("code", "math", "writing")
LEXICONS = load_lexicons()
HEADER = Header(TASKS, 0.1, (0.0, 0.5, -0.5), 0.8, 1.0, 0.9, "digest")


def weights_of(rows: Mapping[str, tuple[int, ...]]) -> Weights:
    return Weights(HEADER, {name: bytes(w + BIAS for w in row) for name, row in rows.items()})


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.tuples(*[st.integers(-128, 127)] * 3), min_size=1
    ),
    st.sets(st.sampled_from("abcdefghxyz")),
)
def test_packed_sums_are_the_sums(rows: dict[str, tuple[int, ...]], features: set[str]) -> None:
    verdict = LinearModel(weights_of(rows)).judge(Features(features))
    known = [rows[name] for name in features if name in rows]
    root = math.sqrt(max(1, len(known)))
    scores = [
        bias + 0.1 * sum(row[task] for row in known) / root for task, bias in enumerate(HEADER.bias)
    ]
    powers = [math.exp(score - max(scores)) for score in scores]
    assert verdict.confidence == pytest.approx(max(powers) / sum(powers))
    assert scores[TASKS.index(verdict.task)] == pytest.approx(max(scores))


def test_what_is_written_is_read_again() -> None:
    weights = weights_of({"poem": (-5, 0, 90), "諸": (1, 2, 3)})
    assert parse_weights(weights.dump()) == weights
    assert weights.dump() == weights_of({"諸": (1, 2, 3), "poem": (-5, 0, 90)}).dump()


def test_the_features_that_told_are_named() -> None:
    model = LinearModel(weights_of({"poem": (-5, 0, 90), "the": (1, 1, 1), "def": (50, 0, 0)}))
    assert model.judge(Features({"poem", "the", "unknown"})).features == ("poem",)


def test_the_turn_before_counts_less_the_longer_the_newest_is() -> None:
    model = LinearModel(weights_of({"poem": (-50, 0, 90), "def": (90, 0, -50)}))
    brief = model.judge(Features(set()), Features({"def"}), chars=10)
    long = model.judge(Features(set()), Features({"def"}), chars=6_000)
    assert brief.task == "code"
    assert model.judge(Features({"poem"}), Features({"def"}), chars=6_000).task == "writing"
    assert brief.confidence > long.confidence
    assert lean(10) == lean(60) == 1 > lean(240) == 0.5


def test_the_shipped_model_knows_the_nine_tasks() -> None:
    header = load_weights().header
    assert len(header.tasks) == 9
    assert 0.5 < header.threshold < 1


@given(st.text(max_size=400))
def test_any_text_has_features_and_each_can_be_said(text: str) -> None:
    reader = EvidenceReader(LEXICONS)
    features = reader.read(Text(text, text, text, plain(text), "en", fenced=False)).features
    names = features.all_names()
    assert all(map(spoken, names))
    assert not any("\n" in name for name in names)
    assert all(may_be_group(" ".join(group)) for group in features.groups(features.told))


def test_a_long_text_has_no_more_features_than_its_ends_give() -> None:
    reader = EvidenceReader(LEXICONS)
    words = [f"word{i}" for i in range(5_000)]
    text = " ".join(words)
    features = reader.read(Text(text, text, text[:600], f" {text[:600]} ", "en", fenced=False))
    assert len(features.features.all_names()) < 400
