"""A real vocabulary and its compiler."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.vocabulary import Vocabulary
from engines.weights import resolve


@pytest.fixture(scope="session")
def vocabulary() -> Iterator[Vocabulary]:
    limits = Limits(64, 64, 1, 64, 1, 1)
    runtime = Runtime(resolve("demo:qwen", Path()), limits, 0)
    yield runtime.vocabulary
    runtime.close()


@pytest.fixture(scope="session")
def compiler(vocabulary: Vocabulary) -> Iterator[Compiler]:
    compiler = Compiler(vocabulary)
    yield compiler
    compiler.close()
