"""The demo models' chat templates write what the official ones of their families do."""

from pathlib import Path

import pytest

from engines.llamacpp.template import ChatTemplate
from tools.demo_models.families import FAMILIES
from tools.demo_models.talk import template_of
from tools.families.official import SPECIAL, TALKS, THE_CALL, failures, heard_again, template_source

# Without a system prompt Qwen2.5's template adds one, which says who made the model.
LED = [name for name, talk in TALKS.items() if talk.messages[0].role == "system"]


@pytest.mark.parametrize(
    ("model", "official", "names"),
    [("qwen", "Qwen-Qwen3-0.6B", list(TALKS)), ("coder", "Qwen-Qwen2.5-7B-Instruct", LED)],
)
@pytest.mark.parametrize("options", [{}, {"enable_thinking": False}])
def test_a_toy_of_qwen_reads_what_qwen_reads(
    models: Path, model: str, official: str, names: list[str], options: dict[str, bool]
) -> None:
    theirs, ours = ChatTemplate(template_source(models, official), {}), template_of(FAMILIES[model])
    for talk in map(TALKS.__getitem__, names):
        written = ours.render(talk.messages, talk.tools, options)
        assert written == theirs.render(talk.messages, talk.tools, options)


def test_a_toy_of_llama_reads_turns_and_calls_as_llama_does(models: Path) -> None:
    """The words around tools are its own, and so is what stands there without a system prompt."""
    special = SPECIAL | {"bos_token": FAMILIES["llama"].bos}
    theirs = ChatTemplate(template_source(models, "meta-llama-Llama-3.2-3B-Instruct"), special)
    ours = template_of(FAMILIES["llama"])
    for name, first in (("turns", "U-1"), ("result", "U-1")):
        talk = TALKS[name]
        written, official = (t.render(talk.messages, talk.tools) for t in (ours, theirs))
        assert written.partition(first)[2] == official.partition(first)[2]


@pytest.mark.parametrize("model", FAMILIES)
def test_every_conversation_is_whole_and_its_calls_are_heard(model: str) -> None:
    family = FAMILIES[model]
    assert failures(family.template) == {}
    assert heard_again(family.template, family.architecture) == THE_CALL
