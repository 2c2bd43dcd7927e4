"""LoRA adapters on a real model: each says in company what it says alone, and never another's."""

from itertools import pairwise
from pathlib import Path

import pytest

from engines.demo import weights_path
from engines.llamacpp.adapters import Adapter, read_adapter
from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.complaints import LoadFailed
from tests.support.adapters import write_adapter
from tests.support.batching import batching, client, together
from tests.support.listening import Listener, check_same
from tests.support.toy_runtime import ToyRuntime

QWEN = weights_path("qwen")
LIMITS = Limits(256, 2_048, 8, 64, threads=1, batch_threads=1)


def test_an_adapter_is_a_name_a_path_and_perhaps_a_scale() -> None:
    assert read_adapter("sql=a/b.gguf") == Adapter("sql", Path("a/b.gguf"), 1.0)
    assert read_adapter("sql=a/b.gguf:0.5") == Adapter("sql", Path("a/b.gguf"), 0.5)
    assert read_adapter("sql=a:b/c=d.gguf") == Adapter("sql", Path("a:b/c=d.gguf"), 1.0)
    assert read_adapter("sql=a:-1:2") == Adapter("sql", Path("a:-1"), 2.0)


@pytest.mark.parametrize("text", ["", "sql", "sql=", "=a.gguf", "sql=a.gguf:nan", "sql=a:inf"])
def test_what_is_no_adapter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=PATH|finite"):
        read_adapter(text)


async def test_sequences_of_several_adapters_say_what_each_says_alone() -> None:
    runtime = ToyRuntime(cells=2_000, parallel=8, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(5 * n + 1, 20 - n, n % 2, n % 3) for n in range(12)])
    changes = sum(one != other for one, other in pairwise(runtime.turns))
    assert changes < len(runtime.turns) / 2


async def test_an_adapter_waits_for_few_steps_of_another() -> None:
    runtime = ToyRuntime(cells=2_000, parallel=4, batch_tokens=16)
    async with batching(runtime) as batcher:
        await together(batcher, [client(300, 60, adapter=1), client(2, 30, adapter=2)])
    waited = "".join(map(str, runtime.turns)).strip("1").split("2")
    assert max(map(len, waited)) <= 4


async def test_cells_of_one_adapter_are_never_anothers() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        for adapter in (0, 1, 2, 1):
            one = client(40, 5, adapter=adapter)
            await together(batcher, [one])
            last = one.cached
    assert last == 39  # its own, of the time before
    assert batcher.counts.cached_tokens == 39


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Adapter]:
    folder = tmp_path_factory.mktemp("adapters")
    one, other = (write_adapter(folder / f"{n}.gguf", QWEN, seed=n) for n in (1, 2))
    return [Adapter("one", one), Adapter("other", other), Adapter("nothing", one, 0.0)]


def prompts(runtime: Runtime) -> list[tuple[int, ...]]:
    asked = ["What is Weighbridge?", "hello", "What can you do?"]
    texts = [f"<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n" for one in asked]
    return [
        tuple(runtime.vocabulary.tokens(text, add_special=False, parse_special=True))
        for text in texts
    ]


async def said_by(runtime: Runtime, asked: list[tuple[tuple[int, ...], int]]) -> list[Listener]:
    """Ask all at once; return who heard the answers, in order."""
    clients = [Listener(prompt, 24, adapter) for prompt, adapter in asked]
    async with batching(runtime) as batcher:
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            assert (await one.end()).error is None
    return clients


async def test_each_adapter_says_in_company_what_it_says_alone(adapters: list[Adapter]) -> None:
    runtime = Runtime(QWEN, LIMITS, 0, adapters=adapters)
    asked = [(prompt, adapter) for adapter in range(4) for prompt in prompts(runtime)]
    alone = [(await said_by(runtime, [one]))[0] for one in asked]
    in_company = await said_by(runtime, asked)
    runtime.close()
    same = [check_same(one, other) for one, other in zip(in_company, alone, strict=True)]
    assert sum(same) > 0.8 * sum(one.count for one in alone)
    base, one, other, nothing = ([c.text for c in alone[at : at + 3]] for at in range(0, 12, 3))
    assert nothing == base
    assert all(len({*three}) == 3 for three in zip(base, one, other, strict=True))


async def test_a_model_with_adapters_says_without_them_what_it_says_alone(
    adapters: list[Adapter],
) -> None:
    runtime, plain = Runtime(QWEN, LIMITS, 0, adapters=adapters), Runtime(QWEN, LIMITS, 0)
    asked = [(prompt, 0) for prompt in prompts(plain)]
    both = [await said_by(runtime, asked), await said_by(plain, asked)]
    assert [one.text for one in both[0]] == [one.text for one in both[1]]
    runtime.close()
    plain.close()


def test_an_adapter_of_another_model_says_so(tmp_path: Path) -> None:
    wrong = {
        "arch mismatch": write_adapter(tmp_path / "a", QWEN, seed=1, architecture="falcon"),
        "activated LoRA": write_adapter(tmp_path / "b", QWEN, seed=1, invocation=True),
        "general.type": QWEN,
    }
    for words, path in wrong.items():
        with pytest.raises(LoadFailed, match=words) as failed:
            Runtime(QWEN, LIMITS, 0, adapters=[Adapter("sql", path)])
        assert "'sql'" in str(failed.value)
        assert "\n" not in str(failed.value)
