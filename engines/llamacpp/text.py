"""From token bytes to text that may be shown: whole characters, and never a stop string.

Owns: UTF-8 across token borders, what is held back while it may yet become a stop string.
Must not: know tokens or models.
"""

import codecs
from collections.abc import Sequence


class TextStream:
    """The text of one sequence as it grows; the same text however the bytes were cut."""

    def __init__(self, stops: Sequence[str] = (), *, tells_stop: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._tells_stop = tells_stop
        self._held = ""
        self._stopped = False

    def feed(self, piece: bytes, *, may_stop: bool = True) -> str:
        """Take a token's bytes; return the text that may be shown now.

        When a stop string has come, `has_stopped` turns true and what comes after it is dropped, as
        is the string itself unless it is to be told. None ends or begins in text that may not stop.
        """
        text = self._decoder.decode(piece)
        if may_stop:
            return self._release(text)
        held, self._held = self._held, ""
        return held + text

    def has_stopped(self) -> bool:
        """Say whether a stop string has come."""
        return self._stopped

    def finish(self) -> str:
        """Return what is still held; a character that never ended becomes U+FFFD."""
        rest = self._release(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return rest if self._stopped else rest + held

    def _release(self, text: str) -> str:
        if self._stopped:
            return ""
        if not self._stops:
            return text
        self._held += text
        # The stop string that ends first counts, as if the text had come by single characters:
        # so it does not matter how the bytes were cut.
        found = ((self._held.find(stop), len(stop)) for stop in self._stops)
        ends = [(at + length, at) for at, length in found if at >= 0]
        if ends:
            self._stopped = True
            end, start = min(ends)
            shown, self._held = self._held[: end if self._tells_stop else start], ""
            return shown
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown


class Offsets:
    """Where in a text the tokens begin, in characters; one that began inside of one, behind it."""

    def __init__(self, start: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at = start

    def feed(self, piece: bytes) -> int:
        """Take the next token's bytes; return where it begins."""
        began = self._at
        self._at += len(self._decoder.decode(piece))
        return began


def places_in(text: str, pieces: Sequence[bytes]) -> list[int]:
    """Return where the tokens begin of which a text was made.

    It ends with the last of them; before it they may have a space, or a token that is no text.
    """
    offsets = Offsets(0)
    begun = [offsets.feed(piece) for piece in (*pieces, b"")]
    return [min(max(0, at + len(text) - begun[-1]), len(text)) for at in begun[:-1]]


def _overlap(text: str, stop: str) -> int:
    """Return how many last characters of `text` are the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
