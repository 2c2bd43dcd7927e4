"""The hub's cache as its own library leaves it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from engines.weights.store import Store

COMMIT = "c" * 40


def cached(store: Store, repo: str, files: Mapping[str, bytes], commit: str = COMMIT) -> Path:
    """Put files into the cache as what `main` is; return the folder of their commit."""
    folder = store.repo_folder(repo)
    snapshot = folder / "snapshots" / commit
    for name, data in files.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        link = snapshot / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link.symlink_to(blob)
    ref = folder / "refs" / "main"
    ref.parent.mkdir(exist_ok=True)
    ref.write_text(commit, encoding="utf-8")
    return snapshot
