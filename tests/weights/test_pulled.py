"""What is in the store, by the names under which a file of ours names it."""

from pathlib import Path

import pytest

from engines.weights import locate
from engines.weights.pulled import Pulled, pulled_in
from engines.weights.store import Store
from tests.support.hub_cache import cached

SHA = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub", tmp_path / "own")


def names(store: Store) -> dict[str, str]:
    return {one.weights: one.format for one in pulled_in(store)}


def test_an_empty_machine_has_nothing(store: Store) -> None:
    assert names(store) == {}


def test_each_whole_model_has_the_name_that_finds_it_again(store: Store) -> None:
    cached(
        store,
        "o/r-GGUF",
        {
            "r-q4_0.gguf": b"4",
            "UD-Q2_K_XL/r-00001-of-00002.gguf": b"1",
            "UD-Q2_K_XL/r-00002-of-00002.gguf": b"2",
            "half-q8_0-00001-of-00002.gguf": b"8",
            "mmproj-f16.gguf": b"eyes",
        },
    )
    cached(store, "o/two", {"a-q4_0.gguf": b"a", "b-q4_0.gguf": b"b"})
    cached(store, "o/safe", {"config.json": b"{}", "model.safetensors": b"st"})
    cached(store, "o/tokens", {"tokenizer.json": b"{}"})
    web = store.own / "files" / SHA / "x-q5_0.gguf"
    web.parent.mkdir(parents=True)
    web.write_bytes(b"web")
    assert names(store) == {
        "o/r-GGUF:Q4_0": "gguf",
        "o/r-GGUF:mmproj-f16": "projector",
        "o/r-GGUF:UD-Q2_K_XL": "gguf",
        "o/safe": "safetensors",
        "o/two:a-q4_0.gguf": "gguf",
        "o/two:b-q4_0.gguf": "gguf",
        "x-q5_0.gguf": "gguf",
    }
    for one in pulled_in(store):
        if one.repo:
            assert locate(one.weights, Path("/nowhere"), store).path in (
                one.files[0],
                one.files[0].parent,
            )


def test_a_projector_from_the_web_is_none_either(store: Store) -> None:
    web = store.own / "files" / SHA / "mmproj-x-f16.gguf"
    web.parent.mkdir(parents=True)
    web.write_bytes(b"eyes")
    (found,) = pulled_in(store)
    assert (found.weights, found.format, found.quantisation) == (web.name, "projector", "F16")


def test_sizes_are_those_of_the_bytes_and_the_last_use_is_known(store: Store) -> None:
    cached(store, "o/r", {"r-q4_0-00001-of-00002.gguf": b"123", "r-q4_0-00002-of-00002.gguf": b"4"})
    (found,) = pulled_in(store)
    assert found.size_bytes == 4
    assert found.last_used_s > 1_000_000_000


def test_what_has_come_of_a_pull_is_told_apart(store: Store) -> None:
    folder = store.repo_folder("o/r") / "blobs"
    folder.mkdir(parents=True)
    (folder / "abc.weighbridge").write_bytes(b"half")
    web = store.own / "files" / SHA / "x.gguf.weighbridge"
    web.parent.mkdir(parents=True)
    web.write_bytes(b"hal")
    assert [(one.weights, one.format, one.size_bytes) for one in pulled_in(store)] == [
        ("o/r", "partly", 4),
        ("x.gguf", "partly", 3),
    ]


def test_of_two_commits_the_one_that_main_is_counts_and_the_others_add_what_it_lacks(
    store: Store,
) -> None:
    cached(store, "o/r", {"r-q4_0.gguf": b"old", "r-q8_0.gguf": b"8"}, commit="a" * 40)
    cached(store, "o/r", {"r-q4_0.gguf": b"new"}, commit="b" * 40)
    found: dict[str, Pulled] = {one.weights: one for one in pulled_in(store)}
    assert set(found) == {"o/r:Q4_0", "o/r:Q8_0"}
    assert found["o/r:Q4_0"].files[0].read_bytes() == b"new"


def test_a_commit_that_no_branch_leads_to_is_named(store: Store) -> None:
    snapshot = cached(store, "o/r", {"r-q4_0.gguf": b"4"}, commit="a" * 40)
    (snapshot.parents[1] / "refs" / "main").unlink()
    assert names(store) == {f"o/r@{'a' * 40}:Q4_0": "gguf"}
