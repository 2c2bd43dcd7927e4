"""The formats in which families write calls.

Owns: one reader for each, its markers, and how a call is written in it.
Must not: choose (`dialect`), or know more of a call than `calls` does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engines.llamacpp.speech.calls import (
    Calls,
    leave,
    name_on,
    need,
    read_json_call,
    read_named_call,
)
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.pythonic import read_pythonic_calls
from engines.llamacpp.speech.tape import SPACES, Steps, Tape


@dataclass(frozen=True, slots=True)
class Form:
    """How a call is written: `before`, the name, `middle`, the arguments in JSON, `after`.

    Between two calls stands `between`; around all of them, `opening` and `closing`.
    """

    before: str
    middle: str
    after: str
    between: str = "\n"
    opening: str = ""
    closing: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write calls.

    `markers` open calls wherever they stand; `first` only where the answer begins or right after
    another call, with `between` characters allowed there beside white space. `tokens` are texts
    that are control tokens in many vocabularies and must be seen all the same. `short_ids`: the
    family's templates take ids of nine letters and digits only.
    """

    name: str
    read: Callable[[Tape, Calls], Steps[None]]
    form: Form | None = None
    markers: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    between: str = ""
    tokens: tuple[str, ...] = ()
    short_ids: bool = False


def _read_nothing(_tape: Tape, _calls: Calls) -> Steps[None]:
    yield from ()
    raise NotACall


def _read_hermes(tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, "<tool_call>")
    yield from tape.run(SPACES)
    yield from read_json_call(tape, calls)
    yield from leave(tape, "</tool_call>")


def _read_llama(tape: Tape, calls: Calls) -> Steps[None]:
    """Read JSON or Python: Llama 3.2 and 4 write both, whatever the prompt asks for."""
    tag = yield from tape.comes(("<|python_tag|>", "<|python_start|>"))
    tape.skip(len(tag))
    yield from tape.run(SPACES)
    if (yield from tape.peek()) == "[":
        yield from read_pythonic_calls(tape, calls)
    else:
        yield from read_json_call(tape, calls)
    yield from leave(tape, "<|python_end|>")


def _read_mistral(tape: Tape, calls: Calls) -> Steps[None]:
    """Read `[TOOL_CALLS][{...}, {...}]` or the newer `[TOOL_CALLS]name[ARGS]{...}`."""
    yield from need(tape, "[TOOL_CALLS]")
    yield from tape.run(SPACES)
    if (yield from tape.peek()) == "{":
        yield from read_json_call(tape, calls)
        return
    if not (yield from tape.literal("[")):
        name = yield from name_on(tape)
        if (yield from tape.literal("[CALL_ID]")):
            yield from name_on(tape)
        yield from tape.literal("[ARGS]")
        yield from tape.run(SPACES)
        yield from read_named_call(tape, calls, name)
        return
    while True:
        yield from tape.run(SPACES)
        yield from read_json_call(tape, calls)
        if not (yield from tape.closing(",")):
            yield from leave(tape, "]")
            return


_BAR = "\uff5c"  # DeepSeek's bars are fullwidth
_CALLS, _CALLS_END = f"<{_BAR}tool▁calls▁begin{_BAR}>", f"<{_BAR}tool▁calls▁end{_BAR}>"
_CALL, _CALL_END = f"<{_BAR}tool▁call▁begin{_BAR}>", f"<{_BAR}tool▁call▁end{_BAR}>"
_SEP = f"<{_BAR}tool▁sep{_BAR}>"


def _read_deepseek(tape: Tape, calls: Calls) -> Steps[None]:
    """Read V3's and R1's `function<sep>name`, JSON in a fence; or V3.1's `name<sep>{...}`."""
    yield from tape.literal(_CALLS)
    yield from tape.run(SPACES)
    yield from need(tape, _CALL)
    while True:
        name = yield from name_on(tape)
        yield from need(tape, _SEP)
        if (yield from tape.peek()) != "{":
            name = yield from name_on(tape)
            yield from tape.closing("```json")
            yield from tape.run(SPACES)
        yield from read_named_call(tape, calls, name)
        yield from leave(tape, "```", _CALL_END)
        if not (yield from tape.closing(_CALL)):
            yield from leave(tape, _CALLS_END)
            return


PLAIN = Format("plain", _read_nothing)
HERMES = Format(
    "hermes",
    _read_hermes,
    Form('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>"),
    markers=("<tool_call>",),
    tokens=("<tool_call>", "</tool_call>"),
)
LLAMA = Format(
    "llama",
    _read_llama,
    Form('{"name": "', '", "parameters": ', "}", between="; "),
    markers=("<|python_tag|>", "<|python_start|>"),
    first=("{", "["),
    between=";",
    tokens=("<|python_tag|>", "<|python_start|>", "<|python_end|>"),
)
MISTRAL = Format(
    "mistral",
    _read_mistral,
    Form('{"name": "', '", "arguments": ', "}", ", ", "[TOOL_CALLS][", "]"),
    markers=("[TOOL_CALLS]",),
    tokens=("[TOOL_CALLS]",),
    short_ids=True,
)
MISTRAL_ARGS = Format(
    "mistral-args",
    _read_mistral,
    Form("[TOOL_CALLS]", "[ARGS]", "", between=""),
    markers=("[TOOL_CALLS]",),
    tokens=("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
    short_ids=True,
)
_DEEPSEEK_TOKENS = (_CALLS, _CALLS_END, _CALL, _CALL_END, _SEP)
DEEPSEEK = Format(
    "deepseek",
    _read_deepseek,
    Form(f"{_CALL}function{_SEP}", "\n```json\n", f"\n```{_CALL_END}", "\n", _CALLS, _CALLS_END),
    markers=(_CALLS, _CALL),
    tokens=_DEEPSEEK_TOKENS,
)
DEEPSEEK_BARE = Format(
    "deepseek-bare",
    _read_deepseek,
    Form(_CALL, _SEP, _CALL_END, "", _CALLS, _CALLS_END),
    markers=(_CALLS, _CALL),
    tokens=_DEEPSEEK_TOKENS,
)
FORMATS = (PLAIN, HERMES, LLAMA, MISTRAL, MISTRAL_ARGS, DEEPSEEK, DEEPSEEK_BARE)
