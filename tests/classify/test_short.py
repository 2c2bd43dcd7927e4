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
TALK = Path(__file__).parent / "data" / "talk.jsonl"
STREET = Path(__file__).parent / "data" / "street.jsonl"
EVENING = Path(__file__).parent / "data" / "evening.jsonl"
COUNTER = Path(__file__).parent / "data" / "counter.jsonl"
ERRAND = Path(__file__).parent / "data" / "errand.jsonl"
PORCH = Path(__file__).parent / "data" / "porch.jsonl"
LANE = Path(__file__).parent / "data" / "lane.jsonl"


class Row(msgspec.Struct):
    text: str
    prompt_language: str


def rows_of(file: Path) -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return rows_of(FILE)


def held_out(row: Row) -> bool:
    return zlib.crc32(row.text.encode()) % 2 == 1


def test_the_set_is_what_it_says(rows: list[Row]) -> None:
    assert len(rows) == len({row.text for row in rows}) == 1458
    assert all(len(row.text) <= 20 for row in rows)
    assert sum(count >= 20 for count in Counter(row.prompt_language for row in rows).values()) >= 30


def test_most_short_texts_are_told_and_few_of_them_wrongly(rows: list[Row]) -> None:
    counted = [row for row in rows if held_out(row)]
    right, wrong = shares_of(counted)
    assert right >= 0.95
    assert wrong <= 0.04


def test_everyday_talk_is_told_in_most_languages() -> None:
    right, wrong = shares_of(rows_of(TALK))
    assert right >= 0.94
    assert wrong <= 0.05


def test_household_words_are_told_in_most_languages() -> None:
    right, wrong = shares_of(rows_of(STREET))
    assert right >= 0.94
    assert wrong <= 0.05


def test_commands_and_complaints_are_told_in_most_languages() -> None:
    right, wrong = shares_of(rows_of(ERRAND))
    assert right >= 0.96
    assert wrong <= 0.03


def test_strangers_sentences_of_rare_words_are_mostly_told() -> None:
    right, wrong = shares_of(rows_of(PORCH))
    assert right >= 0.89
    assert wrong <= 0.10


def test_sentences_of_themes_that_no_list_has_are_mostly_told() -> None:
    right, wrong = shares_of(rows_of(LANE))
    assert right >= 0.82
    assert wrong <= 0.11


@pytest.mark.parametrize("file", [COUNTER, EVENING, PORCH, LANE], ids=lambda file: file.stem)
def test_the_browsers_language_settles_nearly_all_that_kin_share(file: Path) -> None:
    right, wrong = shares_of(rows_of(file), hinted=True)
    assert right >= 0.95
    assert wrong <= 0.05


@pytest.mark.parametrize("file", [COUNTER, EVENING], ids=lambda file: file.stem)
def test_strings_that_were_only_counted_are_told_in_most_languages(file: Path) -> None:
    right, wrong = shares_of(rows_of(file))
    assert right >= 0.94
    assert wrong <= 0.06


def shares_of(counted: list[Row], *, hinted: bool = False) -> tuple[float, float]:
    """Return which shares are right and wrong; `hinted`: where a header names the language."""
    weigher = Weigher()
    right = wrong = 0
    for row in counted:
        request = ChatRequest(messages=[Message("user", row.text)])
        headers = (row.prompt_language,) if hinted else ()
        found = weigher.weigh_chat(request, headers).prompt_language
        wanted = UNDECIDED if row.prompt_language == "und" else row.prompt_language
        right += found == wanted
        wrong += found not in (wanted, UNDECIDED)
    return right / len(counted), wrong / len(counted)
