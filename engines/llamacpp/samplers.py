"""`samplers` in a request's words: llama-server's names, or its letters in one text.

Owns: reading it, and `min_keep`. Must not: sample.
"""

from engines.llamacpp.chain import USUAL, Chain
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Sampling

_LETTERS = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "a": "adaptive_p",
}
# Names are written with `_`, with `-` or without either.
_NAMES = {name.replace("_", ""): name for name in USUAL} | {
    "temp": "temperature",
    "nucleus": "top_p",
    "typ": "typ_p",
    "typical": "typ_p",
    "typicalp": "typ_p",
}


def chain_of(request: Sampling) -> Chain | None:
    """Return the samplers in the order that a request wants; None: as usual.

    Raises:
        InvalidRequest: one is unknown, or not supported.
    """
    least = request.min_keep or 0
    if request.samplers is not None:
        return Chain(tuple(_name(given) for given in request.samplers), least)
    if not least:
        return None
    if not request.dynatemp_range:
        return Chain(USUAL, least)
    return Chain((*(name for name in USUAL if name != "temperature"), "temperature"), least)


def _name(given: str) -> str:
    bare = given.lower().replace("_", "").replace("-", "")
    found = _LETTERS.get(given) or _NAMES.get(bare)
    if found is None:
        letters = ", ".join(f"{name} ({letter})" for letter, name in _LETTERS.items())
        raise InvalidRequest(
            f"{given!r} is not a sampler of this engine; it has {letters}.", param="samplers"
        )
    return found
