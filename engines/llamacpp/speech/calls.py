"""Calls as they are being read: whose names they bear, what was told of them.

Owns: indices, ids, and the way back from a call that turns out to be none; the forms that several
families share.
Must not: know one family.
"""

import json
import string
from collections.abc import Callable, Collection, Mapping
from typing import Any

from engines.llamacpp.speech.json_text import JsonText, NotACall
from engines.llamacpp.speech.parts import (
    CallBegan,
    CallBroke,
    CallEnded,
    CallGrew,
    Content,
    Part,
)
from engines.llamacpp.speech.tape import SPACES, Steps, Tape

_NAME = string.ascii_letters + string.digits + "_-.:/"
# What the keys of a call mean; of others it is none.
CALL_KEYS = {
    "name": "name",
    "arguments": "arguments",
    "parameters": "arguments",
    "id": "id",
    "type": "type",
}
COHERE_KEYS = {"tool_name": "name", "parameters": "arguments", "tool_call_id": "id"}


class Enough(Exception):
    """As many calls as are wanted are whole: nothing after them is read."""


class Calls:
    """The calls of one answer, `most` of them at most.

    `functions` are those that the request offers, and the schemas of their parameters.
    """

    def __init__(
        self,
        tape: Tape,
        functions: Mapping[str, Any],
        say: Callable[[Part], None],
        new_id: Callable[[], str],
        most: int | None = None,
    ) -> None:
        self.whole = 0
        self._tape = tape
        self._functions = functions
        self._most = most
        self._say = say
        self._new_id = new_id
        self._ids: set[str] = set()
        self._index = 0
        self._open = False
        self._told = 0

    @property
    def is_open(self) -> bool:
        """Whether a call has begun that is not whole."""
        return self._open

    @property
    def names(self) -> Collection[str]:
        """The functions that may be called."""
        return self._functions.keys()

    def check(self, name: str) -> None:
        """Refuse a name that the request does not offer.

        Raises:
            NotACall: there is no such function.
        """
        if name not in self._functions:
            raise NotACall

    def parameters(self, name: str) -> Any:
        """Return the schema of a function's parameters, as the request has it."""
        return self._functions[name]

    def begin(self, name: str, own_id: str | None = None) -> None:
        """Tell of a call, once its name is known; under its own id where it has a new one.

        Raises:
            NotACall: there is no such function, or a call is open.
        """
        self.check(name)
        if self._open:
            raise NotACall
        self._open = True
        fresh = own_id if own_id and own_id not in self._ids else self._new_id()
        self._ids.add(fresh)
        self._say(CallBegan(self._index, fresh, name))
        self._told = self._tape.position

    def argue(self, text: str) -> None:
        """Tell the next piece of its arguments."""
        self._say(CallGrew(self._index, text))
        self._told = self._tape.position

    def end(self) -> None:
        """Tell that the call is whole; what comes later cannot undo it.

        Raises:
            Enough: it is the last one that is wanted.
        """
        self._say(CallEnded(self._index))
        self._close()
        self.whole += 1
        self._tape.begin()
        if self.whole == self._most:
            raise Enough

    def give_up(self) -> None:
        """Make content of what was read since the last whole call."""
        text, known = self._tape.since, self._tape.known
        if self._open:
            self._say(CallBroke(self._index, text[known:], text[max(known, self._told) :]))
            self._close()
        else:
            self._say(Content(text[known:]))
        self._tape.begin()

    def _close(self) -> None:
        self._open = False
        self._index += 1


def need(tape: Tape, text: str) -> Steps[None]:
    """Read `text`.

    Raises:
        NotACall: something else comes next.
    """
    if not (yield from tape.literal(text)):
        raise NotACall


def leave(tape: Tape, *endings: str) -> Steps[None]:
    """Read what ends a whole call; where the model has left an ending out, nothing is missed."""
    for text in endings:
        if (yield from tape.closing(text)):
            tape.begin()


def name_on(tape: Tape) -> Steps[str]:
    """Read a function's name, "" where there is none."""
    return (yield from tape.run(_NAME))


def read_named_call(
    tape: Tape, calls: Calls, name: str, own_id: str | None = None, how: type[JsonText] = JsonText
) -> Steps[None]:
    """Read the arguments of a call whose name came first, as a JSON object or what becomes one.

    Raises:
        NotACall: they are none, or there is no such function.
    """
    if (yield from tape.peek()) != "{":
        raise NotACall
    calls.begin(name, own_id)
    yield from how(tape, calls.argue).object()
    calls.end()


def read_json_call(tape: Tape, calls: Calls, keys: Mapping[str, str] = CALL_KEYS) -> Steps[None]:
    """Read `{"name": ..., "arguments": {...}}`, or what `keys` say in their place.

    `parameters` is the same as `arguments`, which may be left out, and may be a string that holds
    the object; `id` and `type` are passed over; the order is free. With any other key it is no
    call, so that an answer in JSON is known by its first key.

    Raises:
        NotACall: it is none.
    """
    yield from need(tape, "{")
    seen: set[str] = set()
    early: list[str] = []  # arguments that come before the name
    while True:
        yield from tape.run(SPACES)
        key = yield from JsonText(tape).string()
        role = keys.get(key)
        if role is None or role in seen:
            raise NotACall
        seen.add(role)
        if not (yield from tape.closing(":")):
            raise NotACall
        yield from tape.run(SPACES)
        if role == "arguments":
            yield from _object_or_text(tape, calls.argue if calls.is_open else early.append)
        else:
            value = yield from JsonText(tape).string()
            if role == "name":
                calls.begin(value)
                calls.argue("".join(early))
        yield from tape.run(SPACES)
        if not (yield from tape.literal(",")):
            break
    yield from need(tape, "}")
    if not calls.is_open:
        raise NotACall
    if "arguments" not in seen:
        calls.argue("{}")
    calls.end()


def _object_or_text(tape: Tape, say: Callable[[str], None]) -> Steps[None]:
    if (yield from tape.peek()) != '"':
        yield from JsonText(tape, say).object()
        return
    text = yield from JsonText(tape).string()
    try:
        whole = isinstance(json.loads(text), dict)
        text.encode()
    except (ValueError, RecursionError):
        raise NotACall from None
    if not whole:
        raise NotACall
    say(text)
