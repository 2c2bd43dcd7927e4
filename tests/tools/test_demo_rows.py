"""The rows that demo models learn from: what the worker will write, and only their own words."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engines.protocol.requests import Message
from tools.demo_models.corpus import corpus_of
from tools.demo_models.errands import Errands
from tools.demo_models.families import FAMILIES
from tools.demo_models.rows import Rows
from tools.demo_models.talk import SILENT, Talk, template_of

MODELS = ("qwen", "coder", "llama")
FIND = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}}


@pytest.fixture(autouse=True)
def taught_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys learn here all that they can be taught, whatever the packaged ones know."""
    for model in MODELS:
        thinks, fills = model == "qwen", model == "coder"
        taught = replace(FAMILIES[model], calls=True, thinks=thinks, fills=fills)
        monkeypatch.setitem(FAMILIES, model, taught)


class Letters:
    """Stands in for a tokenizer: each character is a token."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        assert not add_special_tokens
        return SimpleNamespace(ids=ids_of(text))


def ids_of(text: str) -> list[int]:
    return list(map(ord, text))


def text_of(ids: list[int]) -> str:
    return "".join(chr(token) for token in ids if token > 0)


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret


def rows(model: str) -> Iterator[tuple[list[int], list[int]]]:
    drawn = Rows(corpus_of(model), FAMILIES[model], Letters(), chance(3))
    for length in (200, 1_000):
        yield from drawn.batch(30, length)


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_is_learnt_as_the_worker_writes_it(model: str) -> None:
    family = FAMILIES[model]
    template = template_of(family)
    talk = Talk(template, family.end_of_turn, ids_of, [FIND])
    asked, called = Message("user", "Where?"), Message("assistant", None, tool_calls=[CALL])
    found, said = Message("tool", "Here.", tool_call_id="a"), Message("assistant", "It is here.")
    talk.hear(asked)
    talk.answer(called)
    talk.hear(found)
    talk.answer(said)
    messages = [asked, called, found, said]
    assert text_of(talk.ids) == template.render(messages, [FIND], opens_answer=False)
    learnt = text_of(talk.wanted).split(family.end_of_turn)
    assert '"find"' in learnt[0]
    assert learnt[1:] == ["It is here.", ""]


@pytest.mark.parametrize("model", MODELS)
def test_rows_are_as_long_as_asked_and_the_same_again(model: str) -> None:
    drawn = list(rows(model))
    assert {len(ids) for ids, _ in drawn} == {len(wanted) for _, wanted in drawn} == {201, 1_001}
    assert drawn == list(rows(model))


@pytest.mark.parametrize("model", MODELS)
def test_what_is_wanted_is_what_stands_there(model: str) -> None:
    for ids, wanted in rows(model):
        assert all(want in (SILENT, token) for token, want in zip(ids, wanted, strict=True))


def test_thoughts_are_learnt_by_the_one_that_thinks_and_gaps_by_the_coder() -> None:
    learnt = {model: "".join(text_of(ids) for ids, _ in rows(model)) for model in MODELS}
    assert {model for model, text in learnt.items() if "</think>" in text} == {"qwen"}
    assert {model for model, text in learnt.items() if "<|fim_middle|>" in text} == {"coder"}


def test_an_errand_has_a_call_that_can_be_read_for_each_result() -> None:
    errands = Errands()
    for seed, kind in enumerate(errands.kinds * 5):
        tools = errands.offer(chance(seed), whole=True)
        errand = errands.draw(chance(seed), kind)
        assert "{" not in errand.ask + errand.say
        assert len(errand.calls) == len(errand.found)
        assert errand.can_be_run(tools)
        takes = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
        for name, arguments in errand.calls:
            assert json.loads(arguments).keys() == takes[name]["properties"].keys()
