"""The engines under the contract, started once for all tests of it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import WorkerOf
from tests.support.contract import VLLM, Contract, Subject, contract
from tests.support.vllm import vllm_venv

# Through a whole gateway; `worker` is ours by itself, as `python -m engines.llamacpp` serves it.
# Real vLLM joins where `make test-vllm` runs these tests.
_VLLM = VLLM if vllm_venv() is not None else ()
GATEWAY = ("demo-qwen", "demo-llama", "recorded", *_VLLM)
LIVE = ("demo-qwen", "demo-llama", "worker", *_VLLM)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engines() -> AsyncIterator[Contract]:
    async with contract() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", params=[*GATEWAY, "worker"])
async def subject(
    request: pytest.FixtureRequest, engines: Contract, worker_of: WorkerOf
) -> AsyncIterator[Subject]:
    """Every engine, each way."""
    async for found in _subject(request.param, engines, worker_of):
        yield found


@pytest_asyncio.fixture(loop_scope="session", params=GATEWAY)
async def behind(request: pytest.FixtureRequest, engines: Contract) -> Subject:
    """Every engine behind the gateway."""
    return await engines.subject(request.param)


@pytest_asyncio.fixture(loop_scope="session", params=LIVE)
async def live(
    request: pytest.FixtureRequest, engines: Contract, worker_of: WorkerOf
) -> AsyncIterator[Subject]:
    """Every engine that really evaluates: a recording cannot do what it was not asked then."""
    async for found in _subject(request.param, engines, worker_of):
        yield found


async def _subject(name: str, engines: Contract, worker_of: WorkerOf) -> AsyncIterator[Subject]:
    if name != "worker":
        yield await engines.subject(name)
        return
    worker = worker_of("demo:qwen", "--parallel", "2", "--batch-tokens", "32")
    async with worker.client() as http:
        yield Subject(http, "demo-qwen", 4_096, direct=True)
