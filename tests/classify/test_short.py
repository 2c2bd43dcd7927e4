"""Short texts in many languages: how many are told, on the half that nothing was tuned on."""

import zlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.domain import UNDECIDED

FILE = Path(__file__).parent / "data" / "short.jsonl"


class Row(msgspec.Struct):
    text: str
    prompt_language: str


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in FILE.read_bytes().splitlines()]


def held_out(row: Row) -> bool:
    return zlib.crc32(row.text.encode()) % 2 == 1


def test_the_set_is_what_it_says(rows: list[Row]) -> None:
    assert len(rows) == len({row.text for row in rows}) == 1458
    assert all(len(row.text) <= 20 for row in rows)
    assert sum(count >= 20 for count in Counter(row.prompt_language for row in rows).values()) >= 30


def test_most_short_texts_are_told_and_few_of_them_wrongly(rows: list[Row]) -> None:
    weigher = Weigher()
    right = wrong = 0
    counted = [row for row in rows if held_out(row)]
    for row in counted:
        request = ChatRequest(messages=[Message("user", row.text)])
        found = weigher.weigh_chat(request).prompt_language
        wanted = UNDECIDED if row.prompt_language == "und" else row.prompt_language
        right += found == wanted
        wrong += found not in (wanted, UNDECIDED)
    assert right / len(counted) >= 0.95
    assert wrong / len(counted) <= 0.04
