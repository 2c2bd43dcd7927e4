"""What llama.cpp's makers publish of families: vocabularies with vectors, and chat templates.

Owns: reading them; the conversations that every template must render; reading a call back.
Must not: fetch (`fetch_sdist`), or hold what comes out to anything.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import llama_cpp as native

from engines.llamacpp.conversation import Manner, manner_of
from engines.llamacpp.speech.parts import (
    CallBegan,
    CallEnded,
    CallGrew,
    Content,
    Part,
    Thought,
    joined,
)
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ContentPart, Message

_BETWEEN = "\n__ggml_vocab_test__\n"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
# What ends a turn in the templates; what stands behind it is the next one's.
_BAR = "\uff5c"
_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "</s>"),
    *(f"<{_BAR}end▁of▁sentence{_BAR}>", f"<{_BAR}tool▁outputs▁begin{_BAR}>"),
    *("<|observation|>", "<|end_of_text|>", "<end_of_turn>", "<turn|>", "<|tool_response>"),
    *("<|call|>", "<|end|>", "</assistant>", "<|role_end|>", "\n\n<sep>", "\n\nUser:"),
    *("<seed:eos>", "[e~[", "<|END_OF_TURN_TOKEN|>"),
)
# Behind one of these an answer begins.
_BEGINS = (">", "]", "\n", "assistant", "ssistant:")

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Its name."}},
            "required": ["city"],
        },
    },
}
_FUNCTIONS = {"weather": WEATHER["function"]["parameters"]}  # type: ignore[index]  # as above


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation; its prompt has `words` in this order, and `anywhere` what else it must."""

    messages: tuple[Message, ...]
    words: tuple[str, ...]
    anywhere: tuple[str, ...] = ()
    tools: tuple[Any, ...] = ()


def _calls(*cities: str) -> list[dict[str, Any]]:
    functions = [{"name": "weather", "arguments": json.dumps({"city": city})} for city in cities]
    return [
        {"id": f"call_{at}", "type": "function", "function": function}
        for at, function in enumerate(functions, start=1)
    ]


_SYSTEM, _ASKED, _MORE = Message("system", "S-1"), Message("user", "U-1"), Message("user", "U-2")
_SAID = Message("assistant", "A-1")
_PART = ContentPart("text", "U-2")
_THOUGHT = Message("assistant", "A-1", reasoning_content="R-1")
_FOUND = [Message("tool", f"T-{at}", tool_call_id=f"call_{at}") for at in (1, 2)]
_CALLED = Message("assistant", None, tool_calls=_calls("Oslo"))
_CALLED_TWICE = Message("assistant", "", tool_calls=_calls("Oslo", "Rome"))

TALKS = {
    "one turn": Talk((_ASKED,), ("U-1",)),
    "parts": Talk((Message("user", [ContentPart("text", "U-1"), _PART]),), ("U-1", "U-2")),
    "developer": Talk((Message("developer", "S-1"), _ASKED), ("U-1",), ("S-1",)),
    "name": Talk((Message("user", "U-1", name="Ada"),), ("U-1",)),
    "thought": Talk((_ASKED, _THOUGHT, _MORE), ("U-1", "A-1", "U-2")),
    "system": Talk((_SYSTEM, _ASKED), ("U-1",), ("S-1",)),
    "turns": Talk((_SYSTEM, _ASKED, _SAID, _MORE), ("U-1", "A-1", "U-2"), ("S-1",)),
    "tools": Talk((_SYSTEM, _ASKED), ("U-1",), ("S-1", "weather"), (WEATHER,)),
    "result": Talk((_ASKED, _CALLED, _FOUND[0]), ("U-1", "Oslo", "T-1"), (), (WEATHER,)),
    "results": Talk(
        (_SYSTEM, _ASKED, _CALLED_TWICE, *_FOUND, _SAID, _MORE),
        ("U-1", "Oslo", "T-1", "A-1", "U-2"),
        ("S-1", "Rome", "T-2"),
        (WEATHER,),
    ),
}


@contextmanager
def vocabulary(models: Path, name: str) -> Iterator[Vocabulary]:
    """Load one of the vocabularies, without weights."""
    params = native.llama_model_default_params()
    params.vocab_only = True
    path = models / f"ggml-vocab-{name}.gguf"
    native.llama_backend_init()
    model = native.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise FileNotFoundError(path)
    try:
        yield Vocabulary(model)
    finally:
        native.llama_model_free(model)


