"""From a `weights:` value to a file.

Owns: `demo:` names, relative paths, and the words for what names no file.
Must not: read the file.
"""

import importlib
import re
from pathlib import Path

_DEMO = "demo:"
_HUB = re.compile(r"^\w[\w.-]*/[\w.-]+(?::[\w.-]+)?$")


class WeightsProblem(ValueError):
    """The value names no file that can be used; the message says why and how to mend it."""


def resolve(weights: str, base: Path) -> Path:
    """Return the file that `weights` means; relative paths start at `base`.

    Messages name the value as it was written, never the folder: clients may see them.

    Raises:
        WeightsProblem: no such demo model or file.
    """
    if weights.startswith(_DEMO):
        demo = importlib.import_module("engines.demo")  # only who asks for a demo pays for it
        try:
            path: Path = demo.weights_path(weights.removeprefix(_DEMO))
        except demo.UnknownDemo as error:
            raise WeightsProblem(str(error)) from None
        return path
    try:
        path = base / Path(weights).expanduser()
        if weights and path.is_file():
            return path
        raise WeightsProblem(_why_not(weights, path))
    except RuntimeError:  # from expanduser
        raise WeightsProblem(f"there is no user as {weights!r} names one") from None
    except OSError as error:
        raise WeightsProblem(f"{weights!r} cannot be looked at: {error.strerror}") from None


def _why_not(weights: str, path: Path) -> str:
    if not weights:
        return "no weights are given; write the path of a GGUF file"
    if path.is_dir():
        return f"{weights!r} is a folder; name the GGUF file in it"
    if _HUB.match(weights) and not weights.endswith(".gguf"):
        return (
            f"{weights!r} looks like a name on a model hub; this version fetches nothing: "
            "download the GGUF file and give its path"
        )
    return f"there is no file {weights!r}; relative paths start at the configuration file"
