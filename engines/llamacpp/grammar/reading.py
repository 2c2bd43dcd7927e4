"""From a part of a wish to llguidance's words, and what is wrong with one that cannot be held.

Owns: the options under which schemas are read, and where in a schema its flaw stands.
Must not: run where it may take long: bad schemas take minutes. `trial` reads them first.
"""

import json
import re
import time
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark

from engines.llamacpp.grammar.flaw import Flaw
from engines.llamacpp.grammar.schema import alone, pointer_to, subschemas
from engines.llamacpp.grammar.wish import Kind

# One space, or a new line and its indentation, where JSON may have white space: enough for every
# common style, and a model that writes nothing else comes to an end.
_WHITE_SPACE = r" |\n {0,40}|\n\t{0,10}"
# Without \u: llguidance 1.9 lets keys beside the named properties be spelled with it, and so a
# named one a second time, whatever its schema says.
_ESCAPES = 'nrbtf\\"'
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


def sub_grammar(kind: Kind, text: str, name: str, *, compact: bool) -> dict[str, Any]:
    """Return one grammar of llguidance's list of grammars.

    Raises:
        ValueError: a GBNF that is none.
    """
    if kind == "json":
        return {"name": name, "json_schema": _with_options(json.loads(text), compact=compact)}
    return {"name": name, "lark_grammar": _lark(kind, text)}


def flaw(kind: Kind, text: str, tokenizer: LLTokenizer) -> Flaw | None:
    """Return what is wrong with a part; None when it can be held."""
    try:
        whole = sub_grammar(kind, text, "part", compact=False)
    except (ValueError, RecursionError) as error:
        return Flaw(_short(str(error)))
    if kind == "json":
        own = _beyond_our_means(json.loads(text))
        if own is not None:
            return own
    why = _problem(whole, tokenizer)
    if why is None:
        return None
    return _located(json.loads(text), why) if kind == "json" else Flaw(_short(why))


def _lark(kind: Kind, text: str) -> str:
    if kind == "regex":
        return f"start: /{_within_slashes(text)}/"
    if kind == "choice":
        return "start: " + " | ".join(json.dumps(choice) for choice in json.loads(text))
    try:
        return str(any_to_lark(text))
    except GbnfToLarkError as error:
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
    else:
        options["whitespace_pattern"] = _WHITE_SPACE
    # A client's own options could ask for leniency: then answers would no longer hold.
    return {**schema, "x-guidance": options}


def _problem(grammar: dict[str, Any], tokenizer: LLTokenizer) -> str | None:
    matcher = LLMatcher(
        tokenizer, json.dumps({"grammars": [grammar]}), log_level=0, limits=limits()
    )
    mask = b"" if matcher.is_error() else matcher.compute_bitmask()
    if matcher.is_error():
        return matcher.get_error()
    return None if any(mask) else _NOTHING


def _beyond_our_means(schema: dict[str, Any]) -> Flaw | None:
    """Find what llguidance takes and does not hold."""
    for pointer, inner in subschemas(schema):
        least, required = inner.get("minProperties"), inner.get("required")
        known = len(required) if isinstance(required, list) else 0
        if isinstance(least, int) and least > known + 1:
            why = "a repeated key counts twice, so no more than one beyond 'required' can be forced"
            return Flaw(why, "minProperties", pointer_to(pointer, "minProperties"))
    return None


def _located(schema: dict[str, Any], why: str) -> Flaw:
    """Ask about smaller and smaller parts: the innermost that fails by itself has the flaw."""
    until = time.monotonic() + _SEARCH_S
    for pointer, inner in subschemas(schema):
        if time.monotonic() > until:
            break
        by_itself = alone(inner)
        own = _says(by_itself)
        if not own and "$ref" in inner:
            own = _says({**inner, "$defs": schema.get("$defs"), **_definitions(schema)})
            by_itself = inner
        if own:
            keyword = _keyword(by_itself, own)
            return Flaw(_short(own), keyword, pointer_to(pointer, keyword))
    return Flaw(_short(why))


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
