"""Where fetched weights lie: the hub's own cache, which other tools share, and a folder of ours.

Owns: both places and what stands where in them.
Must not: fetch, remove or judge files.

| what | where |
|---|---|
| a file of a hub's repository | `HUB/models--OWNER--REPO/blobs/DIGEST` |
| the link to it | `HUB/models--OWNER--REPO/snapshots/COMMIT/PATH` |
| which commit a branch was | `HUB/models--OWNER--REPO/refs/BRANCH` |
| what has come of a file so far | beside the blob, with `.weighbridge` behind its name |
| a file from a URL | `OWN/files/SHA256/NAME` |
| which file a bare repository's name was pulled as | `OWN/picks/OWNER--REPO@REVISION` |
| the licence of what was pulled | `OWN/about/OWNER--REPO` |
| a licence that somebody has accepted | `OWN/licences/ID.json` |
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.weights.references import HubRepo, WebFile
from engines.weights.variants import SizedFile

PARTIAL = ".weighbridge"
_MODELS = "models--"


@dataclass(frozen=True, slots=True)
class Store:
    """The two folders; neither needs to be there."""

    hub: Path
    own: Path

    def repo_folder(self, repo: str) -> Path:
        """Return the cache's folder for a repository."""
        return self.hub / (_MODELS + repo.replace("/", "--"))

    def repos(self) -> Iterator[str]:
        """Yield the repositories of which anything is there."""
        for folder in sorted(folders_in(self.hub)):
            owner, found, name = folder.name.removeprefix(_MODELS).partition("--")
            if folder.name.startswith(_MODELS) and found and owner and name:
                yield f"{owner}/{name}"

    def snapshots(self, reference: HubRepo) -> list[Path]:
        """Return the folders of a repository's commits: that of the revision, then the newest.

        Another tool may have moved a branch on and fetched other files of it: those of an earlier
        commit still serve. A revision that is a commit means that one alone.
        """
        folder = self.repo_folder(reference.repo)
        by_name = {path.name: path for path in folders_in(folder / "snapshots")}
        if reference.revision in by_name:
            return [by_name[reference.revision]]
        commit = text_of(folder / "refs" / reference.revision)
        if commit is None:
            return []
        others = (path for name, path in by_name.items() if name != commit)
        return [
            *(path for name, path in by_name.items() if name == commit),
            *sorted(others, key=lambda path: -path.stat().st_mtime),
        ]

    def web_file(self, reference: WebFile) -> Path:
        """Return where the file of a URL is put."""
        return self.own / "files" / reference.sha256 / reference.name

    def pick(self, reference: HubRepo) -> str | None:
        """Return the file that a bare repository's name was pulled as."""
        return text_of(self.pick_note(reference))

    def pick_note(self, reference: HubRepo) -> Path:
        """Return where that is noted."""
        name = f"{reference.repo}@{reference.revision}".replace("/", "--")
        return self.own / "picks" / name

    def about_note(self, repo: str) -> Path:
        """Return where the licence of a repository is noted."""
        return self.own / "about" / repo.replace("/", "--")

    def licence_note(self, licence: str) -> Path:
        """Return where it is noted that somebody has accepted a licence."""
        return self.own / "licences" / f"{licence.replace('/', '--')}.json"


def store_of(environ: Mapping[str, str], own: Path) -> Store:
    """Return the store as the variables of the hub's own library say; `own` is our folder."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(name):
            return Store(_expanded(environ[name]), own)
    if environ.get("HF_HOME"):
        return Store(_expanded(environ["HF_HOME"]) / "hub", own)
    home = Path(environ.get("HOME") or Path.home())
    cache = environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Store(Path(cache) / "huggingface" / "hub", own)


def files_under(folder: Path) -> Iterator[SizedFile]:
    """Yield the files below a folder, links to files that are not there left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield SizedFile(path.relative_to(folder).as_posix(), path.stat().st_size)


def files_in(folder: Path) -> Iterator[SizedFile]:
    """Yield the files that lie in a folder itself."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield SizedFile(path.name, path.stat().st_size)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder; none where it is not there."""
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def text_of(path: Path) -> str | None:
    """Return what a short file says; None where it is not there or says nothing."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
