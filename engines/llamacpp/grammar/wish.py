"""What an answer must hold to, as a request says it.

Owns: the fields that ask for it, which of them exclude each other, how large they may be.
Must not: know llguidance or vocabularies, or read tools (`tool_wish` does).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Sampling
from engines.protocol.unreadable import UNREADABLE

Kind = Literal["json", "regex", "choice", "grammar"]

# Beyond these nobody writes a schema by hand or by pydantic; llguidance itself reads JSON that is
# nested 128 levels deep, a few of which are ours.
MOST_BYTES = 256 * 1024
MOST_LEVELS = 100
_ANYTHING = "{}"


class UnsupportedGrammar(InvalidRequest):
    """What the answer shall hold to is none, or more than this engine can hold: 400."""

    default_code = "unsupported_grammar"


@dataclass(frozen=True, slots=True)
class Part:
    """One schema, expression, list of choices or grammar; `where` it stands in the request.

    `text` is JSON for `json` and `choice`, else what the client wrote. Of a schema that need not be
    held to the letter, what cannot be held is let go, at worst all but `loose`, a schema too.
    """

    kind: Kind
    where: str
    text: str
    loose: str | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls: one part of `parameters` for each of `names`; at most `most` in one answer."""

    names: tuple[str, ...]
    parameters: tuple[Part, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What an answer must be: `answer`, or `calls`, or (both given) either of them.

    `param` is the request's field to name in an error; `compact` allows no white space in JSON.
    With `free`, any text may stand for the answer and around the calls: only calls are held.
    """

    param: str
    answer: Part | None = None
    calls: Calls | None = None
    compact: bool = False
    free: bool = False

    @property
    def size(self) -> int:
        """How many characters its parts have."""
        parts = () if self.calls is None else self.calls.parameters
        return sum(len(part.text) for part in (self.answer, *parts) if part is not None)


def wish_of(request: Sampling) -> Wish | None:
    """Return what an answer's text must hold to; None when it is free.

    Raises:
        InvalidRequest: a field is malformed, too large, or excludes another one.
    """
    wishes = [*_from_response_format(request), *_from_structured_outputs(request)]
    wishes += _from_guided(request)
    if len(wishes) > 1:
        first, second = wishes[0].param, wishes[1].param
        raise InvalidRequest(
            f"'{first}' and '{second}' both constrain the answer; send one of them.",
            param=second,
        )
    if not wishes:
        return None
    if request.ignore_eos:
        raise InvalidRequest(
            f"'ignore_eos' never ends, and '{wishes[0].param}' must; leave one of them out.",
            param="ignore_eos",
        )
    return wishes[0]


def _from_response_format(request: Sampling) -> Iterator[Wish]:
    given = request.response_format
    kind = "text" if given is None else given.get("type", "text")
    if given is None or kind == "text":
        return
    where, schema, loose = "response_format", given.get("schema"), None
    if kind == "json_schema":
        holder = given.get("json_schema")
        if not isinstance(holder, dict):
            raise InvalidRequest(
                "'response_format' of type 'json_schema' needs an object 'json_schema'.",
                param=where,
            )
        where, schema = f"{where}.json_schema", holder.get("schema")
        if holder.get("strict") is False:  # who says nothing counts on the schema
            loose = _ANYTHING
    elif kind != "json_object":
        raise InvalidRequest(
            f"'{kind}' is not a type of response_format; use 'text', 'json_object' or "
            "'json_schema'.",
            param=where,
        )
    if schema is None:
        schema = {"type": "object"}
    yield Wish("response_format", schema_part(f"{where}.schema", schema, "response_format", loose))


def _from_structured_outputs(request: Sampling) -> Iterator[Wish]:
    """Read vLLM's `structured_outputs`: one constraint, and whether white space is allowed."""
    given = request.structured_outputs
    param = "structured_outputs"
    if given is None:
        return
    if not isinstance(given, dict):
        raise InvalidRequest(f"'{param}' must be an object.", param=param)
    asked = {key: value for key, value in given.items() if value not in (None, False)}
    compact = bool(asked.pop("disable_any_whitespace", False))
    unknown = asked.keys() - {"json", "json_object", "regex", "choice", "grammar"}
    if unknown:
        raise UnsupportedGrammar(
            f"This engine does not support '{min(unknown)}'; "
            "use one of json, json_object, regex, choice and grammar.",
            param=param,
        )
    if len(asked) != 1:
        raise InvalidRequest(
            f"'{param}' must have exactly one of json, json_object, regex, choice and grammar.",
            param=param,
        )
    ((key, value),) = asked.items()
    yield Wish(param, _part(key, value, f"{param}.{key}", param), compact=compact)


def _from_guided(request: Sampling) -> Iterator[Wish]:
    """Read vLLM's older fields, and llama-server's `grammar`."""
    given = {
        "guided_json": ("json", request.guided_json),
        "guided_regex": ("regex", request.guided_regex),
        "guided_choice": ("choice", request.guided_choice),
        "guided_grammar": ("grammar", request.guided_grammar),
        "grammar": ("grammar", request.grammar or None),
    }
    for field, (key, value) in given.items():
        if value is not None:
            yield Wish(field, _part(key, value, field, field))


def _part(key: str, value: Any, where: str, param: str) -> Part:
    if key == "json_object":
        return schema_part(where, {"type": "object"}, param)
    if key == "json":
        return schema_part(
            where, _decoded(value, param) if isinstance(value, str) else value, param
        )
    if key == "choice":
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise InvalidRequest(f"'{where}' must be a list of texts, not empty.", param=param)
        return Part("choice", where, _bounded(msgspec.json.encode(value).decode(), where, param))
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"'{where}' must be text, not empty.", param=param)
    return Part("regex" if key == "regex" else "grammar", where, _bounded(value, where, param))


def schema_part(where: str, schema: Any, param: str, loose: str | None = None) -> Part:
    """Return a JSON Schema as a part, which stands at `where` in the request.

    Raises:
        InvalidRequest: it is none, or too large.
    """
    if not isinstance(schema, dict):
        raise InvalidRequest(f"'{where}' must be a JSON Schema, an object.", param=param)
    if _levels(schema) > MOST_LEVELS:
        raise UnsupportedGrammar(
            f"'{where}' is nested more than {MOST_LEVELS} levels deep.", param=param
        )
    text = _bounded(msgspec.json.encode(schema).decode(), where, param)
    return Part("json", where, text, loose)


def _bounded(text: str, where: str, param: str) -> str:
    if len(text) > MOST_BYTES:
        raise UnsupportedGrammar(
            f"'{where}' has {len(text)} characters; at most {MOST_BYTES} are read.", param=param
        )
    return text


def _levels(value: Any) -> int:
    """Return how deep lists and objects are nested, without recursion."""
    levels, row = 0, [value]
    while row and levels <= MOST_LEVELS:
        inner = [
            v.values() if isinstance(v, dict) else v for v in row if isinstance(v, dict | list)
        ]
        levels += bool(inner)
        row = [value for values in inner for value in values]
    return levels


def _decoded(text: str, param: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except UNREADABLE as error:
        raise InvalidRequest(f"'{param}' is not JSON: {error}.", param=param) from None
