"""Answers are held to schemas in the vocabularies of all families, not only in byte-level ones."""

import json
from pathlib import Path

import pytest

from tests.support.contract import CHAT, user
from tests.support.worker import working
from tools.families.toy_files import write_toy
from tools.families.toys import TOYS

SCHEMA = {
    "type": "object",
    "properties": {"what": {"enum": ["the bridge", "one"]}, "sure": {"type": "boolean"}},
    "required": ["what", "sure"],
    "additionalProperties": False,
}
WISH = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}


@pytest.mark.parametrize("name", ["llama-2", "gemma2"])
async def test_noise_is_held_to_a_schema(name: str, tmp_path: Path) -> None:
    toy = next(toy for toy in TOYS if toy.name == name)
    weights = write_toy(toy, tmp_path / "toy.gguf")
    with working(str(weights)) as worker:
        async with worker.client() as http:
            ask = {"messages": user("what?"), "response_format": WISH, "max_tokens": 300}
            told = await http.post(CHAT, json=ask)
    assert told.status_code == 200, told.text
    answer = json.loads(told.json()["choices"][0]["message"]["content"])
    assert answer["what"] in {"the bridge", "one"}
    assert isinstance(answer["sure"], bool)
