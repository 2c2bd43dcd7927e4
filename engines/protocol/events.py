"""Reading and writing server-sent event streams, on bytes.

Owns: where one event ends and the next begins, and what its data is.
Must not: parse JSON; that is the reader's choice.
"""

import re

DONE = b"data: [DONE]\n\n"

# An event ends at an empty line; a line ends with LF, CRLF or CR (WHATWG HTML, section 9.2.6).
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")

MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventTooLong(Exception):
    """An event grew beyond `MAX_EVENT_BYTES` without an end."""


class EventSplitter:
    """Cuts a stream of bytes into whole events; the same events whatever the pieces are.

    Not thread-safe; one for each stream.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._plain = True  # no CR so far: then an event ends where two LF stand

    def feed(self, piece: bytes) -> list[bytes]:
        r"""Take a piece; return the events it completes, each with its final empty line.

        A piece that ends in `\r` may be half of an ending: the event waits for the next piece.

        Raises:
            EventTooLong: an event has no end within `MAX_EVENT_BYTES`.
        """
        self._plain = self._plain and b"\r" not in piece
        if self._plain and not self._rest:
            *ended, rest = piece.split(b"\n\n")
            if not rest and len(ended) == 1:
                return [piece]  # as most come
            self._rest += rest
            return self._checked([event + b"\n\n" for event in ended])
        searched = max(0, len(self._rest) - 3)
        self._rest += piece
        return self._checked(self._plainly(searched) if self._plain else self._in_any_way(searched))

    def _checked(self, events: list[bytes]) -> list[bytes]:
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLong
        return events

    def _plainly(self, searched: int) -> list[bytes]:
        """Cut at two LF, as nearly all engines write: several times as fast as the expression."""
        if self._rest.find(b"\n\n", searched) < 0:
            return []
        *ended, rest = bytes(self._rest).split(b"\n\n")
        self._rest = bytearray(rest)
        return [event + b"\n\n" for event in ended]

    def _in_any_way(self, searched: int) -> list[bytes]:
        rest, events, start = self._rest, [], 0
        for match in _EVENT_END.finditer(rest, searched):
            end = match.end()
            if end == len(rest) and rest[end - 1] == 0x0D:
                break  # \r\r may yet become \r\r\n
            events.append(bytes(rest[start:end]))
            start = end
        if start:
            del rest[:start]
        return events

    @property
    def between(self) -> bool:
        """Whether no event has begun that has not ended."""
        return not self._rest

    def rest(self) -> bytes:
        """Return the bytes of an event that has not ended."""
        return bytes(self._rest)


def event_data(event: bytes) -> bytes | None:
    """Return the event's data lines joined by LF, or None when it has none (a comment, say)."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2:
        # The common shape: one line.
        return event[6:-3] if event[-3] == 0x0D else event[6:-2]
    lines = []
    for line in event.splitlines():
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines) if lines else None


def is_error_event(event: bytes) -> bool:
    """Say whether the event's `event:` field is `error`."""
    return any(
        line.startswith(b"event:") and line[6:].strip() == b"error" for line in event.splitlines()
    )


def write_event(data: bytes) -> bytes:
    """Return one event with `data` (one line, no LF) as its data."""
    return b"data: " + data + b"\n\n"
