"""Formats whose calls stand in one marked list: LFM2's, Granite 3's, Cohere's; and functionary's.

Owns: one reader for each, its markers, and how a call is written in it.
Must not: choose (`dialect`), or know more of a call than `calls` does.
"""

from collections.abc import Mapping

from engines.llamacpp.speech.calls import (
    CALL_KEYS,
    COHERE_KEYS,
    Calls,
    leave,
    name_on,
    need,
    read_json_call,
    read_named_call,
)
from engines.llamacpp.speech.form import Form, Format
from engines.llamacpp.speech.pythonic import read_pythonic_items
from engines.llamacpp.speech.tape import SPACES, Steps, Tape

_LFM, _LFM_END = "<|tool_call_start|>", "<|tool_call_end|>"
_GRANITE = "<|tool_call|>"
_ACTION, _ACTION_END = "<|START_ACTION|>", "<|END_ACTION|>"


def _read_lfm(tape: Tape, calls: Calls) -> Steps[None]:
    """Read calls in Python or, as a system prompt may ask for, in JSON."""
    yield from need(tape, _LFM)
    yield from _items(tape, calls)
    yield from leave(tape, _LFM_END)


def _read_granite(tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, _GRANITE)
    yield from _items(tape, calls)


def _read_cohere(tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, _ACTION)
    yield from tape.run(SPACES)
    yield from need(tape, "[")
    yield from _objects(tape, calls, COHERE_KEYS)
    yield from leave(tape, _ACTION_END)


def _read_command_r(tape: Tape, calls: Calls) -> Steps[None]:
    """Read a list in a fence; `directly-answer` is no function of the request, and so content."""
    yield from need(tape, "Action:")
    yield from tape.run(SPACES)
    yield from need(tape, "```json")
    yield from tape.run(SPACES)
    yield from need(tape, "[")
    yield from _objects(tape, calls, COHERE_KEYS)
    yield from leave(tape, "```")


def _items(tape: Tape, calls: Calls) -> Steps[None]:
    yield from tape.run(SPACES)
    yield from need(tape, "[")
    yield from tape.run(SPACES)
    if (yield from tape.peek()) != "{":
        yield from read_pythonic_items(tape, calls)
    else:
        yield from _objects(tape, calls)


def _objects(tape: Tape, calls: Calls, keys: Mapping[str, str] = CALL_KEYS) -> Steps[None]:
    """Read calls in JSON, up to the end of their list."""
    while True:
        yield from tape.run(SPACES)
        yield from read_json_call(tape, calls, keys)
        if not (yield from tape.closing(",")):
            yield from leave(tape, "]")
            return


def _read_functionary(tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, "<function=")
    name = yield from name_on(tape)
    yield from need(tape, ">")
    yield from tape.run(SPACES)
    yield from read_named_call(tape, calls, name)
    yield from leave(tape, "</function>")


# Held to a grammar it writes JSON: a schema says nothing of Python's literals.
LFM = Format(
    "lfm",
    _read_lfm,
    Form('{"name": "', '", "arguments": ', "}", ", ", f"{_LFM}[", f"]{_LFM_END}"),
    markers=(_LFM,),
    tokens=(_LFM, _LFM_END),
)
GRANITE = Format(
    "granite",
    _read_granite,
    Form('{"name": "', '", "arguments": ', "}", ", ", f"{_GRANITE}[", "]"),
    markers=(_GRANITE,),
    tokens=(_GRANITE,),
)
COHERE = Format(
    "cohere",
    _read_cohere,
    Form(
        '{"tool_call_id": "0", "tool_name": "',
        '", "parameters": ',
        "}",
        ", ",
        f"{_ACTION}[",
        f"]{_ACTION_END}",
    ),
    markers=(_ACTION,),
    tokens=(_ACTION, _ACTION_END),
)
COMMAND_R = Format(
    "command-r",
    _read_command_r,
    Form('{"tool_name": "', '", "parameters": ', "}", ", ", "Action:\n```json\n[", "]\n```"),
    markers=("Action:",),
)
FUNCTIONARY = Format(
    "functionary",
    _read_functionary,
    Form("<function=", ">", "</function>", between=""),
    markers=("<function=",),
)
