"""Fetches llama.cpp's own vocabularies and chat templates, to test families and count tokens.

    python -m tools.families.fetch_sdist

They come in the sdist of llama-cpp-python and are kept in the user's cache folder; nothing of them
is ours to commit.

Owns: which files are wanted, and where they lie.
Must not: read them.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tools.families.kin import KIN
from tools.setup.llamacpp_wheel import NAME, cache_folder, one_at_a_time, version_wanted
from tools.token_counts.table import FAMILIES

VARIABLE = "WEIGHBRIDGE_LLAMACPP_SDIST"
MODELS = Path("vendor", "llama.cpp", "models")


def place(environ: Mapping[str, str], system: str) -> Path:
    """Return where the files lie, or will: an unpacked sdist that is named, else in the cache."""
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE]) / MODELS
    return cache_folder(dict(environ), system).parent / "sdist" / version_wanted() / MODELS


def is_wanted(name: str) -> bool:
    """Say whether a file of `vendor/llama.cpp/models` is needed."""
    stems = {f"ggml-vocab-{vocabulary}.gguf" for vocabulary in _vocabularies()}
    return name.endswith(".jinja") or name.removesuffix(".inp").removesuffix(".out") in stems


def is_whole(models: Path) -> bool:
    """Say whether all vocabularies are there: an older copy may lack some."""
    return all((models / f"ggml-vocab-{name}.gguf").is_file() for name in _vocabularies())


def _vocabularies() -> set[str]:
    return {name for kin in KIN for name in kin.vocabularies} | set(FAMILIES)


def unpack(sdist: Path, folder: Path) -> None:
    """Unpack what is wanted; `folder` is there whole, or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as work,
        tarfile.open(sdist) as archive,
    ):
        for member in archive:
            parts = PurePosixPath(member.name).parts
            ours = parts[1:4] == MODELS.parts and ".." not in parts
            if ours and member.isfile() and is_wanted(parts[-1]):
                target = Path(work, "whole", *parts[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                target.write_bytes(content.read() if content else b"")
        shutil.rmtree(folder, ignore_errors=True)
        Path(work, "whole").replace(folder)


def download(folder: Path) -> Path:
    """Let pip fetch the sdist, and return it.

    Raises:
        SystemExit: pip failed; what it said is shown.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-binary", NAME]
    command += ["--dest", str(folder), f"{NAME}=={version_wanted()}"]
    ended = subprocess.run(command, check=False)
    found = next(iter(folder.glob("*.tar.gz")), None)
    if ended.returncode != 0 or found is None:
        raise SystemExit(f"the sdist of {NAME} could not be fetched")
    return found


def main() -> None:
    """Make sure that the files are there, and say where."""
    models = place(os.environ, platform.system())
    root = models.parents[len(MODELS.parts) - 1]
    if not is_whole(models) and not os.environ.get(VARIABLE):
        with one_at_a_time(root.parent), tempfile.TemporaryDirectory() as work:
            if not is_whole(models):
                unpack(download(Path(work)), root)
    print(models)


if __name__ == "__main__":
    main()
