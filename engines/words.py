"""Numbers of things, and words of strangers, as people read them.

Owns: the words. Must not: know what is counted, or who has said something.
"""

from collections.abc import Sequence


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return `1 model`, `2 models`; what has another plural is given it."""
    return f"{count} {one}" if count == 1 else f"{count} {many or f'{one}s'}"


def some_of(names: Sequence[str], most: int = 12) -> str:
    """Return names as people list them; of more than `most` the first, and how many more."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def on_one_line(text: str, most: int) -> str:
    """Return the beginning of a text that may be a stranger's, fit for one line of a log."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:most])
