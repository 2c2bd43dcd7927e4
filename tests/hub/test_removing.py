"""Removing weights frees their bytes, and no others."""

from pathlib import Path

import pytest

from engines.hub.removing import remove
from engines.weights import NotPulled, locate
from engines.weights.pulled import Pulled, pulled_in
from engines.weights.store import Store
from tests.support.hub_cache import cached


def found(store: Store, weights: str) -> Pulled:
    return next(one for one in pulled_in(store) if one.weights == weights)


def test_a_quantisation_goes_and_the_others_stay(store: Store) -> None:
    cached(store, "o/r", {"r-q4_0.gguf": b"four", "r-q8_0.gguf": b"eightfold"})
    assert remove(store, found(store, "o/r:Q4_0")) == 4
    with pytest.raises(NotPulled):
        locate("o/r:Q4_0", Path(), store)
    assert locate("o/r:Q8_0", Path(), store).path.read_bytes() == b"eightfold"
    assert remove(store, found(store, "o/r:Q8_0")) == 9
    assert not store.repo_folder("o/r").exists()


def test_bytes_that_another_name_or_commit_links_to_are_kept(store: Store) -> None:
    cached(store, "o/r", {"a-q4_0.gguf": b"same", "b-q8_0.gguf": b"same"}, commit="a" * 40)
    assert remove(store, found(store, "o/r:Q4_0")) == 0
    assert locate("o/r:Q8_0", Path(), store).path.read_bytes() == b"same"


def test_it_goes_from_every_commit(store: Store) -> None:
    cached(store, "o/r", {"r-q4_0.gguf": b"old"}, commit="a" * 40)
    cached(store, "o/r", {"r-q4_0.gguf": b"newer"}, commit="b" * 40)
    assert remove(store, found(store, "o/r:Q4_0")) == 8
    assert list(pulled_in(store)) == []
    assert not store.repo_folder("o/r").exists()


def test_a_link_that_leads_nowhere_goes_too(store: Store) -> None:
    cached(store, "o/r", {"r-q4_0.gguf": b"old"}, commit="a" * 40)
    cached(store, "o/r", {"r-q4_0.gguf": b"newer"}, commit="b" * 40)
    (store.repo_folder("o/r") / "snapshots" / ("a" * 40) / "r-q4_0.gguf").resolve().unlink()
    assert remove(store, found(store, "o/r:Q4_0")) == 5
    assert not store.repo_folder("o/r").exists()


def test_files_that_other_tools_have_put_there_stay(store: Store) -> None:
    cached(store, "o/r", {"r-q4_0.gguf": b"4", "tokenizer.json": b"theirs"})
    remove(store, found(store, "o/r:Q4_0"))
    (kept,) = store.repo_folder("o/r").glob("snapshots/*/*")
    assert kept.read_bytes() == b"theirs"


def test_a_safetensors_model_goes_with_all_its_files(store: Store) -> None:
    cached(store, "o/s", {"config.json": b"{}", "model.safetensors": b"st", "tokenizer.json": b"t"})
    assert remove(store, found(store, "o/s")) == 5
    assert not store.repo_folder("o/s").exists()


def test_what_has_come_of_a_pull_goes(store: Store) -> None:
    folder = store.repo_folder("o/r") / "blobs"
    folder.mkdir(parents=True)
    (folder / "abc.weighbridge").write_bytes(b"half")
    assert remove(store, found(store, "o/r")) == 4
    assert not store.repo_folder("o/r").exists()


def test_a_file_from_a_url_goes_with_its_folder(store: Store) -> None:
    web = store.own / "files" / ("ab" * 32) / "x.gguf"
    web.parent.mkdir(parents=True)
    web.write_bytes(b"web")
    assert remove(store, found(store, "x.gguf")) == 3
    assert not web.parent.exists()
