"""What is taken of the sdist of llama-cpp-python, and where it lies. Nothing is fetched."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools.families import fetch_sdist as fetch
from tools.families.kin import KIN
from tools.token_counts.table import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
MODELS = "llama_cpp_python-0.3.36/vendor/llama.cpp/models"


def sdist(folder: Path, *names: str) -> Path:
    path = folder / "llama_cpp_python-0.3.36.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        ({"HOME": "/h"}, "Linux", "/h/.cache/weighbridge/sdist/"),
        ({"HOME": "/h"}, "Darwin", "/h/Library/Caches/weighbridge/sdist/"),
        ({"HOME": "/h", "WEIGHBRIDGE_CACHE": "/c"}, "Linux", "/c/sdist/"),
        ({"HOME": "/h", fetch.VARIABLE: "/unpacked"}, "Linux", "/unpacked/"),
    ],
)
def test_it_lies_in_the_cache_or_where_it_is_said_to(
    environ: dict[str, str], system: str, expected: str
) -> None:
    place = str(fetch.place(environ, system))
    assert place.startswith(expected)
    assert place.endswith("/vendor/llama.cpp/models")


def test_only_vocabularies_of_the_families_and_templates_are_unpacked(tmp_path: Path) -> None:
    names = {
        f"{MODELS}/ggml-vocab-qwen2.gguf",
        f"{MODELS}/ggml-vocab-qwen2.gguf.inp",
        f"{MODELS}/templates/a.jinja",
    }
    others = {
        f"{MODELS}/ggml-vocab-gpt-2.gguf",
        f"{MODELS}/../models/../../../../outside.jinja",
        "llama_cpp_python-0.3.36/a.jinja",
    }
    fetch.unpack(sdist(tmp_path, *names, *others), tmp_path / "kept")
    found = {path for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    root = MODELS.partition("/")[0]
    assert found == {tmp_path / "kept" / Path(name).relative_to(root) for name in names}
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "llama_cpp_python-0.3.36.tar.gz"}


def test_an_archive_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    path = sdist(tmp_path, *(f"{MODELS}/templates/{n}.jinja" for n in range(2_000)))
    path.write_bytes(path.read_bytes()[:-2_000])
    with pytest.raises((EOFError, tarfile.ReadError)):
        fetch.unpack(path, tmp_path / "kept")
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    models = tmp_path / fetch.MODELS
    models.mkdir(parents=True)
    command = [sys.executable, "-m", "tools.families.fetch_sdist"]
    environ = {**os.environ, fetch.VARIABLE: str(tmp_path), "PATH": ""}
    said = subprocess.check_output(command, cwd=ROOT, env=environ, text=True)
    assert said == f"{models}\n"


def test_a_copy_that_lacks_a_vocabulary_is_not_whole(tmp_path: Path) -> None:
    """An older version of this repository needed fewer of them."""
    names = {name for kin in KIN for name in kin.vocabularies} | set(FAMILIES)
    for name in names:
        assert not fetch.is_whole(tmp_path)
        (tmp_path / f"ggml-vocab-{name}.gguf").touch()
    assert fetch.is_whole(tmp_path)


def test_a_new_copy_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "older.gguf").touch()
    fetch.unpack(sdist(tmp_path, f"{MODELS}/templates/a.jinja"), kept)
    assert [path.name for path in kept.rglob("*") if path.is_file()] == ["a.jinja"]
