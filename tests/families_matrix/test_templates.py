"""Each official template renders in our sandbox, and what it writes of calls is read again."""

from pathlib import Path

import pytest

from engines.llamacpp.speech.dialect import dialect_of
from tools.families.kin import KIN, Official
from tools.families.official import THE_CALL, WITHOUT_TOOLS, failures, heard_again, template_source
from tools.families.toys import TOYS

ARCHITECTURES = {toy.name: toy.architecture for toy in TOYS}
TEMPLATES = [
    pytest.param(official, ARCHITECTURES[kin.toy], id=official.file)
    for kin in KIN
    for official in kin.templates
]


OFFICIAL = {official.file: official for kin in KIN for official in kin.templates}


@pytest.mark.parametrize("official", OFFICIAL.values(), ids=list(OFFICIAL))
def test_every_conversation_becomes_a_whole_prompt(models: Path, official: Official) -> None:
    wrong = failures(template_source(models, official.file))
    if official.tools == "none":
        assert set(wrong) == {"tools", "result", "results"}
        assert "template rejects" in wrong["result"]
    else:
        assert wrong == ({} if official.tools == "whole" else {"tools": "it lacks weather"})
    assert not set(wrong) & set(WITHOUT_TOOLS)


@pytest.mark.parametrize(("official", "architecture"), TEMPLATES)
def test_the_dialect_is_the_familys(models: Path, official: Official, architecture: str) -> None:
    dialect = dialect_of(template_source(models, official.file), architecture)
    assert dialect.form.name == official.form
    assert (dialect.tags.opening if dialect.tags else None) == official.opening


@pytest.mark.parametrize(
    ("official", "architecture"),
    [param for param in TEMPLATES if param.values[0].form != "plain"],  # type: ignore[union-attr]
)
def test_a_call_is_read_as_the_template_writes_it(
    models: Path, official: Official, architecture: str
) -> None:
    assert heard_again(template_source(models, official.file), architecture) == THE_CALL
