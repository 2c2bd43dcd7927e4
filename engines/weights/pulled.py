"""What lies in the store: whole models, and what has come of others.

Owns: which entries of the store are one model. Must not: change the store.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from engines.weights.formats import weights_in, weights_of
from engines.weights.problems import WeightsProblem
from engines.weights.references import MAIN
from engines.weights.store import PARTIAL, Store, files_in, files_under, folders_in, text_of
from engines.weights.variants import MMPROJ, SizedFile, Variant, names_projector, variants_in

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model of the store, or what its `format` says.

    A "projector" is what a model sees images with, "partly" what has come of files of a repository.
    `weights` is what a file of ours names it by. `files` are what engines open: in the hub's cache
    links to the bytes. `repo` is "" for a file from a URL.
    """

    weights: str
    repo: str
    format: Literal["gguf", "safetensors", "projector", "partly"]
    quantisation: str
    files: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """What the files take on the disk."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def last_used_s(self) -> float:
        """When a file was last read, in seconds since 1970: by the day on most disks."""
        return max(path.stat().st_atime for path in self.files)


def pulled_in(store: Store) -> Iterator[Pulled]:
    """Yield what is there, by name."""
    for repo in store.repos():
        yield from _of_repo(store, repo)
    for folder in sorted(folders_in(store.own / "files")):
        if _SHA256.fullmatch(folder.name):
            yield from _from_web(folder)


def _of_repo(store: Store, repo: str) -> Iterator[Pulled]:
    folder = store.repo_folder(repo)
    seen: set[tuple[str, str]] = set()
    for snapshot in _newest_first(folder):
        for found in _models_of(snapshot, repo, _named(folder, snapshot)):
            key = (found.format, found.weights.partition(":")[2])
            if key not in seen:
                seen.add(key)
                yield found
    partial = tuple(sorted((folder / "blobs").glob(f"*{PARTIAL}")))
    if partial:
        yield Pulled(repo, repo, "partly", "", partial)


def _models_of(snapshot: Path, repo: str, named: str) -> Iterator[Pulled]:
    files = list(files_under(snapshot))
    variants = [variant for variant in variants_in(files) if not variant.missing]
    counts = [variant.quantisation for variant in variants]
    for variant in variants:
        quantisation = variant.quantisation
        pick = quantisation if quantisation and counts.count(quantisation) == 1 else variant.first
        found = weights_of(snapshot, variant, repo)
        yield Pulled(f"{named}:{pick}", repo, "gguf", quantisation, found.files)
    for eyes in variants_in(files, MMPROJ):
        if not eyes.missing:
            paths = tuple(snapshot / file.path for file in eyes.files)
            stem = PurePosixPath(eyes.first).stem
            yield Pulled(f"{named}:{stem}", repo, "projector", eyes.quantisation, paths)
    if not variants:
        yield from _safetensors(snapshot, files, repo, named)


def _safetensors(snapshot: Path, files: list[SizedFile], repo: str, named: str) -> Iterator[Pulled]:
    try:
        found = weights_in(snapshot, files, None, repo)
    except WeightsProblem:
        return  # a tokenizer or a configuration alone, or weights that are not whole
    every = tuple(snapshot / file.path for file in files)
    yield Pulled(named, repo, found.format, "", every)


def _from_web(folder: Path) -> Iterator[Pulled]:
    for file in files_in(folder):
        path = folder / file.path
        if path.name.endswith(PARTIAL):
            yield Pulled(path.name.removesuffix(PARTIAL), "", "partly", "", (path,))
        else:
            format_: Literal["gguf", "projector"] = (
                "projector" if names_projector(path.name) else "gguf"
            )
            yield Pulled(path.name, "", format_, _quantisation(file), (path,))


def _quantisation(file: SizedFile) -> str:
    variants: Iterable[Variant] = variants_in([file], file.path)
    return next((variant.quantisation for variant in variants), "")


def _newest_first(folder: Path) -> list[Path]:
    """Return the snapshots, that of `main` first."""
    main = text_of(folder / "refs" / MAIN)
    found = folders_in(folder / "snapshots")
    return sorted(found, key=lambda path: (path.name != main, -path.stat().st_mtime))


def _named(folder: Path, snapshot: Path) -> str:
    """Return the repository's name with what leads to this snapshot: a branch, else the commit."""
    owner, _, name = folder.name.partition("--")[2].partition("--")
    repo = f"{owner}/{name}"
    refs = folder / "refs"
    branches = [file.path for file in files_under(refs)] if refs.is_dir() else []
    leading = [branch for branch in branches if text_of(refs / branch) == snapshot.name]
    if MAIN in leading or (MAIN in branches and not leading):
        return repo  # files of an earlier commit of main serve under its name
    return f"{repo}@{leading[0] if leading else snapshot.name}"
