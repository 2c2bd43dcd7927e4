"""Gemma's own notation of values, as the JSON that it stands for.

Owns: keys without quotes, strings between `<|"|>`.
Must not: know calls.
"""

import json

from engines.llamacpp.speech.json_text import JsonText, NotACall
from engines.llamacpp.speech.tape import Steps

_QUOTE = '<|"|>'
_KEY_ENDS = (":", "<", "{", "}", ",", "\n")


class GemmaText(JsonText):
    """Reads values in this notation, or in JSON, and says JSON."""

    def string(self) -> Steps[str]:
        """Follow a string, or a bare key; return what it means."""
        char = yield from self._tape.peek()
        if char == '"':
            return (yield from super().string())
        if not (yield from self._tape.literal(_QUOTE)):
            return (yield from self._bare_key())
        self._say('"')
        pieces: list[str] = []
        while piece := (yield from self._tape.before((_QUOTE,))):
            pieces.append(piece)
            self._say(_escaped(piece))
        if not (yield from self._tape.literal(_QUOTE)):
            raise NotACall
        self._say('"')
        return "".join(pieces)

    def _bare_key(self) -> Steps[str]:
        pieces: list[str] = []
        while piece := (yield from self._tape.before(_KEY_ENDS)):
            pieces.append(piece)
        key = "".join(pieces).strip()
        if not key:
            raise NotACall
        self._say(f'"{_escaped(key)}"')
        return key

    def _value(self, depth: int) -> Steps[None]:
        yield from self._spaces()
        if not (yield from self._tape.comes((_QUOTE,))):
            yield from super()._value(depth)
            return
        yield from self.string()
        yield from self._spaces()


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
