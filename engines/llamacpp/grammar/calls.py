"""Tool calls as a family of models writes them, as a grammar.

Owns: from a form to Lark rules; markers that are tokens of their own.
Must not: know families or read calls: `speech` does.
"""

import json
import re
from collections.abc import Mapping

from engines.llamacpp.grammar.wish import Calls
from engines.llamacpp.speech.formats import Form


def calls_rule(calls: Calls, form: Form, marks: Mapping[str, int]) -> str:
    """Return Lark rules, the first called `calls`; `@arguments_0` ... are the parameters' grammars.

    `marks` are the tokens that have a name: one that a form has in it is that token, not letters.
    """

    def call(index: int, name: str) -> str:
        said = form.before + json.dumps(name, ensure_ascii=False)[1:-1] + form.middle
        return f"{spelled(said, marks)} @arguments_{index} {spelled(form.after, marks)}"

    choices = " | ".join(f"call_{index}" for index in range(len(calls.names)))
    more = f"({spelled(form.between, marks)} call){{0,{calls.most - 1}}}" if calls.most > 1 else ""
    around = (spelled(form.opening, marks), spelled(form.closing, marks))
    rules = [f"calls: {around[0]} call {more} {around[1]}", f"call: {choices}"]
    rules += [f"call_{index}: {call(index, name)}" for index, name in enumerate(calls.names)]
    return "\n".join(rules)


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
