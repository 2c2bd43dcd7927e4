"""A request without the sentence that only says in which language to answer.

Owns: where such a sentence may stand.
Must not: tell which language it asks for (`gateway.classify.answer_language` does).
"""

import re
from collections.abc import Callable

from gateway.classify.segments import has_letters

# What ends a piece stays with it, so that the pieces together are the text.
_ENDS = ".!?;:,()\\n\u3002\uff01\uff1f\uff1a\uff0c\u061f\u060c\u0964"
_PIECE = re.compile(f"[^{_ENDS}]*[{_ENDS}]*\\s*")
_EDGE = 3  # pieces at either end
_LONGEST = 160
_LEAST_LETTERS = 4


def without_directive(text: str, asks_only: Callable[[str], bool]) -> str | None:
    """Return the rest of a text; None where nothing of it is such a sentence, or all of it."""
    pieces = [piece for piece in _PIECE.findall(text) if piece]
    if len(pieces) < 2:
        return None
    edges = {*range(_EDGE), *range(len(pieces) - _EDGE, len(pieces))}
    kept = [
        piece
        for at, piece in enumerate(pieces)
        if at not in edges or len(piece) > _LONGEST or not asks_only(piece)
    ]
    rest = "".join(kept).strip()
    return rest if len(kept) < len(pieces) and has_letters(rest, _LEAST_LETTERS) else None
