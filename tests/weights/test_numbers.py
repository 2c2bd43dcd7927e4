"""Numbers in a header on which llama.cpp would abort are refused by their key; real ones pass."""

import struct
from pathlib import Path

import pytest

from engines.weights import WeightsProblem, read_header
from tests.support.gguf_files import FLOAT32, INT32, GgufFile, array, entry, number, string, tensor

USUAL = {
    "block_count": 2,
    "embedding_length": 128,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "rope.dimension_count": 32,
}


def fraction(key: str, value: float) -> bytes:
    return entry(key, FLOAT32, struct.pack("<f", value))


def told(tmp_path: Path, numbers: dict[str, int], *more: bytes) -> str:
    """Return what is said against a file with these numbers, nothing when it is read."""
    fields = [string("general.architecture", "qwen2"), *more]
    fields += [number(f"qwen2.{key}", value) for key, value in numbers.items()]
    path = tmp_path / "toy.gguf"
    path.write_bytes(GgufFile(fields=fields).bytes())
    try:
        read_header(path)
    except WeightsProblem as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"block_count": 0}, "block_count is 0"),
        ({"block_count": 3}, "block_count is 3, and has 2 tensors for them"),
        ({"block_count": 2**32 - 1}, "block_count is 4294967295, and has 2 tensors for them"),
        ({"expert_count": 8}, "expert_count is 8, of which none is used"),
        ({"expert_used_count": 2}, "expert_used_count is 2, of 0 experts"),
        ({"expert_count": 8, "expert_used_count": 9}, "expert_used_count is 9, of 8 experts"),
        ({"attention.key_length": 0}, "attention.key_length is 0, which must be 1 or more"),
        ({"attention.value_length": 0}, "attention.value_length is 0, which must be 1 or more"),
        ({"rope.dimension_count": 64}, "rope.dimension_count is 64, more than the 32 of a head"),
        (
            {"attention.key_length": 16},
            "rope.dimension_count is 32, more than the 16 of a head",
        ),
    ],
)
def test_an_absurd_number_is_refused_by_its_key(
    tmp_path: Path, numbers: dict[str, int], said: str
) -> None:
    assert told(tmp_path, USUAL | numbers) == f"toy.gguf says that qwen2.{said}"


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_an_epsilon_must_be_a_number(tmp_path: Path, value: float) -> None:
    key = "qwen2.attention.layer_norm_rms_epsilon"
    said = f"toy.gguf says that {key} is {value}, which must be a number of 0 or more"
    assert told(tmp_path, USUAL, fraction(key, value)) == said


@pytest.mark.parametrize(
    "numbers",
    [
        USUAL,
        {},
        USUAL | {"expert_count": 8, "expert_used_count": 2},
        USUAL | {"attention.key_length": 192, "rope.dimension_count": 64},
        USUAL | {"attention.head_count": 0},  # models without attention
    ],
)
def test_numbers_of_real_models_pass(tmp_path: Path, numbers: dict[str, int]) -> None:
    assert told(tmp_path, numbers, fraction("qwen2.attention.layer_norm_epsilon", 1e-5)) == ""


def test_heads_may_be_told_for_each_layer(tmp_path: Path) -> None:
    heads = array("qwen2.attention.head_count", INT32, 2, struct.pack("<2i", 4, 0))
    numbers = {key: value for key, value in USUAL.items() if key != "attention.head_count"}
    assert told(tmp_path, numbers, heads) == ""


def test_the_first_of_several_files_may_have_few_tensors(tmp_path: Path) -> None:
    fields = [string("general.architecture", "qwen2"), number("qwen2.block_count", 80)]
    for parts, fine in ((2, True), (1, False)):
        path = tmp_path / f"{parts}.gguf"
        file = GgufFile([*fields, number("split.count", parts)], [tensor("a", (1,), 0)])
        path.write_bytes(file.bytes())
        if fine:
            assert read_header(path).parameters is None
        else:
            with pytest.raises(WeightsProblem, match="block_count is 80"):
                read_header(path)