def vectors(models: Path, name: str) -> list[tuple[str, list[int]]]:
    """Return texts with their tokens; none where the makers publish none."""
    given, lines = (models / f"ggml-vocab-{name}.gguf{end}" for end in (".inp", ".out"))
    if not given.exists():
        return []
    texts = given.read_text(encoding="utf-8").split(_BETWEEN)
    # The last text is empty in most, and so is its line: what stands behind the last line's end.
    told = [[int(token) for token in line.split()] for line in lines.read_text().split("\n")]
    return list(zip(texts, told[: len(texts)], strict=True))


def template_source(models: Path, file: str) -> str:
    """Return the text of a template."""
    return (models / "templates" / f"{file}.jinja").read_text(encoding="utf-8")


def spoken(source: str, architecture: str = "") -> Manner:
    """Return what a template's text says of its model."""
    return manner_of(source, architecture, SPECIAL)


def failures(source: str, architecture: str = "") -> dict[str, str]:
    """Return what is wrong with the prompts that our sandbox makes of the conversations."""
    template = spoken(source, architecture).template
    wrong: dict[str, str] = {}
    for name, talk in TALKS.items():
        try:
            prompt = template.render(talk.messages, talk.tools)
        except InvalidRequest as refusal:
            wrong[name] = refusal.message
            continue
        missing = [word for word in (*talk.words, *talk.anywhere) if word not in prompt]
        places = [prompt.find(word) for word in talk.words]
        if missing or places != sorted(places):
            wrong[name] = f"it lacks {', '.join(missing)}" if missing else "another order"
    return wrong


def heard_again(source: str, architecture: str = "") -> list[Part]:
    """Return what our reader hears in what a template writes for a call.

    As models learn to say it, so it is read, whoever wrote the template.
    """
    manner = spoken(source, architecture)
    before = manner.template.render((_ASKED,), (WEATHER,))
    whole = manner.template.render((_ASKED, _CALLED, _FOUND[0]), (WEATHER,))
    said = whole[_turn(before, whole) : whole.index("T-1")]
    said = said[: min((said.index(end) for end in _ENDS if end in said), default=len(said))]
    tags = manner.dialect.tags
    if tags is not None:  # no thought was told, and some write an empty one
        said = said.split(tags.closing)[-1]
    speech = manner.dialect.hear(_FUNCTIONS, new_id=lambda: "")
    return [_plain(part) for part in joined([*speech.feed(said), *speech.finish()])]


def thought_again(source: str, architecture: str = "") -> list[Part]:
    """Return what our reader hears in an answer with a thought; nothing where the model has none.

    It is what the template writes of one, or what stands around thoughts of this kind.
    """
    manner = spoken(source, architecture)
    tags = manner.dialect.tags
    if tags is None:
        return []
    before, whole = (manner.template.render(turns) for turns in ((_ASKED,), (_ASKED, _THOUGHT)))
    thinks = manner.dialect.thinks_after(before)
    said = ("" if thinks else tags.opening) + "R-1" + tags.ending + "A-1"
    if "R-1" in whole and not tags.answer:
        said = whole[_turn(before, whole) : whole.index("A-1") + len("A-1")]
    speech = manner.dialect.hear(thinking=thinks)
    return joined([*speech.feed(said), *speech.finish()])


def _turn(before: str, whole: str) -> int:
    """Return where the turn begins: where both still agree, and never inside a mark."""
    pairs = zip(before, whole, strict=False)
    agreed = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return max(whole.rfind(mark, 0, agreed) + len(mark) for mark in _BEGINS)


def _plain(part: Part) -> Part:
    """Return a part without an id of its own, its arguments spaced as ours."""
    match part:
        case CallBegan():
            return replace(part, id="")
        case CallGrew(index, text):
            return CallGrew(index, json.dumps(json.loads(text)))
    return part


THE_CALL: list[Part] = [
    CallBegan(0, "", "weather"),
    CallGrew(0, json.dumps({"city": "Oslo"})),
    CallEnded(0),
]
THE_THOUGHT: list[Part] = [Thought("R-1"), Content("A-1")]
