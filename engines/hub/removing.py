"""Taking weights out of the store again.

Owns: which bytes nobody needs any more: those that another commit or another name still links to
are kept.
Must not: decide whether anybody serves them.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from engines.weights.pulled import Pulled
from engines.weights.references import HubRepo
from engines.weights.store import PARTIAL, Store, folders_in


def remove(store: Store, pulled: Pulled) -> int:
    """Remove a model, in all commits of its repository; return how many bytes are free now.

    Blobs of the hub's library that several repositories share go with its own `hf cache prune`.

    Raises:
        OSError: a file cannot be removed.
    """
    if not pulled.repo or pulled.format == "partly":
        freed = sum(path.stat().st_size for path in pulled.files)
        _unlink(pulled.files)
        _drop_if_empty(store, pulled)
        return freed
    folder = store.repo_folder(pulled.repo)
    links = list(_same_in_all(folder, pulled.files))
    blobs = {link.resolve() for link in links if link.is_symlink()}
    freed = sum(link.stat().st_size for link in links if not link.is_symlink())
    _unlink(links)
    kept = {link.resolve() for link in _links(folder)}
    for blob in filter(Path.exists, blobs - kept):  # a link may lead nowhere any more
        freed += blob.stat().st_size
        _unlink((blob, blob.with_name(blob.name + PARTIAL)))
    store.pick_note(HubRepo(pulled.repo)).unlink(missing_ok=True)
    _drop_if_empty(store, pulled)
    return freed


def _same_in_all(folder: Path, files: Iterable[Path]) -> Iterator[Path]:
    """Yield the links under which these files stand in every commit."""
    names = {str(path).removeprefix(f"{folder}/snapshots/").partition("/")[2] for path in files}
    for snapshot in folders_in(folder / "snapshots"):
        for name in names:
            if (snapshot / name).is_symlink() or (snapshot / name).is_file():
                yield snapshot / name


def _links(folder: Path) -> Iterator[Path]:
    for path in (folder / "snapshots").rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _drop_if_empty(store: Store, pulled: Pulled) -> None:
    """Remove folders that hold nothing any more; of a repository also what leads to its commits."""
    folder = store.repo_folder(pulled.repo) if pulled.repo else pulled.files[0].parent
    if pulled.repo and not any(_links(folder)):
        _unlink(path for path in (folder / "refs").rglob("*") if path.is_file())
        _unlink(path for path in (folder / ".no_exist").rglob("*") if path.is_file())
    below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in (*below, folder):
        with contextlib.suppress(OSError):  # it holds something
            path.rmdir()
