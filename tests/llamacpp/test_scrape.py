"""The worker's figures: what is counted, and the text that a scraper reads."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from engines.llamacpp.counts import Counts, Histogram
from engines.llamacpp.scrape import exposition
from tests.support.batching import batching, client, drained, together
from tests.support.toy_runtime import ToyRuntime

BOUNDS = (1, 2.5, 10)


def samples(counts: Counts) -> dict[str, float]:
    """Return all samples by name and the values of their labels."""
    return {
        " ".join((sample.name.removeprefix("weighbridge_worker_"), *sample.labels.values())): (
            sample.value
        )
        for family in text_string_to_metric_families(exposition(counts))
        for sample in family.samples
    }


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 20))))
def test_a_histogram_counts_each_value_up_to_the_bounds_that_hold_it(values: list[float]) -> None:
    counts = Counts(ttft_s=Histogram(BOUNDS))
    for value in values:
        counts.ttft_s.add(value)
    seen = samples(counts)
    for bound in BOUNDS:
        below = seen[f"time_to_first_token_seconds_bucket {float(bound)}"]
        assert below == sum(value <= bound for value in values)
    assert seen["time_to_first_token_seconds_count"] == len(values)
    assert seen["time_to_first_token_seconds_bucket +Inf"] == len(values)


async def test_steps_and_tokens_are_timed_and_counted() -> None:
    runtime = ToyRuntime(cells=1_000)
    async with batching(runtime) as batcher:
        await together(batcher, [client(5, 10, n) for n in range(4)])
        await drained(batcher)
        seen = samples(batcher.counts)
    assert seen["step_tokens_count"] == seen["steps_total"] == len(runtime.steps)
    assert seen["step_tokens_sum"] == sum(map(len, runtime.steps))
    assert seen["time_to_first_token_seconds_count"] == 5
    assert seen["inter_token_latency_seconds_count"] == 4 * 9
    for part in ("build", "decode", "sample"):
        assert seen[f"step_seconds_total {part}"] > 0
    assert seen["step_seconds_total mask"] == 0
