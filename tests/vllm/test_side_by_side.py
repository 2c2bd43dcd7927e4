"""A Qwen on real vLLM with an adapter, a Llama on llama.cpp and a server elsewhere, in one file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from prometheus_client.parser import text_string_to_metric_families

from engines.vllm.sleeping import SleepRefused, fall_asleep
from tests.conftest import WorkerOf
from tests.support.process import GatewayProcess, gateway_process
from tests.support.vllm import (
    CONTEXT,
    QWEN,
    TUNED,
    engine,
    gone,
    listening_ports,
    segments,
    servers,
    session,
    socket_of,
    wait_ready,
)

CONFIG = """
engines:
  gpu: {gpu}
  cpu: {{kind: llamacpp}}
  lab: {{kind: remote, url: "{url}"}}
models:
  tiny-qwen2: {{engine: gpu, weights: "{toys}/qwen2", aliases: [gpt-4o]}}
  tiny-tuned: {{engine: gpu, weights: "{toys}/qwen2-lora", adapter_of: tiny-qwen2}}
  llama: {{engine: cpu, weights: "demo:llama"}}
  far: {{engine: lab, upstream_model: demo-coder}}
routes:
  - {{name: code, when: {{task: code}}, use: far}}
  - {{name: default, use: [tiny-qwen2, llama]}}
