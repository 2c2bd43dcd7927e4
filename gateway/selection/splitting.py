"""Who of several models takes a request by their shares, and takes it again for the same key.

Owns: the draw. Must not: know who is up, or what a key stands for.

Each model draws a number from the key, and the best by its share is first (weighted rendezvous
hashing). So where one share grows nobody moves but to that model, where one shrinks nobody moves
but from it; and every gateway, restarted or not, draws alike.
"""

import hashlib
import math
from collections.abc import Mapping

_RANGE = 1 << 64


def drawn(shares: Mapping[str, float], rule: str, key: str) -> tuple[str, ...]:
    """Return the models in the order in which this key takes them; those of no share come last."""
    ranks = {name: _rank(share, f"{rule}\0{name}\0{key}") for name, share in shares.items()}
    return tuple(sorted(shares, key=ranks.__getitem__))


def _rank(share: float, text: str) -> float:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # Never 0, of which there is no logarithm.
    number = (int.from_bytes(digest, "big") + 1) / _RANGE
    return -math.log(number) / share if share > 0 else math.inf
