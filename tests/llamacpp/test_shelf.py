"""What requests have left outlives the process, where there is a folder for it."""

import os
import resource
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.parked import Leaving
from engines.llamacpp.shelf import Shelf, mark_of
from tests.support.batching import batching, client, together
from tests.support.contract import CHAT, user
from tests.support.toy_runtime import ToyRuntime
from tests.support.worker import working

LONG = "Tell me of the house, its rooms, its garden and who has lived there. " * 4


def leaving(*tokens: int, adapter: int = 0, size: int = 100) -> Leaving:
    chance = np.random.default_rng([abs(token) for token in tokens])
    state = chance.integers(0, 256, size, dtype=np.uint8)
    return Leaving(np.array(tokens, dtype=np.int32), adapter, state)


def told(kept: Iterable[Leaving]) -> list[Any]:
    return [(one.tokens.tolist(), one.adapter, one.state.tolist()) for one in kept]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def test_what_is_stored_is_loaded_in_its_order_and_changed_to_what_is_kept(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "mark")
    first = [leaving(1, 2, -7), leaving(3, adapter=2), leaving(9, size=0)]
    shelf.store(first)
    assert told(shelf.load()) == told(first)
    after = [first[2], leaving(4, 4), first[0]]
    shelf.store(after)
    assert told(Shelf(tmp_path, "mark").load()) == told(after)
    assert len(files(tmp_path)) == 3
    assert stat.S_IMODE((tmp_path / "mark").stat().st_mode) == 0o700


def test_a_state_is_read_when_the_one_before_it_has_found_its_place(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "mark")
    shelf.store([leaving(1), leaving(2)])
    found = shelf.load()
    assert told([next(found)]) == told([leaving(1)])
    for file in files(tmp_path):
        file.unlink()
    assert told(found) == []


def test_another_mark_is_another_shelf(tmp_path: Path) -> None:
    one, other = (Shelf(tmp_path, mark_of("x.gguf", kind)) for kind in ("f16", "q8_0"))
    one.store([leaving(1)])
    assert told(other.load()) == []
    other.store([])
    assert told(one.load()) == told([leaving(1)])


def test_a_shelf_that_nobody_has_used_for_two_weeks_is_removed_by_another(tmp_path: Path) -> None:
    one, other, own = (Shelf(tmp_path, mark_of(name)) for name in ("one", "other", "own"))
    for shelf in (one, other, own):
        shelf.store([leaving(1), leaving(2)])
    (tmp_path / "notes").mkdir()
    begun_s = time.time() - 15 * 86_400
    for folder in (mark_of("one"), mark_of("own"), "notes"):
        os.utime(tmp_path / folder, (begun_s, begun_s))
    assert len(told(own.load())) == 2
    assert told(one.load()) == []
    assert len(told(other.load())) == 2
    left = sorted(folder.name for folder in tmp_path.iterdir())
    assert left == sorted([mark_of("other"), mark_of("own"), "notes"])


@given(st.integers(0, 400), st.binary(max_size=4))
def test_a_file_that_is_not_whole_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, at: int, bytes_there: bytes
) -> None:
    folder = tmp_path_factory.mktemp("shelf")
    shelf = Shelf(folder, "mark")
    kept = [leaving(1, 2), leaving(3, 4)]
    shelf.store(kept)
    broken = files(folder)[0]
    whole = broken.read_bytes()
    changed = whole[:at] + bytes_there + whole[at + len(bytes_there) :]
    broken.write_bytes(changed[: len(whole)] if len(changed) >= len(whole) else changed)
    found = told(shelf.load())
    assert all(one in told(kept) for one in found)
    if broken.read_bytes() != whole:
        assert len(found) >= 1


def test_a_disk_that_is_full_keeps_what_it_had_and_no_halves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path, "mark")
    shelf.store([leaving(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        shelf.store([leaving(1), leaving(2, size=5_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told(shelf.load()) == told([leaving(1)])
    assert len(files(tmp_path)) == 1
    assert "prefixes cannot be saved" in caplog.text


def test_a_folder_that_cannot_be_is_told_and_serves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    shelf = Shelf(tmp_path / "file", "mark")
    shelf.store([leaving(1)])
    assert told(shelf.load()) == []
    assert "cannot be saved" in caplog.text


async def test_a_batcher_begins_with_what_another_has_left(tmp_path: Path) -> None:
    shelf, cached = Shelf(tmp_path, "mark"), []
    left: dict[int, Any] = {}
    for _ in range(2):
        runtime = ToyRuntime(cells=400, parks=True)
        runtime.left = left  # what a state's bytes stand for
        async with batching(runtime, shelf) as batcher:
            asked = client(30, 4)
            await together(batcher, [asked])
            cached.append(asked.cached)
    assert cached == [0, 29]


async def ask(http: httpx.AsyncClient) -> tuple[str, int]:
    body = {"messages": user(LONG), "temperature": 0, "max_tokens": 8}
    answer = (await http.post(CHAT, json=body)).json()
    details = answer["usage"]["prompt_tokens_details"]
    return answer["choices"][0]["message"]["content"], details["cached_tokens"]


async def test_a_worker_goes_on_from_what_the_one_before_it_has_read(tmp_path: Path) -> None:
    shelf = ("--prefix-cache-dir", str(tmp_path))
    heard = []
    for options in (shelf, shelf, (*shelf, "--kv-type", "q8_0")):
        with working(options=options) as worker:
            async with worker.client() as http:
                heard.append(await ask(http))
    (first, none), (again, most), (_, other) = heard
    assert first == again
    assert (none, other) == (0, 0)
    assert most > 50
