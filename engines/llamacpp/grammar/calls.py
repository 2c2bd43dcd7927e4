"""Tool calls as a family of models writes them, as a grammar.

Owns: from a form to Lark rules; markers that are tokens of their own.
Must not: know families or read calls: `speech` does.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.llamacpp.grammar.wish import Calls, Part
from engines.llamacpp.speech.form import Form


@dataclass(frozen=True, slots=True)
class Rules:
    """Lark rules; `@name` in them is the grammar of `parts[name]`."""

    text: str
    parts: Mapping[str, Part] = field(default_factory=dict)


def calls_rules(calls: Calls, form: Form, marks: Mapping[str, int]) -> Rules:
    """Return rules for calls with arguments in JSON, the first called `calls`.

    `marks` are the tokens that have a name: one that a form has in it is that token, not letters.
    """
    number = '":" /[0-9]{1,3}/' if form.numbered else ""

    def call(index: int, name: str) -> str:
        before = spelled(form.before + json.dumps(name, ensure_ascii=False)[1:-1], marks)
        middle, after = spelled(form.middle, marks), spelled(form.after, marks)
        return f"{before} {number} {middle} @arguments_{index} {after}"

    written = [call(index, name) for index, name in enumerate(calls.names)]
    between = spelled(form.between, marks)
    around = (spelled(form.opening, marks), spelled(form.closing, marks))
    parts = {f"arguments_{index}": part for index, part in enumerate(calls.parameters)}
    return Rules("\n".join(several(written, calls.most, between, around)), parts)


def several(written: list[str], most: int, between: str, around: tuple[str, str]) -> list[str]:
    """Return the rule `calls`, one to `most` of what is `written`, and those that it needs."""
    more = f"({between} call){{0,{most - 1}}}" if most > 1 else ""
    choices = " | ".join(f"call_{index}" for index in range(len(written)))
    rules = [f"calls: {around[0]} call {more} {around[1]}", f"call: {choices}"]
    return rules + [f"call_{index}: {text}" for index, text in enumerate(written)]


def spelled(text: str, marks: Mapping[str, int]) -> str:
    """Return a Lark expression for a text: its marks as tokens, the rest as letters."""
    if not text:
        return ""
    # A longer name comes first, should a shorter one be its beginning.
    names = sorted((re.escape(name) for name in marks if name), key=len, reverse=True)
    pieces = re.split(f"({'|'.join(names)})", text) if names else [text]
    return " ".join(
        f"<[{marks[piece]}]>" if piece in marks else json.dumps(piece) for piece in pieces if piece
    )


def text_up_to(name: str, ending: str, marks: Mapping[str, int]) -> tuple[str, str]:
    """Return an expression for any text and its ending, and the rule `name` that it needs."""
    if ending in marks:
        return f"{name.upper()} {spelled(ending, marks)}", f"{name.upper()}: /(.|\\n)*/"
    return name, f"{name}[suffix={json.dumps(ending)}]: /(.|\\n)*/"
