"""The estimate of a llama.cpp worker, beside what llama.cpp itself would make of the file."""

from dataclasses import replace
from pathlib import Path

import pytest

from engines.memory import GgufSettings, need_of_gguf
from engines.memory.caches import masked_cells
from engines.memory.need import RAM
from engines.memory.steps import step_bytes
from engines.weights import describe
from tests.support.laid_out import laid_out
from tools.families.toy_files import write_toy
from tools.families.toys import TOYS, Toy

_MIB = 1 << 20
_CELLS, _SEQUENCES = 8_192, 4
_SETTINGS = GgufSettings(cells=_CELLS, sequences=_SEQUENCES, instructions=frozenset({"avx2"}))
_KNOWN = tuple(toy for toy in TOYS if toy.name != "mllama")  # of which llama.cpp knows nothing


@pytest.mark.parametrize("toy", _KNOWN, ids=lambda toy: toy.name)
def test_each_architecture_keeps_of_tokens_what_is_reckoned(toy: Toy, tmp_path: Path) -> None:
    path = write_toy(toy, tmp_path / "toy.gguf")
    need = need_of_gguf((describe(path),), _SETTINGS)
    asked = laid_out(path, cells=_CELLS, sequences=_SEQUENCES)
    assert need.of("kv_cache") == pytest.approx(asked.caches, abs=0.02 * _MIB)


@pytest.mark.parametrize("toy", _KNOWN, ids=lambda toy: toy.name)
def test_a_step_takes_what_is_reckoned(toy: Toy, tmp_path: Path) -> None:
    path = write_toy(toy, tmp_path / "toy.gguf")
    asked = laid_out(path, cells=_CELLS, sequences=_SEQUENCES)
    described = describe(path)
    cells = masked_cells(described, _CELLS, _SEQUENCES, 512)
    assert step_bytes((described,), cells, 512) == pytest.approx(asked.step, rel=0.15)


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
def test_cells_in_fewer_bits_take_less(kv_type: str, tmp_path: Path) -> None:
    toy = replace(next(toy for toy in TOYS if toy.name == "qwen3"), head=32)
    path = write_toy(toy, tmp_path / "toy.gguf")
    need = need_of_gguf((describe(path),), replace(_SETTINGS, kv_type=kv_type))
    asked = laid_out(path, cells=_CELLS, sequences=_SEQUENCES, kv_type=kv_type)
    assert need.of("kv_cache") == pytest.approx(asked.caches, abs=0.02 * _MIB)


def test_what_is_put_on_a_gpu_is_not_in_ram(tmp_path: Path) -> None:
    path = write_toy(_KNOWN[0], tmp_path / "toy.gguf")
    whole = need_of_gguf((describe(path),), _SETTINGS)
    put = need_of_gguf((describe(path),), replace(_SETTINGS, gpu_layers=-1, gpus=("gpu0",)))
    assert put.on("gpu0") > 0
    assert put.on(RAM) < whole.on(RAM)
    weights = whole.of("weights") - put.of("weights")
    assert abs(weights) < 0.01 * _MIB
    assert put.of("kv_cache") == whole.of("kv_cache")
