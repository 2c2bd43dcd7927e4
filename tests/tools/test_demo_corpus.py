"""What the demo models are taught: each asking has one answer, and what looks like code is code."""

import ast
import json
import re
from collections import defaultdict

import pytest
import yaml

from tools.demo_models.corpus import corpus_of, variants

MODELS = ("qwen", "coder", "llama")


@pytest.mark.parametrize("model", MODELS)
def test_an_asking_has_one_answer_however_it_is_typed(model: str) -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for question in corpus_of(model).questions:
        for typed in variants(question.ask):
            answers[typed].add(question.say)
    assert [typed for typed, said in answers.items() if len(said) > 1] == []


@pytest.mark.parametrize("model", MODELS)
def test_python_yaml_and_json_in_answers_can_be_read(model: str) -> None:
    said = {question.say for question in corpus_of(model).questions}
    kinds = set()
    for answer in said:
        for kind, block in re.findall(r"```(\w+)\n(.*?)```", answer, re.DOTALL):
            kinds.add(kind)
            if kind == "python":
                ast.parse(block)
            elif kind == "yaml":
                assert isinstance(yaml.safe_load(block)["models"]["my-model"]["weights"], str)
        if answer.startswith(("{", "[")):
            json.loads(answer)
    assert {"python", "yaml"} <= kinds


def test_a_question_stays_a_question_and_a_greeting_may_be_loud() -> None:
    assert "How are you!" not in variants("How are you?")
    assert {"Hola!", "hola", "Hola."} <= set(variants("Hola"))
    assert "你好\uff01" in variants("你好")
