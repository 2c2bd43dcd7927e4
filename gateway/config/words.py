"""Numbers of things as people read them.

Owns: the words. Must not: know what is counted.
"""


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return `1 model`, `2 models`; what has another plural is given it."""
    return f"{count} {one}" if count == 1 else f"{count} {many or f'{one}s'}"
