"""Events of a stream told by their bytes: those that differ from one before in their text alone.

Nearly all events of an answer do, and to decode each costs more than all else that is done with it.

Owns: where a text or a field stands in an event's bytes, whether another event is of one mould.
Must not: account, or know what else an event may say; what is of no mould is decoded.
"""

import msgspec

from gateway.relay.chunks import Chunk

# The fields that have an event's text, as engines space them.
_FIELDS = (b'"content":', b'"content": ', b'"text":', b'"text": ')


class Mould(msgspec.Struct, frozen=True):
    """What stands before and behind the text of such events, as they come and as they go on.

    Both are within the text's own quotes: what stands between them and holds neither a quote nor a
    backslash is all of it.
    """

    before: bytes
    behind: bytes
    new_before: bytes
    new_behind: bytes
    changes: bool

    def is_of(self, event: bytes) -> bool:
        """Say whether an event has what this mould has, with any text."""
        return event.startswith(self.before) and event.endswith(self.behind)

    def read(self, piece: bytes) -> tuple[int, str, bytes] | None:
        """Return how many events of this mould a piece is, their text, and what the client gets.

        None where one is of another, has no text, or the bytes do not tell what its text is.
        """
        if not self.is_of(piece):
            return None
        said = piece[len(self.before) : -len(self.behind)]
        if b'"' not in said:
            text = _plain(said)
            if text is None:
                return None
            new = b"%b%b%b" % (self.new_before, said, self.new_behind) if self.changes else piece
            return 1, text, new
        texts = said.split(self.behind + self.before)
        text = _plain(b"".join(texts))
        if text is None or not all(map(_whole, texts)):
            return None
        if self.changes:
            between = self.new_behind + self.new_before
            piece = b"%b%b%b" % (self.new_before, between.join(texts), self.new_behind)
        return len(texts), text, piece


def _plain(said: bytes) -> str | None:
    """Return the text that stands for itself between quotes; None where there is none."""
    if not said or b'"' in said or b"\\" in said:
        return None
    try:
        text = said.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _whole(said: bytes) -> bool:
    """Say whether a part of a text that is UTF-8 begins where a character does."""
    return bool(said) and said[0] & 0xC0 != 0x80


def only_text(chunk: Chunk) -> str | None:
    """Return the text of an event that says nothing beside it; None where it has none, or more."""
    if len(chunk.choices) != 1 or chunk.usage is not None:
        return None
    choice = chunk.choices[0]
    if choice.finish_reason:
        return None
    delta = choice.delta
    if delta is None:
        return choice.text
    more = delta.role is not None or delta.thought or delta.refusal or delta.calls
    return None if more else delta.content


def mould_of(event: bytes, edited: bytes, text: str) -> Mould | None:
    """Return the mould of an event that says only `text` and goes on as `edited`.

    None where the bytes do not tell where the text stands: a field's name inside a string has its
    quotes escaped, so that what is found once is that field.
    """
    told = msgspec.json.encode(text)
    for field in _FIELDS:
        said = field + told
        if event.count(said) == edited.count(said) == 1:
            old, new = _around(event, said, field), _around(edited, said, field)
            return Mould(*old, *new, changes=old != new)
    return None


def _around(event: bytes, said: bytes, field: bytes) -> tuple[bytes, bytes]:
    at = event.index(said)
    return event[: at + len(field) + 1], event[at + len(said) - 1 :]


def replacements(
    name: str, old: str | int, new: str | int, event: bytes
) -> list[tuple[bytes, bytes]]:
    """Return what to replace so that a field gets another value, however the engine spaces it."""
    for colon in (b":", b": "):
        field = b'"%b"%b' % (name.encode(), colon)
        was = field + msgspec.json.encode(old)
        if was in event:
            return [(was, field + msgspec.json.encode(new))]
    return []
