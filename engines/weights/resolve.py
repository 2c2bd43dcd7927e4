"""From a `weights:` value to a file.

Owns: `demo:` names and relative paths.
Must not: read the file.
"""

from pathlib import Path


class WeightsProblem(ValueError):
    """The value names no file that can be used; the message says why and how to mend it."""


def resolve(weights: str, base: Path) -> Path:
    """Return the file that `weights` means; relative paths start at `base`.

    Raises:
        WeightsProblem: no such file.
    """
    path = (base / weights).expanduser()
    if not weights or not path.is_file():
        raise WeightsProblem(f"there is no file {weights!r}; relative paths start at {base}")
    return path
