"""From a `weights:` value to files of this machine.

Owns: `demo:` names, relative paths, what of a hub or a URL has been fetched, and the words for
what names no file. Nothing is asked of any network.
Must not: read the files.
"""

import importlib
import os
from pathlib import Path

from engines.platform import cache_folder
from engines.weights.formats import Weights, weights_in, weights_of
from engines.weights.problems import NotPulled, SeveralModels, WeightsProblem
from engines.weights.references import Demo, HubRepo, Local, WebFile, read_reference
from engines.weights.store import Store, files_in, files_under, store_of
from engines.weights.variants import SizedFile, picked, variants_in


def resolve(weights: str, base: Path) -> Path:
    """Return the GGUF file that `weights` means; relative paths start at `base`.

    Messages name the value as it was written, never the folder: clients may see them.

    Raises:
        NotPulled: it has to be fetched first.
        WeightsProblem: no such demo model, file or folder; or no GGUF.
    """
    found = locate(weights, base)
    if found.format != "gguf":
        raise WeightsProblem(
            f"{weights!r} is a safetensors model, which vLLM serves; llama.cpp wants a GGUF file"
        )
    return found.path


def locate(weights: str, base: Path, store: Store | None = None) -> Weights:
    """Return the files that `weights` means, GGUF or safetensors; else as `resolve`.

    Without a `store` it is the one that the environment names.
    """
    reference = read_reference(weights)
    if isinstance(reference, Demo):
        return _one_file(_demo(reference.name))
    if isinstance(reference, WebFile):
        return _from_web(reference, store or this_store())
    local = _locally(weights, base)
    if local is not None:
        return local
    if isinstance(reference, HubRepo):
        return _from_hub(reference, weights, store or this_store())
    raise WeightsProblem(_why_not(weights))


def this_store() -> Store:
    """Return the store of this process's environment."""
    return store_of(os.environ, cache_folder(os.environ) / "weights")


def is_local(weights: str, base: Path) -> bool:
    """Say whether a value means files that nobody fetches: a toy, or a path that is one.

    Raises:
        WeightsProblem: as for `read_reference`.
    """
    reference = read_reference(weights)
    if isinstance(reference, HubRepo):
        return _path(weights, base).exists()
    return isinstance(reference, Demo | Local)


def _demo(name: str) -> Path:
    demo = importlib.import_module("engines.demo")  # only who asks for a demo pays for it
    try:
        path: Path = demo.weights_path(name)
    except demo.UnknownDemo as error:
        raise WeightsProblem(str(error)) from None
    return path


def _locally(weights: str, base: Path) -> Weights | None:
    """Return what lies at a path; None where nothing does."""
    try:
        path = _path(weights, base)
        if weights and path.is_file():
            return _with_parts(path)
        if weights and path.is_dir():
            return weights_in(path, files_in(path), None, f"the folder {weights!r}")
    except OSError as error:
        raise WeightsProblem(f"{weights!r} cannot be looked at: {error.strerror}") from None
    return None


def _path(weights: str, base: Path) -> Path:
    try:
        return base / Path(weights).expanduser()
    except RuntimeError:  # from expanduser
        raise WeightsProblem(f"there is no user as {weights!r} names one") from None


def _one_file(path: Path) -> Weights:
    return Weights(path, "gguf", (path,))


def _with_parts(path: Path) -> Weights:
    """Return a file with the parts beside it that it is the first of."""
    alone = variants_in([SizedFile(path.name, 0)])
    if not alone or alone[0].expected_parts == 1:
        return _one_file(path)
    variant = picked(variants_in(files_in(path.parent)), path.name, "its folder")
    whole = weights_of(path.parent, variant, repr(path.name))
    if whole.path.name != path.name:
        raise WeightsProblem(f"{path.name!r} is not the first part; name {whole.path.name!r}")
    return whole


def _from_web(reference: WebFile, store: Store) -> Weights:
    path = store.web_file(reference)
    if path.is_file():
        return _one_file(path)
    # Not the URL: there may be a secret in it.
    raise NotPulled(f"{reference.name!r} has not been fetched yet: run `weighbridge pull`")


def _from_hub(reference: HubRepo, weights: str, store: Store) -> Weights:
    pick = reference.pick or store.pick(reference)
    for folder in store.snapshots(reference):
        try:
            return weights_in(folder, files_under(folder), pick, repr(weights))
        except SeveralModels:
            raise
        except WeightsProblem:
            continue  # an earlier commit may have it
    raise NotPulled(
        f"{weights!r} is not a file here and has not been fetched from a model hub yet: run "
        f"`weighbridge pull {reference}`"
    )


def _why_not(weights: str) -> str:
    if not weights:
        return (
            "no weights are given; write the path of a GGUF file or OWNER/REPO:QUANTISATION of a "
            "model hub"
        )
    return f"there is no file {weights!r}; relative paths start at the configuration file"
