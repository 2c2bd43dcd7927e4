"""Workers for the demo models, and conversations with them."""

import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.demo import Talk
from tools.demo_models.corpus import corpus_of
from tools.demo_models.families import FAMILIES

MODELS = ("qwen", "coder", "llama")
# More sequences would be slower here: each token looks at the cells of all of them.
OPTIONS = ("--parallel", "4")
SEED = 20


@pytest.fixture(params=MODELS)
async def talk(request: pytest.FixtureRequest, worker_of: WorkerOf) -> AsyncIterator[Talk]:
    """Each demo model in turn, or those that a test names; what is drawn is always the same."""
    model: str = request.param
    async with worker_of(f"demo:{model}", *OPTIONS).client() as http:
        yield Talk(
            http,
            corpus_of(model),
            random.Random(SEED),  # noqa: S311 - no secret
            FAMILIES[model].context,
        )


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    """An answer comes at once or in pieces, and is the same."""
    return bool(request.param)


@pytest.fixture
async def qwen(worker_of: WorkerOf) -> AsyncIterator[httpx.AsyncClient]:
    async with worker_of("demo:qwen", *OPTIONS).client() as http:
        yield http
