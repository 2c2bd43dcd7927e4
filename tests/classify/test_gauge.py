"""Estimates by model, and how they learn from what engines count."""

from gateway.classify.counting import SignCounter
from gateway.classify.gauge import Gauge
from gateway.classify.tokens import estimate
from gateway.config.weighing import SizeSection
from gateway.domain import Bulk, Estimate, ModelFacts

COUNTER = SignCounter()
FACTS = {
    "qwen": ModelFacts(family="qwen3", context_tokens=8_000),
    "llama": ModelFacts(family="llama-3.1", context_tokens=100_000),
    "odd": ModelFacts(context_tokens=100_000),
}


def bulk(words: int) -> Bulk:
    return Bulk(COUNTER.count("some plain words of English " * (words // 5)).values, turns=1)


def test_each_model_is_told_by_its_own_vocabulary() -> None:
    takes = Gauge(FACTS).takes(bulk(6_000), None)
    assert set(takes) == set(FACTS)
    assert takes["odd"].error > takes["qwen"].error


def test_what_surely_fits_everywhere_is_not_reckoned() -> None:
    gauge = Gauge(FACTS)
    assert gauge.takes(bulk(50), None) == {}
    assert gauge.takes(bulk(50), 100_000) != {}
    assert gauge.takes(Bulk(images=1), None) != {}


def test_models_of_one_vocabulary_tell_a_requests_size_by_it() -> None:
    one = {"a": ModelFacts(family="qwen3"), "b": ModelFacts(family="qwen2.5")}
    assert Gauge(one).typical.name == "qwen2"
    assert Gauge(FACTS).typical.name == "any"
    assert Gauge({}).typical.name == "any"


def learned(factor: float, more: int = 0, times: int = 40) -> tuple[Estimate, Estimate]:
    """Return the estimates of a prompt before and after so many counts of others."""
    gauge = Gauge(FACTS)
    asked = bulk(1_000)
    before = gauge.of("qwen", asked)
    for words in range(200, 200 + 50 * times, 50):
        tokens = Gauge(FACTS).of("qwen", bulk(words)).tokens
        gauge.learn("qwen", bulk(words), round(tokens * factor) + more)
    return before, gauge.of("qwen", asked)


def test_counts_that_are_always_higher_are_learnt() -> None:
    before, after = learned(1.3)
    assert abs(after.tokens - 1.3 * before.tokens) < 0.04 * before.tokens
    assert after.error < before.error


def test_a_long_system_prompt_of_a_template_is_learnt() -> None:
    before, after = learned(1, more=200)
    assert abs(after.tokens - before.tokens - 200) < 0.08 * before.tokens


def test_a_few_counts_change_little() -> None:
    before, after = learned(1.3, times=1)
    assert before.tokens < after.tokens < 1.2 * before.tokens


def test_counts_that_scatter_leave_the_error_wide() -> None:
    gauge, asked = Gauge(FACTS), bulk(1_000)
    calm = learned(1)[1]
    for at in range(40):
        tokens = Gauge(FACTS).of("qwen", asked).tokens
        gauge.learn("qwen", asked, round(tokens * (0.6 if at % 2 else 1.6)))
    assert gauge.of("qwen", asked).error > 3 * calm.error


def test_images_and_models_that_nobody_configured_teach_nothing() -> None:
    gauge, asked = Gauge(FACTS), bulk(1_000)
    before = gauge.of("qwen", asked)
    gauge.learn("qwen", Bulk(asked.signs, turns=1, images=1), 9_999)
    gauge.learn("nobody", asked, 9_999)
    gauge.learn("qwen", asked, 0)
    assert gauge.of("qwen", asked) == before


def test_an_estimate_that_weighing_has_made_teaches_what_a_new_one_would() -> None:
    asked = bulk(1_000)
    one, other = Gauge(FACTS), Gauge(FACTS)
    made = estimate(asked, one.typical, SizeSection().image_tokens)
    for model in FACTS:
        assert one.learn(model, asked, 900, made) == other.learn(model, asked, 900)
