"""The metrics: names, labels, throughput, and the engines' own figures."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from engines.llamacpp.counts import Counts
from engines.llamacpp.scrape import exposition
from engines.protocol.answers import Usage
from gateway.domain import Outcome
from gateway.observe.account import Account
from gateway.observe.engine_figures import Durations, EngineFigures, read_engine_figures
from gateway.observe.exposition import exposed
from gateway.observe.metrics import Metrics
from gateway.observe.scrape import ReplicaFigures
from gateway.observe.throughput import WINDOW_S, Throughput

CAPTURE = Path(__file__).resolve().parents[1] / "captures" / "vllm" / "metrics.txt"


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 9.99)), max_size=40))
def test_tokens_of_the_window_are_all_counted(adds: list[tuple[int, float]]) -> None:
    window = Throughput()
    for tokens, at_s in sorted(adds, key=lambda add: add[1]):
        window.add(tokens, at_s)
    assert window.per_second(9.99) == sum(tokens for tokens, _ in adds) / WINDOW_S
    assert window.per_second(25) == 0


def test_a_request_shows_under_its_replica() -> None:
    own = EngineFigures(kv_used_ratio=0.5, prompt_tokens=9, gap=Durations(4, 0.5))
    figures = [ReplicaFigures("m", "cpu", "cpu-0", up=True, restarts=2, own=own)]
    metrics = Metrics()
    metrics.show(lambda: figures)
    replica = metrics.of("m", "cpu", "cpu-0")
    replica.began(0.0)
    account = Account(clock=lambda: 2.0, arrived_s=1.0, usage=Usage(3, 4, 7))
    replica.ended(account, Outcome.OK, queued_s=0.0)
    replica.count(account)
    text = generate_latest(metrics.registry).decode()
    labels = 'engine="cpu",model="m",replica="cpu-0"'
    assert 'weighbridge_requests_total{engine="cpu",model="m",outcome="ok",' in text
    assert f"weighbridge_completion_tokens_total{{{labels}}} 4.0" in text
    assert f"weighbridge_requests_in_flight{{{labels}}} 0.0" in text
    assert f"weighbridge_engine_up{{{labels}}} 1.0" in text
    assert f"weighbridge_engine_restarts_total{{{labels}}} 2.0" in text
    assert f"weighbridge_engine_kv_used_ratio{{{labels}}} 0.5" in text
    assert f"weighbridge_engine_prompt_tokens_total{{{labels}}} 9.0" in text
    assert f"weighbridge_engine_inter_token_latency_seconds_sum{{{labels}}} 0.5" in text
    assert f"weighbridge_engine_inter_token_latency_seconds_count{{{labels}}} 4.0" in text
    assert "weighbridge_engine_completion_tokens_total{" not in text
    assert f"weighbridge_tokens_per_second{{{labels}}} 0.4" in text


def test_vllms_figures_are_read_and_nonsense_is_nothing() -> None:
    text = (
        'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 1.0\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.25\n'
    )
    assert read_engine_figures(text) == EngineFigures(running=3.0, kv_used_ratio=0.25)
    assert read_engine_figures("{{{") == EngineFigures()
    assert read_engine_figures("vllm:num_requests_running{{{ 1") == EngineFigures()


def test_a_scrape_of_vllm_gives_every_figure() -> None:
    more = (
        'vllm:prefix_cache_hits_total{engine="0"} 128.0\n'
        'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1"} 6.0\n'
        'vllm:time_to_first_token_seconds_count{engine="0"} 8.0\n'
        'vllm:time_to_first_token_seconds_sum{engine="0"} 2.5\n'
        'vllm:inter_token_latency_seconds_count{engine="0"} 94.0\n'
        'vllm:inter_token_latency_seconds_sum{engine="0"} 0.5\n'
    )
    told = read_engine_figures(CAPTURE.read_text(encoding="utf-8") + more)
    assert (told.running, told.waiting, told.kv_used_ratio) == (0, 0, 0)
    assert (told.prompt_tokens, told.cached_tokens, told.completion_tokens) == (210, 128, 102)
    assert (told.first_token, told.gap) == (Durations(8, 2.5), Durations(94, 0.5))


def test_a_whole_scrape_of_a_worker_gives_every_figure() -> None:
    counts = Counts()
    counts.prompt_tokens, counts.cached_tokens, counts.completion_tokens = 5, 7, 3
    told = read_engine_figures(exposition(counts))
    assert (told.prompt_tokens, told.cached_tokens, told.completion_tokens) == (12, 7, 3)
    assert told.first_token == told.gap == Durations(0, 0)
    assert None not in (told.running, told.waiting, told.kv_used_ratio)


def test_a_second_try_is_no_overhead_of_the_gateway() -> None:
    metrics = Metrics()
    replica = metrics.of("m", "cpu", "cpu-0")
    for retried in (False, True):
        account = Account(lambda: 9.0, arrived_s=1.0, forwarded_s=1.5, retried=retried)
        replica.began(0.25)
        replica.ended(account, Outcome.OK, queued_s=0.25)
    text = generate_latest(metrics.registry).decode()
    labels = 'engine="cpu",model="m",replica="cpu-0"'
    assert f"weighbridge_overhead_seconds_count{{{labels}}} 1.0" in text
    assert f"weighbridge_overhead_seconds_sum{{{labels}}} 0.25" in text


def test_a_scrape_comes_a_name_at_a_time_and_is_what_the_library_writes() -> None:
    metrics = Metrics()
    metrics.of("m", "cpu", "cpu-0").began(0.0)
    pieces = list(exposed(metrics.registry))
    assert all(piece.count(b"# HELP ") <= 2 for piece in pieces)  # a counter's second is `_created`
    assert len(pieces) > 20
    assert b"".join(pieces) == generate_latest(metrics.registry)
