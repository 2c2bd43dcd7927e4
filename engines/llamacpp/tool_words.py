"""Tools in words, for templates that say nothing of them: calls and results in ordinary turns.

Owns: the words.
Must not: know families (a form says how a call is written), or which templates need this.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from engines.llamacpp.speech.form import Form
from engines.llamacpp.tool_turns import Turn

_WORDS = """\
# Tools

You may call functions to help the user. Their signatures are given within <tools></tools>:
<tools>
{tools}
</tools>

To call functions, write nothing but this for each call, with its name and its arguments as JSON:
{example}"""


def telling(turns: Sequence[Turn], tools: Sequence[Any], form: Form) -> list[Turn]:
    """Return the turns with the tools told at the end of the system prompt."""
    words = _WORDS.format(
        tools="\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools),
        example=_written("function-name", '{"argument-name": "value"}', form),
    )
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{words}"}, *turns[1:]]
    return [{"role": "system", "content": words}, *turns]


def calls_as_text(turns: Sequence[Turn], form: Form) -> list[Turn]:
    """Return the turns with each call in the text of the turn that made it."""
    return [_with_text(turn, form) for turn in turns]


def results_as_text(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with results that follow each other in one turn of the user's."""
    found: list[Turn] = []
    for role, group in itertools.groupby(turns, key=lambda turn: turn["role"]):
        if role == "tool":
            texts = [f"<tool_response>\n{turn['content']}\n</tool_response>" for turn in group]
            found.append({"role": "user", "content": "\n".join(texts)})
        else:
            found += group
    return found


def _with_text(turn: Turn, form: Form) -> Turn:
    calls = turn.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return turn
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    texts = [
        _written(str(function.get("name")), _arguments(function.get("arguments")), form, at)
        for at, function in enumerate(functions)
        if isinstance(function, dict)
    ]
    content = "\n".join(filter(None, [turn.get("content"), *texts]))
    return {key: turn[key] for key in turn if key != "tool_calls"} | {"content": content}


def _written(name: str, arguments: str, form: Form, at: int = 0) -> str:
    number = f":{at}" if form.numbered else ""
    call = form.before + name + number + form.middle + arguments + form.after
    return form.opening + call + form.closing


def _arguments(given: Any) -> str:
    return (
        given if isinstance(given, str) and given else json.dumps(given or {}, ensure_ascii=False)
    )
