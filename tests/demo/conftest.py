"""Workers for the demo models, and conversations with them."""

import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.demo import Talk
from tools.demo_models.corpus import corpus_of

MODELS = ("qwen", "coder", "llama")
# More sequences would be slower here: each token looks at the cells of all of them.
OPTIONS = ("--parallel", "4")
SEED = 20


@pytest.fixture(params=MODELS)
async def talk(request: pytest.FixtureRequest, worker_of: WorkerOf) -> AsyncIterator[Talk]:
    """Each demo model in turn; the questions drawn are the same in every run."""
    model: str = request.param
    async with worker_of(f"demo:{model}", *OPTIONS).client() as http:
        yield Talk(http, corpus_of(model), random.Random(SEED))  # noqa: S311 - no secret


@pytest.fixture
async def qwen(worker_of: WorkerOf) -> AsyncIterator[httpx.AsyncClient]:
    async with worker_of("demo:qwen", *OPTIONS).client() as http:
        yield http
