"""Sizes as people read them.

Owns: the words. Must not: import anything.
"""


def gigabytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
