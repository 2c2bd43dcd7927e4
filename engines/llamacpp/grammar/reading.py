"""From drafts to llguidance's words, and what is wrong with those that cannot be held.

Owns: the options under which schemas are read, and where in a schema its flaw stands.
Must not: run where it may take long: bad schemas take minutes. `trial` reads them first.
"""

import json
import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark

from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.schema import alone, pointer_to, subschemas

# One space, or a new line and its indentation, where JSON may have white space: enough for every
# common style, and a model that writes nothing else comes to an end.
_WHITE_SPACE = r" |\n {0,40}|\n\t{0,10}"
# Before 1.8, which vLLM wants in a shared environment, such a pattern may come again and again.
_SEPARATORS = {"item_separator": ",\\x20?", "key_separator": ":\\x20?"}
# Without \u: llguidance 1.9 lets keys beside the named properties be spelled with it, and so a
# named one a second time, whatever its schema says.
_ESCAPES = 'nrbtf\\"'
# JSON Schema's own. Any other name constrains nothing: generators of schemas write "password",
# "path" or "int64" for people to read.
_FORMATS = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4"}
    | {"ipv6", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time"}
    | {"uri", "uri-reference", "uri-template", "uuid"}
)
_LONGEST_REASON = 300
_NOTHING = "no answer can satisfy it"
# llguidance's advice is for programmers; a client needs another.
_PLAINER = {
    "oneOf constraints": "its schemas may overlap; tell them apart by a constant, or use anyOf",
    "NoExtension": _NOTHING,
}
# Looking for the place of a flaw may cost this; without a place the reason still stands.
_SEARCH_S = 0.5


def limits() -> LLParserLimits:
    """Return llguidance's bounds for what clients send.

    Its defaults, but for the states of a lexer (1-2 kB each), which every sequence may fill, and
    errors that would quote the grammar.
    """
    return LLParserLimits(max_lexer_states=50_000, verbose_errors=False)


def is_old(installed: str) -> bool:
    """Say whether this version of llguidance cannot bound white space by a pattern."""
    major, minor = installed.split(".")[:2]
    return (int(major), int(minor)) < (1, 8)


def grammar_of(drafts: Sequence[Draft]) -> str:
    """Return llguidance's grammar for drafts.

    Raises:
        ValueError: a GBNF that is none.
        RecursionError: it is nested too deep.
    """
    return json.dumps({"grammars": [_grammar(draft) for draft in drafts]})


def flaw(drafts: Sequence[Draft], tokenizer: LLTokenizer) -> Flaw | None:
    """Return what is wrong with drafts; None when they can be held together."""
    for draft in drafts:
        own = _beyond_our_means(draft)
        if own is not None:
            return own
    why = _problem(drafts, tokenizer)
    if why is None:
        return None
    until = time.monotonic() + _SEARCH_S
    for draft in drafts:
        if draft.kind != "lark" and time.monotonic() < until:
            its_own = _problem([draft], tokenizer)
            if its_own is not None:
                return _located(draft, its_own, until)
    return Flaw(_short(why))


def _grammar(draft: Draft) -> dict[str, Any]:
    if draft.kind == "json":
        schema = _with_options(_schema_of(draft), compact=draft.compact)
        return {"name": draft.name, "json_schema": schema}
    return {"name": draft.name, "lark_grammar": _lark(draft.kind, draft.text)}


def _schema_of(draft: Draft) -> dict[str, Any]:
    """Return a draft's schema without formats that nobody has defined."""
    schema: dict[str, Any] = json.loads(draft.text)
    for _, inner in subschemas(schema):
        if isinstance(inner.get("format"), str) and inner["format"] not in _FORMATS:
            del inner["format"]
    return schema


def _lark(kind: str, text: str) -> str:
    if kind == "lark":
        return text
    if kind == "regex":
        return f"start: /{_within_slashes(text)}/"
    if kind == "choice":
        return "start: " + " | ".join(json.dumps(choice) for choice in json.loads(text))
    try:
        return str(any_to_lark(text))
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - of a rule that is not there llguidance tells so
        raise ValueError(str(error)) from None


def _within_slashes(regex: str) -> str:
    return re.sub(
        r"\\.|/|\n",
        lambda found: {"/": r"\/", "\n": r"\n"}.get(found[0], found[0]),
        regex,
        flags=re.DOTALL,
    )


def _with_options(schema: dict[str, Any], *, compact: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"json_allowed_escapes": _ESCAPES}
    if compact:
        options["whitespace_flexible"] = False
    elif is_old(version("llguidance")):
        options |= {"whitespace_flexible": False, **_SEPARATORS}
    else:
        options["whitespace_pattern"] = _WHITE_SPACE
    # A client's own options could ask for leniency: then answers would no longer hold.
    return {**schema, "x-guidance": options}


def _problem(drafts: Sequence[Draft], tokenizer: LLTokenizer) -> str | None:
    try:
        grammar = grammar_of(drafts)
    except (ValueError, RecursionError) as error:
        return str(error)
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits())
    mask = b"" if matcher.is_error() else matcher.compute_bitmask()
    if matcher.is_error():
        return matcher.get_error()
    return None if any(mask) else _NOTHING


def _beyond_our_means(draft: Draft) -> Flaw | None:
    """Find what llguidance takes and does not hold."""
    if draft.kind != "json":
        return None
    for pointer, inner in subschemas(json.loads(draft.text)):
        least, required = inner.get("minProperties"), inner.get("required")
        known = len(required) if isinstance(required, list) else 0
        if isinstance(least, int) and least > known + 1:
            why = "a repeated key counts twice, so no more than one beyond 'required' can be forced"
            return Flaw(why, draft.name, "minProperties", pointer_to(pointer, "minProperties"))
    return None


def _located(draft: Draft, why: str, until: float) -> Flaw:
    """Ask about smaller and smaller parts: the innermost that fails by itself has the flaw."""
    schema = _schema_of(draft) if draft.kind == "json" else {}
    for pointer, inner in subschemas(schema):
        if time.monotonic() > until:
            break
        by_itself = alone(inner)
        own = _says(by_itself)
        if not own and "$ref" in inner:
            by_itself = inner
            own = _says({**inner, **_definitions(schema)})
        if own:
            keyword = _keyword(by_itself, own)
            return Flaw(_short(own), draft.name, keyword, pointer_to(pointer, keyword))
    return Flaw(_short(why), draft.name)


def _keyword(schema: dict[str, Any], why: str) -> str:
    """Return the keyword without which the error goes away, or changes."""
    # One that the error names comes first; `type` last, as without it much is no longer looked at.
    keywords = sorted(schema, key=lambda k: (k.lower() not in why.lower(), k == "type"))
    said = {k: _says({name: v for name, v in schema.items() if name != k}) for k in keywords}
    gone = [keyword for keyword in keywords if not said[keyword]]
    changed = [keyword for keyword in keywords if said[keyword] != why]
    return (gone or changed or keywords)[0]


def _says(schema: dict[str, Any]) -> str:
    grammar = {"grammars": [{"name": "part", "json_schema": schema}]}
    return LLMatcher.validate_grammar(json.dumps(grammar), limits=limits())


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in ("$defs", "definitions") if key in schema}


def _short(text: str) -> str:
    plainer = next((plain for start, plain in _PLAINER.items() if text.startswith(start)), text)
    text = " ".join(plainer.split())
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
