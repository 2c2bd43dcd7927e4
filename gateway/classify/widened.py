"""Rows of bytes as integers that can be added up: adding two adds all of their fields at once.

Owns: their form. Must not: know what is counted.
"""


def widened(row: bytes, field_bytes: int) -> int:
    """Return the bytes of a row in one integer, each in a field of its own, the first lowest."""
    wide = bytearray(field_bytes * len(row))
    wide[::field_bytes] = row
    return int.from_bytes(wide, "little")
