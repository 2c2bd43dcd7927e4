"""Tool calls and their results in a conversation, as a chat template wants them.

Owns: what templates differ in, found out by trying; rewriting turns so that each can render them.
Must not: render, or judge what a client wrote: a template says itself what it rejects.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

Turn: TypeAlias = Mapping[str, Any]
Attempt: TypeAlias = Callable[[Sequence[Turn], Sequence[Any]], str | None]

_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
_PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe",
        "description": "A probe.",
        "parameters": {"type": "object", "properties": {"probed": {"type": "string"}}},
    },
}


@dataclass(frozen=True, slots=True)
class ToolShape:
    """What a template wants of tool calls.

    `objects`: arguments as an object, not as the text that OpenAI has. `null_content`: no content
    rather than an empty one beside calls. `single`: one call a turn. `short_ids`: ids of nine
    letters and digits, as Mistral has them. `thinks_alone`: beside a thought and calls there is no
    place for content.
    """

    objects: bool = True
    null_content: bool = False
    single: bool = False
    short_ids: bool = False
    thinks_alone: bool = False

    def shaped(self, turns: Sequence[Turn]) -> list[Turn]:
        """Return the turns as this template wants them; those without calls stay as they are."""
        turns = [shaped for turn in turns for shaped in self._one(turn)]
        return _apart(turns) if self.single else turns

    def _one(self, turn: Turn) -> list[Turn]:
        """Return a turn, or two where content and calls would not both be written from one."""
        given = turn.get("tool_calls")
        bare = {key: value for key, value in turn.items() if key != "tool_calls"}
        if isinstance(turn.get("tool_call_id"), str):
            bare["tool_call_id"] = self._id(turn["tool_call_id"])
        if not isinstance(given, list) or not given:
            return [bare]
        calls = {"tool_calls": [self._call(call) for call in given]}
        if self.thinks_alone and bare.get("thinking"):
            thought = "\n\n".join(filter(None, (bare["thinking"], bare.get("content"))))
            bare |= {"thinking": thought, "content": ""}
        if not self.null_content:
            return [bare | calls]
        silent = bare | {"content": None} | calls
        return [bare, silent] if turn.get("content") else [silent]

    def _call(self, call: Any) -> Any:
        if not isinstance(call, dict):
            return call
        call = {"type": "function"} | call
        if isinstance(call.get("id"), str):
            call["id"] = self._id(call["id"])
        function = call.get("function")
        if isinstance(function, dict):
            arguments = self._arguments(function.get("arguments"))
            call["function"] = function | {"arguments": arguments}
        return call

    def _arguments(self, given: Any) -> Any:
        """Change text to an object, or back; what cannot be changed stays."""
        if not self.objects:
            return given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
        if not isinstance(given, str):
            return {} if given is None else given
        try:
            return json.loads(given or "{}")
        except (ValueError, RecursionError):
            return given

    def _id(self, given: str) -> str:
        """Keep an id, or make a short one of it: the same one wherever it stands."""
        if not self.short_ids or _SHORT_ID.fullmatch(given):
            return given
        return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:9]


def tells_of_tools(attempt: Attempt) -> bool:
    """Say whether a template tells the model of tools; one that fails with them is left alone."""
    text = attempt([{"role": "user", "content": "a"}], [_PROBE_TOOL])
    return text is None or "probe" in text


def writes_results(attempt: Attempt) -> bool:
    """Say whether a template writes what a tool returned, whoever called it."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    result = {"role": "tool", "tool_call_id": "probe-1", "name": "probe", "content": "found-1"}
    return "found-1" in (attempt([*turns, result], []) or "")


def shape_of(attempt: Attempt) -> ToolShape | None:
    """Return the shape in which a template writes calls and results out whole.

    `attempt(turns, tools)` renders, or returns None where the template fails. None for one that
    writes no calls in any shape.
    """
    if attempt([{"role": "user", "content": "a"}], [_PROBE_TOOL]) is None:
        return None  # so it fails with calls as well, and failing can take long
    for objects, null_content in itertools.product((True, False), (False, True)):
        shape = ToolShape(objects, null_content, single=True, short_ids=True)
        if _writes(attempt, shape, 1):
            break
    else:
        return None
    return ToolShape(
        objects,
        null_content,
        single=not _writes(attempt, ToolShape(objects, null_content, short_ids=True), 2),
        short_ids=not _writes(attempt, ToolShape(objects, null_content, single=True), 1),
        thinks_alone=_writes(attempt, shape, 1, {"thinking": "a-thought"})
        and not _writes(attempt, shape, 1, {"thinking": "a-thought", "content": "a-word"}),
    )


def _writes(
    attempt: Attempt, shape: ToolShape, calls: int, beside: Mapping[str, str] = MappingProxyType({})
) -> bool:
    """Say whether a template writes this many calls as JSON, what is beside them, and results."""
    numbers = range(1, calls + 1)
    arguments = [json.dumps({"probed": f"value-{n}"}) for n in numbers]
    turns: list[Turn] = [
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": f"probe-{n}", "function": {"name": "probe", "arguments": text}}
                for n, text in zip(numbers, arguments, strict=True)
            ],
            **beside,
        },
        *(
            {"role": "tool", "tool_call_id": f"probe-{n}", "name": "probe", "content": f"found-{n}"}
            for n in numbers
        ),
    ]
    text = attempt(shape.shaped(turns), [_PROBE_TOOL])
    if text is None or "{'probed'" in text or '{\\"probed' in text:
        return False  # Python's way of writing an object, or text within text
    found = [*(f"value-{n}" for n in numbers), *(f"found-{n}" for n in numbers), *beside.values()]
    return all(word in text for word in found)


def _apart(turns: Sequence[Turn]) -> list[Turn]:
    """Return turns of one call each, every call followed by its result."""
    found: list[Turn] = []
    at = 0
    while at < len(turns):
        turn = turns[at]
        at += 1
        calls = turn.get("tool_calls") or ()
        if len(calls) < 2:
            found.append(turn)
            continue
        results = list(itertools.takewhile(lambda later: later.get("role") == "tool", turns[at:]))
        at += len(results)
        for index, call in enumerate(calls):
            # What was said beside the calls was said once.
            said = turn["content"] if index == 0 else turn["content"] and ""
            found.append({**turn, "content": said, "tool_calls": [call]})
            own = [result for result in results if _answers(result, call)]
            found += own
            results = [result for result in results if result not in own]
        found += results
    return found


def _answers(result: Turn, call: Any) -> bool:
    return isinstance(call, dict) and result.get("tool_call_id") == call.get("id")
