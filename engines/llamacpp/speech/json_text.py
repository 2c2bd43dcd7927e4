"""JSON as it is being written: followed closely and strictly.

Owns: what is JSON so far; all that is known to belong is said at once.
Must not: make values of it.
"""

import json
import re
from collections.abc import Callable

from engines.llamacpp.speech.tape import SPACES, Steps, Tape

# Deeper than any function's arguments, and far from Python's own bound.
_DEEPEST = 64
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_CHARS = "+-.0123456789eE"
_ORDINARY = re.compile(r'[^"\\\x00-\x1f]+')
_HEX = "0123456789abcdefABCDEF"


class NotACall(Exception):
    """What comes next does not belong to a call; it is unread."""


class JsonText:
    """Reads JSON from a tape and says all of it, as it comes.

    Its methods raise NotACall before the first character that cannot stand where it does, and at
    the end of the text.
    """

    def __init__(self, tape: Tape, say: Callable[[str], None] = lambda _: None) -> None:
        self._tape = tape
        self._say = say

    def object(self, depth: int = 0) -> Steps[None]:
        """Follow an object."""
        yield from self._one("{")
        yield from self._spaces()
        if (yield from self._tape.peek()) == "}":
            yield from self._one("}")
            return
        while True:
            yield from self.string()
            yield from self._spaces()
            yield from self._one(":")
            yield from self._value(depth)
            if (yield from self._one(",}")) == "}":
                return
            yield from self._spaces()

    def string(self) -> Steps[str]:
        """Follow a string; return what it means."""
        raw = [(yield from self._one('"'))]
        while True:
            while text := (yield from self._tape.arrived(_ORDINARY)):
                self._say(text)
                raw.append(text)
            raw.append((yield from self._one('"\\')))
            if raw[-1] == '"':
                break
            raw.append((yield from self._one('"\\/bfnrtu')))
            if raw[-1] == "u":
                raw.append((yield from self._code()))
        meant: str = json.loads("".join(raw))
        return meant

    def _code(self) -> Steps[str]:
        digits = ""
        for _ in range(4):
            digits += yield from self._one(_HEX)
        return digits

    def _value(self, depth: int) -> Steps[None]:
        """Follow any value with the white space around it."""
        if depth == _DEEPEST:
            raise NotACall
        yield from self._spaces()
        char = yield from self._tape.peek()
        if char == "{":
            yield from self.object(depth + 1)
        elif char == "[":
            yield from self._list(depth + 1)
        elif char == '"':
            yield from self.string()
        elif char and char in "-0123456789":
            yield from self._number()
        else:
            yield from self._word()
        yield from self._spaces()

    def _list(self, depth: int) -> Steps[None]:
        yield from self._one("[")
        yield from self._spaces()
        if (yield from self._tape.peek()) == "]":
            yield from self._one("]")
            return
        while True:
            yield from self._value(depth)
            if (yield from self._one(",]")) == "]":
                return

    def _number(self) -> Steps[None]:
        text = yield from self._run(_NUMBER_CHARS)
        if not _NUMBER.fullmatch(text):
            raise NotACall

    def _word(self) -> Steps[None]:
        first = yield from self._tape.peek()
        word = {"t": "true", "f": "false", "n": "null"}.get(first)
        if word is None:
            raise NotACall
        for char in word:
            yield from self._one(char)

    def _spaces(self) -> Steps[None]:
        yield from self._run(SPACES)

    def _run(self, characters: str) -> Steps[str]:
        found = ""
        while True:
            char = yield from self._tape.peek()
            if not char or char not in characters:
                return found
            found += yield from self._one(char)

    def _one(self, characters: str) -> Steps[str]:
        """Read one of these characters, and say it."""
        char = yield from self._tape.peek()
        if not char or char not in characters:
            raise NotACall
        self._tape.skip()
        self._say(char)
        return char
