"""Wishes, and how far a text gets by what they are compiled to."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.constraint import Compiled
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Calls, Kind, Part, Wish
from engines.llamacpp.speech.form import Form, Format
from engines.llamacpp.speech.formats import HERMES
from engines.llamacpp.vocabulary import Vocabulary

THOUGHT = ("<think>", "</think>")
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TWO = Calls(
    ("look", "wait"),
    (
        Part("json", "tools[0].function.parameters", json.dumps(OBJECT)),
        Part("json", "tools[1].function.parameters", '{"type": "object"}'),
    ),
    most=16,
)


def form(style: Format = HERMES) -> Form:
    assert isinstance(style.form, Form)
    return style.form


def wish(kind: Kind, text: str, *, compact: bool = False) -> Wish:
    return Wish("response_format", Part(kind, "place", text), compact=compact)


def schema(**keywords: Any) -> Wish:
    return wish("json", json.dumps(keywords))


def taken(compiled: Compiled, tokens: Sequence[int], vocabulary: Vocabulary) -> str:
    """Return how an answer of these tokens ends: `refused`, `open`, `may end` or `over`."""
    constraint = compiled.start()
    for at, token in enumerate(tokens):
        logits = np.zeros(vocabulary.size, dtype=np.float32)
        constraint.apply(logits)
        if logits[token] != 0:
            return "refused"
        if constraint.take(token):
            return "over" if at == len(tokens) - 1 else "refused"
    logits = np.zeros(vocabulary.size, dtype=np.float32)
    constraint.apply(logits)
    return "may end" if logits[vocabulary.eos] == 0 else "open"


async def compiled_by(compiler: Compiler, asked: Wish, frame: Frame) -> Compiled:
    found = await compiler.compile(asked, frame)
    assert found is not None
    return found


def said(compiled: Compiled, text: str, vocabulary: Vocabulary) -> str:
    tokens = vocabulary.tokens(text, add_special=False, parse_special=True)
    return taken(compiled, tokens, vocabulary)
