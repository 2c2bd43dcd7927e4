"""Each official template renders in our sandbox, and what it writes of calls is read again."""

from pathlib import Path

import pytest

from tools.families.kin import KIN, NEIGHBOURS, Official
from tools.families.official import (
    THE_CALL,
    THE_THOUGHT,
    failures,
    heard_again,
    spoken,
    template_source,
    thought_again,
)
from tools.families.toys import TOYS

ARCHITECTURES = {toy.name: toy.architecture for toy in TOYS}
TEMPLATES = [
    *(
        pytest.param(official, ARCHITECTURES[kin.toy], id=official.file)
        for kin in KIN
        for official in kin.templates
    ),
    *(pytest.param(official, "", id=official.file) for official in NEIGHBOURS),
]

pytestmark = pytest.mark.parametrize(("official", "architecture"), TEMPLATES)


def test_every_conversation_becomes_a_whole_prompt(
    models: Path, official: Official, architecture: str
) -> None:
    assert failures(template_source(models, official.file), architecture) == {}


def test_the_model_is_told_of_tools(models: Path, official: Official, architecture: str) -> None:
    template = spoken(template_source(models, official.file), architecture).template
    assert template.tells_of_tools is (official.tools == "template")


def test_the_dialect_is_the_familys(models: Path, official: Official, architecture: str) -> None:
    dialect = spoken(template_source(models, official.file), architecture).dialect
    assert dialect.form.name == official.form
    assert (dialect.tags.opening if dialect.tags else None) == official.opening


def test_a_call_is_read_as_the_template_writes_it(
    models: Path, official: Official, architecture: str
) -> None:
    assert heard_again(template_source(models, official.file), architecture) == THE_CALL


def test_a_thought_is_heard_apart_from_the_answer(
    models: Path, official: Official, architecture: str
) -> None:
    heard = thought_again(template_source(models, official.file), architecture)
    assert heard == (THE_THOUGHT if official.opening else [])
