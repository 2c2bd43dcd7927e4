"""The data files of the demo models.

Owns: where they lie, and how they are read. Must not: know what is in them.
"""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
TEMPLATES = HERE / "templates"


def load(name: str) -> Any:
    """Return what one file of `data/` says; every scalar is text."""
    return read_yaml(DATA / name)


def read_yaml(path: Path) -> Any:
    """Return what a file says, as `load` does."""
    # BaseLoader: every scalar is text, so that an intent called `no` is not false.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it builds nothing but text, lists and mappings
