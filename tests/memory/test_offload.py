"""How many layers go onto GPUs: as many as fit, whatever is free."""

import argparse
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.demo import weights_path
from engines.llamacpp.offloading import layers, seen
from engines.memory import GgufSettings, layers_that_fit, need_of_gguf, shared_out
from engines.memory.offload import CONTEXT_BYTES
from engines.weights import describe

_SETTINGS = GgufSettings(cells=4_096, sequences=8)
_FREE = st.integers(0, 8 << 20).map(lambda size: CONTEXT_BYTES + size) | st.integers(0, 1 << 29)


def test_all_layers_go_where_there_is_room_and_none_where_there_is_none() -> None:
    parts = (describe(weights_path("qwen")),)
    assert layers_that_fit(parts, _SETTINGS, {"gpu0": 80 << 30}) == -1
    assert layers_that_fit(parts, _SETTINGS, {"gpu0": CONTEXT_BYTES}) == 0
    assert layers_that_fit(parts, _SETTINGS, {}) == 0


@given(st.lists(_FREE, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_no_gpu_is_given_more_than_is_free_of_it_and_one_layer_more_would_not_fit(
    sizes: list[int],
) -> None:
    parts = (describe(weights_path("qwen")),)
    free = {f"gpu{index}": size for index, size in enumerate(sizes)}
    count = layers_that_fit(parts, _SETTINGS, free)

    def fits(wanted: int) -> bool:
        placed = replace(shared_out(_SETTINGS, free), gpu_layers=wanted)
        need = need_of_gguf(parts, placed)
        return all(need.on(gpu) + CONTEXT_BYTES <= size for gpu, size in free.items())

    if count:
        assert fits(count)
    more = {-1: None, parts[0].number("block_count"): -1}.get(count, count + 1)
    assert more is None or not all(free.values()) or not fits(more)


@pytest.mark.parametrize(("text", "meant"), [("auto", "auto"), ("-1", -1), ("0", 0), ("24", 24)])
def test_layers_are_a_number_or_what_fits(text: str, meant: int | str) -> None:
    assert layers(text) == meant


@pytest.mark.parametrize("text", ["-2", "all", "", "1.5"])
def test_what_is_no_number_of_layers_is_refused_in_words(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="what fits"):
        layers(text)


def test_the_gpus_in_sight_are_read_from_the_environment() -> None:
    assert seen(None) is None
    assert seen("") == ()
    assert seen("1, GPU-aa") == (1, "GPU-aa")
