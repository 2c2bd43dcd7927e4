"""Every architecture of the catalogue runs in our engine, as a toy in its real layout."""

from pathlib import Path

import gguf
import pytest

from engines.families import load_catalogue
from engines.llamacpp.complaints import LoadFailed
from tools.families.kin import KIN, NOT_LOADED
from tools.families.proof import NotProved, prove
from tools.families.toy_files import write_toy
from tools.families.toy_tensors import tensors_of
from tools.families.toys import TOYS, Toy
from tools.families.trying import try_toy

# What llama.cpp cannot share between sequences: their windows slide.
WHOLE = {"llama-4", "gemma2", "gemma3"}
RUN = [toy for toy in TOYS if toy.architecture not in NOT_LOADED]


def known(toy: Toy) -> set[str]:
    """Return the tensors that the makers of the format list for an architecture."""
    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == toy.architecture)
    layers = range(toy.layers)
    names = (gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[arch])
    return {name.format(bid=layer) for name in names for layer in layers}


@pytest.mark.parametrize("toy", RUN, ids=lambda toy: toy.name)
def test_a_toy_has_only_tensors_of_its_architecture(toy: Toy) -> None:
    assert {name.rpartition(".")[0] for name in tensors_of(toy)} <= known(toy)


@pytest.mark.parametrize("toy", RUN, ids=lambda toy: toy.name)
async def test_it_loads_batches_reuses_what_it_has_read_and_is_freed(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proof = await try_toy(toy, tmp_path)
    assert proof.cuts is (toy.name not in WHOLE)
    assert ("its attention window slides" in caplog.text) is not proof.cuts


@pytest.mark.parametrize("architecture", NOT_LOADED)
async def test_what_llama_cpp_does_not_know_is_named(architecture: str, tmp_path: Path) -> None:
    toy = next(toy for toy in TOYS if toy.architecture == architecture)
    with pytest.raises(LoadFailed, match=NOT_LOADED[architecture]):
        await try_toy(toy, tmp_path)


async def test_a_model_that_does_not_look_back_is_not_proved(tmp_path: Path) -> None:
    path = write_toy(TOYS[0], tmp_path / "toy.gguf")
    reader = gguf.GGUFReader(path, "r+")
    for tensor in reader.tensors:
        if "attn_output" in tensor.name:
            tensor.data[:] = 0
    reader.data.flush()
    with pytest.raises(NotProved, match="it does not look back"):
        await prove(path)


def test_the_same_toy_is_the_same_file(tmp_path: Path) -> None:
    first, second = (write_toy(TOYS[0], tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_each_family_of_the_catalogue_has_a_toy_of_its_architecture() -> None:
    architectures = {toy.name: toy.architecture for toy in TOYS}
    ours = {(kin.family, architectures[kin.toy]) for kin in KIN}
    entries = [entry for entry in load_catalogue().entries if entry.family != "demo"]
    theirs = {(entry.family, entry.architecture) for entry in entries if entry.architecture}
    assert theirs - ours == set()
    assert {toy.name for toy in TOYS} == {kin.toy for kin in KIN}
