"""The metrics: names, labels, throughput, and the engines' own figures."""

from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.answers import Usage
from gateway.domain import Outcome
from gateway.observe.account import Account
from gateway.observe.engine_figures import EngineFigures, read_engine_figures
from gateway.observe.metrics import Metrics
from gateway.observe.scrape import ReplicaFigures
from gateway.observe.throughput import WINDOW_S, Throughput


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 9.99)), max_size=40))
def test_tokens_of_the_window_are_all_counted(adds: list[tuple[int, float]]) -> None:
    window = Throughput()
    for tokens, at_s in sorted(adds, key=lambda add: add[1]):
        window.add(tokens, at_s)
    assert window.per_second(9.99) == sum(tokens for tokens, _ in adds) / WINDOW_S
    assert window.per_second(25) == 0


def test_a_request_shows_under_its_replica() -> None:
    figures = [ReplicaFigures("m", "cpu", "cpu-0", up=True, restarts=2, kv_used_ratio=0.5)]
    metrics = Metrics()
    metrics.show(lambda: figures)
    replica = metrics.of("m", "cpu", "cpu-0")
    replica.began(0.0)
    account = Account(clock=lambda: 2.0, arrived_s=1.0, usage=Usage(3, 4, 7))
    replica.ended(account, Outcome.OK, queued_s=0.0)
    text = metrics.exposition().decode()
    labels = 'engine="cpu",model="m",replica="cpu-0"'
    assert 'weighbridge_requests_total{engine="cpu",model="m",outcome="ok",' in text
    assert f"weighbridge_completion_tokens_total{{{labels}}} 4.0" in text
    assert f"weighbridge_requests_in_flight{{{labels}}} 0.0" in text
    assert f"weighbridge_engine_up{{{labels}}} 1.0" in text
    assert f"weighbridge_engine_restarts_total{{{labels}}} 2.0" in text
    assert f"weighbridge_engine_kv_used_ratio{{{labels}}} 0.5" in text
    assert f"weighbridge_tokens_per_second{{{labels}}} 0.4" in text


def test_vllms_figures_are_read_and_nonsense_is_nothing() -> None:
    text = (
        'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 1.0\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.25\n'
    )
    assert read_engine_figures(text) == EngineFigures(running=3.0, kv_used_ratio=0.25)
    assert read_engine_figures("{{{") == EngineFigures()


def test_a_second_try_is_no_overhead_of_the_gateway() -> None:
    metrics = Metrics()
    replica = metrics.of("m", "cpu", "cpu-0")
    for retried in (False, True):
        account = Account(lambda: 9.0, arrived_s=1.0, forwarded_s=1.5, retried=retried)
        replica.began(0.25)
        replica.ended(account, Outcome.OK, queued_s=0.25)
    text = metrics.exposition().decode()
    labels = 'engine="cpu",model="m",replica="cpu-0"'
    assert f"weighbridge_overhead_seconds_count{{{labels}}} 1.0" in text
    assert f"weighbridge_overhead_seconds_sum{{{labels}}} 0.25" in text
