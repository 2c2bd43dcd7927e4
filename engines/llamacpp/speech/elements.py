"""Calls whose parameters are elements: `<function=f><parameter=x>...`, and their kin.

Owns: reading them, whatever the elements are called; values as JSON, text as it grows.
Must not: know one family: `formats` has the rows.
"""

import json
from collections.abc import Callable

from engines.llamacpp.speech.bare import JSON, TEXT, Kinds, json_of, kinds_of
from engines.llamacpp.speech.calls import Calls, leave, name_on, need, read_json_call
from engines.llamacpp.speech.form import Elements
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.tape import SPACES, Steps, Tape

_KINDS = {True: TEXT, False: JSON}


def reader_of(how: Elements) -> Callable[[Tape, Calls], Steps[None]]:
    """Return what reads calls that are written like this, or in JSON within the same marks."""

    def read(tape: Tape, calls: Calls) -> Steps[None]:
        opening = yield from tape.comes(how.openings)
        tape.skip(len(opening))
        yield from tape.run(SPACES)
        if opening and (yield from tape.peek()) == "{":
            yield from read_json_call(tape, calls)
            yield from leave(tape, how.end)
        else:
            yield from _read_calls(how, tape, calls)
        yield from leave(tape, *how.closings)

    return read


def _read_calls(how: Elements, tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, how.before)
    while True:
        yield from _read_call(how, tape, calls)
        if not how.before or not (yield from tape.closing(how.before)):
            return


def _read_call(how: Elements, tape: Tape, calls: Calls) -> Steps[None]:
    """Read a call from its name on."""
    name = yield from name_on(tape)
    yield from need(tape, how.behind)
    yield from tape.run(SPACES)
    if not (yield from tape.comes((how.key, how.end))):
        raise NotACall
    calls.begin(name)
    marked = dict(how.kinds)
    seen: set[str] = set()
    while not (yield from tape.closing(how.end)):
        yield from tape.run(SPACES)
        yield from need(tape, how.key)
        key = yield from _text(tape, tuple(marked))
        if key in seen:
            raise NotACall
        calls.argue(("{" if not seen else ", ") + json.dumps(key, ensure_ascii=False) + ": ")
        seen.add(key)
        mark = yield from tape.comes(tuple(marked))
        if not mark:
            raise NotACall
        tape.skip(len(mark))
        yield from tape.run(SPACES if how.value else "")
        yield from need(tape, how.value)
        is_text = marked[mark]
        kinds = kinds_of(calls.parameters(name), key) if is_text is None else _KINDS[is_text]
        yield from _value(how, tape, calls, kinds)
    calls.argue("}" if seen else "{}")
    calls.end()


def _value(how: Elements, tape: Tape, calls: Calls, kinds: Kinds) -> Steps[None]:
    """Read a value and its end; what can be nothing but text is told as it grows."""
    ends: tuple[str, ...] = (how.value_end,)
    if how.lines:
        yield from tape.literal("\n")
        ends = (f"\n{how.value_end}", how.value_end)
    if kinds == TEXT:
        calls.argue('"')
        while piece := (yield from tape.before(ends)):
            calls.argue(json.dumps(piece, ensure_ascii=False)[1:-1])
        rest = '"'
    else:
        rest = json_of((yield from _text(tape, ends)), kinds)
    if how.lines:
        yield from tape.literal("\n")
    yield from need(tape, how.value_end)
    calls.argue(rest)


def _text(tape: Tape, ends: tuple[str, ...]) -> Steps[str]:
    """Read up to one of `ends`, or the end."""
    pieces: list[str] = []
    while piece := (yield from tape.before(ends)):
        pieces.append(piece)
    return "".join(pieces)
