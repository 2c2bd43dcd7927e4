"""What the whole suite shares: workers that are started once and used by many tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from hypothesis import settings

from tests.support.worker import WorkerProcess, working

# Cores are shared: a slow example is no failure, and the whole test has a timeout.
settings.register_profile("weighbridge", deadline=None)
settings.load_profile("weighbridge")

WorkerOf = Callable[..., WorkerProcess]


@pytest.fixture(scope="session")
def worker_of() -> Iterator[WorkerOf]:
    """Give `worker_of(weights, *options)`: the same arguments are the same process."""
    with ExitStack() as stack:

        @cache
        def start(weights: str = "demo:qwen", *options: str) -> WorkerProcess:
            return stack.enter_context(working(weights, options))

        yield start
