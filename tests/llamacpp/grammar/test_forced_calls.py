"""Whatever tokens a model draws, a forced call is read whole and holds to its schema."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from engines.llamacpp.grammar.compiler import Compiler
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import Calls, Part, Wish
from engines.llamacpp.speech.dialect import Dialect
from engines.llamacpp.speech.form import Format
from engines.llamacpp.speech.formats import FORMATS
from engines.llamacpp.speech.parts import CallBegan, CallBroke, CallEnded, CallGrew, Content
from engines.llamacpp.vocabulary import Vocabulary

FUNCTIONS: dict[str, Any] = {
    "look": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["C", "F"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 99},
            "hours": {"type": ["array", "null"], "items": {"type": "boolean"}, "maxItems": 2},
            "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "wait": {"type": "object", "properties": {}, "additionalProperties": False},
    "match": {
        "type": "object",
        "properties": {"code": {"type": "string", "pattern": "^[a-f]{2}$"}},
        "required": ["code"],
        "additionalProperties": False,
    },
}
CALLS = Calls(
    tuple(FUNCTIONS),
    tuple(Part("json", "tools", json.dumps(schema)) for schema in FUNCTIONS.values()),
    most=3,
)
MOST_TOKENS = 400


def babble(
    constraint: Any, vocabulary: Vocabulary, closers: list[list[int]], seed: int
) -> str | None:
    """Return what chance makes of a grammar; None where it comes to no end.

    Mostly it tries to write something that closes: else a text would go on for ever.
    """
    chance = np.random.default_rng(seed)
    said: list[int] = []
    meant: list[int] = []
    for _ in range(MOST_TOKENS):
        logits = np.zeros(vocabulary.size, dtype=np.float32)
        constraint.apply(logits)
        allowed = np.flatnonzero(np.isfinite(logits))
        if not meant and chance.random() < 0.8:
            meant = list(closers[chance.integers(len(closers))])
        token = meant.pop(0) if meant else int(chance.choice(allowed))
        if token not in allowed:
            meant, token = [], int(chance.choice(allowed))
        if token in vocabulary.ends:
            break
        said.append(token)
        if constraint.take(token):
            break
    else:
        return None
    return vocabulary.text(said, special=True)


@pytest.mark.parametrize(
    "style", [form for form in FORMATS if form.form is not None], ids=lambda form: form.name
)
async def test_every_forced_call_is_whole_and_valid(
    compiler: Compiler, vocabulary: Vocabulary, style: Format
) -> None:
    compiled = await compiler.compile(Wish("tool_choice", calls=CALLS), Frame(style.form))
    assert compiled is not None
    closers = [
        vocabulary.tokens(text, add_special=False, parse_special=True)
        for text in (*style.tokens, *style.markers, '"', "}", "]", "1", "true")
    ]
    texts = [babble(compiled.start(), vocabulary, closers, seed) for seed in range(30)]
    whole = [text for text in texts if text is not None]
    assert len(whole) >= 10
    called: set[str] = set()
    for text in whole:
        speech = Dialect(style, None).hear(FUNCTIONS)
        parts = [*speech.feed(text), *speech.finish()]
        assert not any(isinstance(part, CallBroke | Content) for part in parts), text
        names = {part.index: part.name for part in parts if isinstance(part, CallBegan)}
        ended = [part.index for part in parts if isinstance(part, CallEnded)]
        assert ended == list(names)
        called |= set(names.values())
        for index, name in names.items():
            grown = (p.text for p in parts if isinstance(p, CallGrew) and p.index == index)
            jsonschema.validate(json.loads("".join(grown)), FUNCTIONS[name])
    assert called == set(FUNCTIONS)