"""
MODELS = (QWEN, TUNED, "llama", "far")
Counts: TypeAlias = dict[tuple[str, str], float]
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello, who are you?"}]


@pytest.fixture(scope="module")
def gateway(
    venv: Path, toys: Path, worker_of: WorkerOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    far = worker_of("demo:coder").url
    text = CONFIG.format(gpu=engine(venv, "--stream-interval=8"), toys=toys, url=f"{far}/v1")
    with gateway_process(tmp_path_factory.mktemp("fleet"), config=text) as started:
        wait_ready(started, *MODELS)
        yield started


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", timeout=60) as found:
        yield found


@pytest.mark.parametrize("model", MODELS)
def test_each_model_chats_and_streams_the_same(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=12, temperature=0
    )
    with client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=12, temperature=0, stream=True
    ) as stream:
        text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert whole.model == model
    assert text == whole.choices[0].message.content
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 12


def test_an_adapter_answers_otherwise_than_its_model(client: openai.OpenAI) -> None:
    said = [
        client.chat.completions.create(model=m, messages=HELLO, max_tokens=12, temperature=0)
        for m in (QWEN, TUNED)
    ]
    assert said[0].choices[0].message.content != said[1].choices[0].message.content


def test_rules_and_aliases_reach_every_engine(client: openai.OpenAI) -> None:
    asked = {
        "auto": "Write a Python function that adds two numbers.",
        "gpt-4o": "Hello",
    }
    answered = {
        name: client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": text}], max_tokens=4
        ).model
        for name, text in asked.items()
    }
    assert answered == {"auto": "far", "gpt-4o": QWEN}


def test_the_context_of_vllm_is_known_and_a_longer_prompt_is_refused_with_the_reason(
    client: openai.OpenAI,
) -> None:
    told = client.models.retrieve(QWEN).model_dump()
    assert told["max_model_len"] == CONTEXT
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=QWEN, messages=[{"role": "user", "content": "words " * CONTEXT}]
        )
    assert refused.value.code == "context_length_exceeded"


def test_vllm_listens_on_a_socket_that_nobody_else_may_reach(gateway: GatewayProcess) -> None:
    """Its `--api-key` would leave /tokenize, /metrics and others open."""
    socket, (pid,) = socket_of(gateway), servers(gateway).values()
    assert socket.parent.stat().st_mode & 0o077 == 0
    transport = httpx.HTTPTransport(uds=str(socket))
    with httpx.Client(transport=transport, base_url="http://vllm") as http:
        assert http.get("/v1/models").json()["data"][0]["id"] == QWEN
    assert listening_ports(pid) == set()


def test_one_scrape_has_all_models_and_their_tokens_are_what_the_answers_said(
    client: openai.OpenAI, gateway: GatewayProcess
) -> None:
    before, spent = counts(gateway), dict.fromkeys(MODELS, 0)
    for model in MODELS:
        for _ in range(3):
            answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=6)
            assert answer.usage is not None
            spent[model] += answer.usage.completion_tokens
    after = counts(gateway)
    for model in MODELS:
        name = "weighbridge_completion_tokens_total", model
        assert after[name] - before[name] == spent[model], model
    up = {model for (name, model), value in after.items() if name.endswith("engine_up") and value}
    assert {QWEN, "llama", "far"} <= up


def test_the_engines_own_counters_agree_with_what_the_answers_said(
    client: openai.OpenAI, gateway: GatewayProcess
) -> None:
    """Prompts that begin alike are found in the cache, which both count alike."""
    words = " ".join(str(number) for number in range(150))
    ask: list[ChatCompletionMessageParam] = [{"role": "user", "content": words}]
    for model in (QWEN, "llama"):
        before = counts(gateway)
        spent = {"prompt": 0, "cached": 0, "completion": 0}
        for at in range(4):
            answer = client.chat.completions.create(model=model, messages=ask, max_tokens=3 + at)
            usage = answer.usage
            assert usage is not None
            assert usage.prompt_tokens_details is not None
            spent["prompt"] += usage.prompt_tokens
            spent["cached"] += usage.prompt_tokens_details.cached_tokens or 0
            spent["completion"] += usage.completion_tokens
        after = counts(gateway)

        def more(name: str, of: str = model, then: Counts = after, now: Counts = before) -> float:
            return then[f"weighbridge_{name}", of] - now[f"weighbridge_{name}", of]

        assert spent["cached"] > 0
        for kind, count in spent.items():
            assert more(f"engine_{kind}_tokens_total") == count, (model, kind)
        assert more("prompt_tokens_total") == spent["prompt"]
        assert more("completion_tokens_total") == spent["completion"]
        assert more("engine_time_to_first_token_seconds_count") == 4
        assert more("engine_time_to_first_token_seconds_sum") > 0
        gaps = spent["completion"] - 4
        assert more("engine_inter_token_latency_seconds_count") == gaps
        assert after["weighbridge_engine_requests_running", model] == 0
        assert after["weighbridge_engine_requests_waiting", model] == 0
        assert 0 <= after["weighbridge_engine_kv_used_ratio", model] <= 1


def test_many_tokens_in_one_event_are_counted_as_vllm_counts_them(
    client: openai.OpenAI, gateway: GatewayProcess
) -> None:
    """One event is not one token: the count comes from `usage`, which nobody here asked for."""
    before = counts(gateway)
    with client.chat.completions.create(
        model=QWEN, messages=HELLO, max_tokens=64, stream=True, extra_body={"ignore_eos": True}
    ) as stream:
        chunks = list(stream)
    assert not any(chunk.usage for chunk in chunks)
    name = "weighbridge_completion_tokens_total", QWEN
    assert counts(gateway)[name] - before[name] == 64


def test_our_request_id_is_in_vllms_own(gateway: GatewayProcess) -> None:
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": QWEN, "messages": HELLO, "max_tokens": 2},
        headers={"x-request-id": "trace-me-77"},
        timeout=30,
    )
    assert answer.headers["x-request-id"] == "trace-me-77"
    assert "trace-me-77" in answer.json()["id"]


async def test_a_vllm_that_cannot_sleep_refuses_politely(gateway: GatewayProcess) -> None:
    """It runs on a CPU, where vLLM knows no sleep."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket_of(gateway)))
    async with httpx.AsyncClient(transport=transport, base_url="http://vllm") as http:

        async def post(path: str) -> tuple[int, bytes]:
            answer = await http.post(path)
            return answer.status_code, answer.content

        with pytest.raises(SleepRefused, match="sleep_mode"):
            await fall_asleep(post)
        assert (await http.get("/health")).status_code == 200


def test_nothing_is_left_when_the_gateway_ends(gateway: GatewayProcess) -> None:
    """The last test of this file: it ends what the others use."""
    (pid,), folder = servers(gateway).values(), socket_of(gateway).parent
    shared = segments(session(pid))
    assert shared
    gateway.process.terminate()
    assert gateway.wait() == 0
    assert gone(pid, shared)
    assert not folder.exists()


def counts(gateway: GatewayProcess) -> Counts:
    text = httpx.get(f"{gateway.url}/metrics", timeout=10).text
    found: Counts = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, sample.labels.get("model", "")
            found[key] = found.get(key, 0) + sample.value
    return found
