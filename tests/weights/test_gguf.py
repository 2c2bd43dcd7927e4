"""Headers of GGUF files: read when whole, refused in one line when anything is wrong."""

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.weights import WeightsProblem, read_header
from tests.support.gguf_files import (
    ARRAY,
    FLOAT32,
    STRING,
    UINT8,
    UINT64,
    GgufFile,
    array,
    entry,
    flag,
    number,
    string,
    tensor,
    text,
)

ARCHITECTURE = string("general.architecture", "qwen2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def written(folder: Path, data: bytes) -> Path:
    path = folder / "toy.gguf"
    path.write_bytes(data)
    return path


def problem(folder: Path, data: bytes) -> str:
    with pytest.raises(WeightsProblem) as caught:
        read_header(written(folder, data))
    message = str(caught.value)
    assert message.startswith("toy.gguf ")
    assert "\n" not in message
    assert str(folder) not in message
    return message


@pytest.mark.parametrize("version", [2, 3])
def test_a_whole_file_says_what_it_is(folder: Path, version: int) -> None:
    header = read_header(written(folder, GgufFile(version=version).bytes()))
    assert header.architecture == "qwen2"
    assert header.name == "toy"
    assert header.context_length == 2048
    assert header.parameters == 17
    assert header.embeddings is True
    assert header.has_chat_template


def test_what_a_file_does_not_say_is_none(folder: Path) -> None:
    file = GgufFile(fields=[ARCHITECTURE], tensors=[], data=b"")
    header = read_header(written(folder, file.bytes()))
    assert (header.name, header.context_length, header.embeddings) == (None, None, None)
    assert header.parameters == 0
    assert not header.has_chat_template


@pytest.mark.parametrize(
    "odd",
    [
        flag("qwen2.context_length", True),
        number("qwen2.context_length", 0),
        string("qwen2.context_length", "2048"),
        entry("qwen2.context_length", FLOAT32, struct.pack("<f", 2048)),
    ],
)
def test_a_context_that_is_no_length_is_not_believed(folder: Path, odd: bytes) -> None:
    file = GgufFile(fields=[ARCHITECTURE, odd], tensors=[], data=b"")
    assert read_header(written(folder, file.bytes())).context_length is None


def test_a_file_cut_at_any_byte_of_its_header_is_truncated(folder: Path) -> None:
    whole = GgufFile().header()
    for size in range(len(whole)):
        message = problem(folder, whole[:size])
        assert "truncated" in message or size < 4


def test_a_file_cut_before_its_last_tensor_is_truncated(folder: Path) -> None:
    whole = GgufFile().bytes()
    for missing in (32, 40, 64, 96):
        assert "tensors are not all there" in problem(folder, whole[:-missing])


def test_another_alignment_moves_the_tensors(folder: Path) -> None:
    aligned = [ARCHITECTURE, number("general.alignment", 4096)]
    file = GgufFile(fields=aligned, tensors=[tensor("a", (1,), 0)], data=b"")
    header = file.header()
    assert "not all there" in problem(folder, header + bytes(4096 - len(header)))
    read_header(written(folder, header + bytes(4097 - len(header))))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (GgufFile(magic=b"PK\x03\x04"), "is not a GGUF file"),
        (GgufFile(magic=b"ggml"), "is not a GGUF file"),
        (GgufFile(version=1), "of version 1; 2 and 3 are read"),
        (GgufFile(version=4), "of version 4; 2 and 3 are read"),
        (GgufFile(version=0), "of version 0; 2 and 3 are read"),
        (GgufFile(version=3 << 24), "big-endian"),
        (GgufFile(counts=(2**40, 1)), "impossible number"),
        (GgufFile(counts=(1, 2**63)), "impossible number"),
        (GgufFile(counts=(2, 900_000)), "unknown type|truncated|impossible"),
        (GgufFile(fields=[text(b"x" * 9)[:8] + b"x"]), "truncated|unknown type"),
        (GgufFile(fields=[struct.pack("<Q", 2**62)]), "text of impossible length"),
        (GgufFile(fields=[struct.pack("<Q", 15 * 1024 * 1024)]), "truncated"),
        (GgufFile(fields=[entry("k", 13, b"")]), "unknown type 13"),
        (GgufFile(fields=[array("k", ARRAY, 1, bytes(12))]), "array of unknown type 9"),
        (GgufFile(fields=[array("k", 99, 1, b"")]), "array of unknown type 99"),
        (GgufFile(fields=[array("k", STRING, 2**60, b"")]), "array of impossible length"),
        (GgufFile(fields=[array("k", UINT8, 2**60, b"")]), "truncated"),
        (GgufFile(fields=[array("k", UINT64, 2**64 - 1, b"")]), "truncated"),
        (GgufFile(fields=[string("general.name", "x")]), "which architecture"),
        (GgufFile(fields=[number("general.architecture", 3)]), "which architecture"),
        (GgufFile(tensors=[tensor("a", (1,) * 5, 0)]), "impossible shape"),
        (GgufFile(tensors=[tensor("a", (2**62, 2**62), 0)]), "impossible shape"),
        (GgufFile(tensors=[tensor("a", (4,), 2**63)]), "not all there"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(folder: Path, file: GgufFile, words: str) -> None:
    message = problem(folder, file.bytes())
    assert any(word in message for word in words.split("|")), message


def test_an_empty_file_a_folder_and_none_at_all_are_told_apart(folder: Path) -> None:
    assert "truncated" in problem(folder, b"")
    with pytest.raises(WeightsProblem, match="cannot be read: Is a directory"):
        read_header(folder)
    with pytest.raises(WeightsProblem, match=r"no\.gguf cannot be read: No such file"):
        read_header(folder / "no.gguf")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_after_the_magic_are_a_problem_or_a_header(folder: Path, data: bytes) -> None:
    _problem_or_header(folder, b"GGUF\x03\x00\x00\x00" + data)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_file_with_wrong_bytes_is_a_problem_or_a_header(
    folder: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(GgufFile().bytes())
    for at, value in changes:
        data[at % len(data)] = value
    _problem_or_header(folder, bytes(data))


@pytest.mark.parametrize("claim", [16 * 1024 * 1024, 2**40, 2**63, 2**64 - 1])
def test_no_memory_is_taken_for_what_is_not_there(folder: Path, claim: int) -> None:
    path = written(folder, b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, claim))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsProblem):
            read_header(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def _problem_or_header(folder: Path, data: bytes) -> None:
    try:
        header = read_header(written(folder, data))
    except WeightsProblem:
        return
    assert isinstance(header.architecture, str)
    assert header.parameters is not None
    assert header.parameters >= 0
