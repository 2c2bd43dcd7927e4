"""Which sources libmtmd is made of, and where it is kept. Nothing is fetched or compiled."""

import io
import tarfile
from pathlib import Path

import pytest

from tools.setup import mtmd
from tools.setup.llamacpp_wheel import version_wanted

ROOT = "llama_cpp_python-0.3.36/vendor/llama.cpp"
COMPILER = """#!/bin/sh
for last; do :; done
case "$*" in *-shared*) echo linked "$*" >> {calls} ;; *) echo compiled >> {calls} ;; esac
while [ "$1" != -o ]; do shift; done
echo made > "$2"
"""
SOURCES = ("tools/mtmd/clip.cpp", "tools/mtmd/mtmd.cpp", "tools/mtmd/models/siglip.cpp")
HASHES = tuple(f"vendor/hash/{name}" for name in mtmd._HASHES)
OTHERS = ("tools/mtmd/mtmd-cli.cpp", "tools/mtmd/deprecation-warning.cpp", "src/llama.cpp")


def sdist(folder: Path) -> Path:
    path = folder / "llama_cpp_python-0.3.36.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*SOURCES, *HASHES, *OTHERS):
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"code"))
    return path


def test_the_library_is_linked_from_what_was_compiled_and_is_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, compiler = tmp_path / "calls", tmp_path / "cxx"
    compiler.write_text(COMPILER.format(calls=calls), encoding="utf-8")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(mtmd, "download", sdist)
    mtmd.build(tmp_path / mtmd.LIBRARY)
    said = calls.read_text(encoding="utf-8").splitlines()
    assert len([line for line in said if line == "compiled"]) == len(SOURCES) + len(HASHES)
    (linked,) = [line for line in said if line.startswith("linked")]
    assert "-lllama" in linked
    assert all(f"{Path(name).stem}.o" in linked for name in (*SOURCES, *HASHES))
    assert not any(f"{Path(name).stem}.o" in linked for name in OTHERS[:2])
    assert (tmp_path / mtmd.LIBRARY).read_text(encoding="utf-8") == "made\n"
    assert {one.name for one in tmp_path.iterdir()} == {"calls", "cxx", mtmd.LIBRARY}


def test_what_a_compiler_says_is_shown_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cxx"
    compiler.write_text("#!/bin/sh\necho no such header >&2\nexit 1\n", encoding="utf-8")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(mtmd, "download", sdist)
    with pytest.raises(SystemExit, match="no such header"):
        mtmd.build(tmp_path / mtmd.LIBRARY)
    assert {one.name for one in tmp_path.iterdir()} == {"cxx"}


def test_it_is_kept_in_the_cache_by_version_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", "/kept")
    place = mtmd.place()
    assert place.parent == Path("/kept/mtmd")
    assert place.name.startswith(version_wanted())
