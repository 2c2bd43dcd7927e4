"""The formats in which families write calls.

Owns: one reader for each, its markers, and how a call is written in it.
Must not: choose (`dialect`), or know more of a call than `calls` does.
"""

from engines.llamacpp.speech.calls import (
    Calls,
    leave,
    name_on,
    need,
    read_json_call,
    read_named_call,
)
from engines.llamacpp.speech.elements import reader_of
from engines.llamacpp.speech.form import Elements, Form, Format
from engines.llamacpp.speech.gemma import GemmaText
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.lists import COHERE, COMMAND_R, FUNCTIONARY, GRANITE, LFM
from engines.llamacpp.speech.pythonic import read_pythonic_calls
from engines.llamacpp.speech.recipients import RECIPIENTS
from engines.llamacpp.speech.tape import SPACES, Steps, Tape


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


_SECTION, _SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_KIMI_CALL, _KIMI_CALL_END = "<|tool_call_begin|>", "<|tool_call_end|>"
_KIMI_ARGUMENTS = "<|tool_call_argument_begin|>"


def _read_kimi(tape: Tape, calls: Calls) -> Steps[None]:
    """Read `functions.name:0` and JSON; that text is the call's id as well."""
    yield from tape.literal(_SECTION)
    yield from tape.run(SPACES)
    yield from need(tape, _KIMI_CALL)
    while True:
        yield from tape.run(SPACES)
        own_id = yield from name_on(tape)
        yield from tape.run(SPACES)
        yield from need(tape, _KIMI_ARGUMENTS)
        yield from tape.run(SPACES)
        name = own_id.removeprefix("functions.").rpartition(":")[0]
        yield from read_named_call(tape, calls, name, own_id)
        yield from leave(tape, _KIMI_CALL_END)
        if not (yield from tape.closing(_KIMI_CALL)):
            yield from leave(tape, _SECTION_END)
            return


def _read_gemma(tape: Tape, calls: Calls) -> Steps[None]:
    yield from need(tape, "<|tool_call>call:")
    name = yield from name_on(tape)
    yield from read_named_call(tape, calls, name, how=GemmaText)
    yield from leave(tape, "<tool_call|>")


def _elements(name: str, how: Elements) -> Format:
    markers = tuple(filter(None, (*how.openings, how.before)))
    return Format(name, reader_of(how), how, markers, tokens=how.marks)


PLAIN = Format("plain", _read_nothing)
# Nearly every model knows it: what others are told to call tools in.
GENERIC = Form('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>")
HERMES = Format(
    "hermes",
    _read_hermes,
    GENERIC,
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
_DSML = "\uff5cDSML\uff5c"
DSML = _elements(
    "dsml",
    Elements(
        openings=(f"<{_DSML}tool_calls>", f"<{_DSML}function_calls>"),
        before=f'<{_DSML}invoke name="',
        behind='">',
        key=f'<{_DSML}parameter name="',
        kinds=(('" string="true">', True), ('" string="false">', False)),
        value_end=f"</{_DSML}parameter>",
        end=f"</{_DSML}invoke>",
        closings=(f"</{_DSML}tool_calls>", f"</{_DSML}function_calls>"),
    ),
)
# Qwen3-Coder leaves the outer tag out now and then.
QWEN_XML = _elements(
    "qwen-xml",
    Elements(
        openings=("<tool_call>",),
        before="<function=",
        behind=">",
        key="<parameter=",
        kinds=((">", None),),
        value_end="</parameter>",
        end="</function>",
        closings=("</tool_call>",),
        lines=True,
    ),
)
GLM = _elements(
    "glm",
    Elements(
        openings=("<tool_call>",),
        before="",
        behind="",
        key="<arg_key>",
        kinds=(("</arg_key>", None),),
        value="<arg_value>",
        value_end="</arg_value>",
        end="</tool_call>",
    ),
)
SEED = _elements(
    "seed",
    Elements(
        openings=("<seed:tool_call>",),
        before="<function=",
        behind=">",
        key="<parameter=",
        kinds=((">", None),),
        value_end="</parameter>",
        end="</function>",
        closings=("</seed:tool_call>",),
    ),
)
MINIMAX = _elements(
    "minimax",
    Elements(
        openings=("<minimax:tool_call>",),
        before='<invoke name="',
        behind='">',
        key='<parameter name="',
        kinds=(('">', None),),
        value_end="</parameter>",
        end="</invoke>",
        closings=("</minimax:tool_call>",),
    ),
)
KIMI = Format(
    "kimi",
    _read_kimi,
    Form(
        f"{_KIMI_CALL}functions.", _KIMI_ARGUMENTS, _KIMI_CALL_END, "", _SECTION, _SECTION_END, True
    ),
    markers=(_SECTION, _KIMI_CALL),
    tokens=(_SECTION, _SECTION_END, _KIMI_CALL, _KIMI_CALL_END, _KIMI_ARGUMENTS),
)
GEMMA = Format(
    "gemma",
    _read_gemma,
    Form("<|tool_call>call:", "", "<tool_call|>", between=""),
    markers=("<|tool_call>call:",),
    tokens=("<|tool_call>", "<tool_call|>", '<|"|>'),
)
# Whole answers are read by `harmony`: every part of one is a message with a header.
HARMONY = Format(
    "harmony",
    _read_nothing,
    Form(
        "<|channel|>commentary to=functions.",
        " <|constrain|>json<|message|>",
        "<|call|>",
        between="<|start|>assistant",
    ),
    tokens=("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>"),
    envelops=True,
)
FORMATS = (
    *(PLAIN, HERMES, LLAMA, MISTRAL, MISTRAL_ARGS, DEEPSEEK, DEEPSEEK_BARE),
    *(DSML, QWEN_XML, GLM, SEED, MINIMAX, KIMI, GEMMA, HARMONY, LFM, GRANITE, FUNCTIONARY),
    *(COHERE, COMMAND_R, RECIPIENTS),
)
