"""How words are spelled: what is learned, and that what is shipped was learned from these words."""

import pytest

from gateway.classify.everyday import Everyday
from gateway.classify.spelling import Spelling, load_spelling, parse_spelling
from tools.spelling.train import TEXTS, digest_of, learn, read_texts


def test_what_is_shipped_was_learned_from_these_words() -> None:
    shipped = load_spelling().learned_from
    assert shipped == digest_of(Everyday(), read_texts()), "run `make spelling`"


def test_what_is_written_reads_as_it_was() -> None:
    file = load_spelling()
    assert parse_spelling(file.dump()) == file


class Two(Everyday):
    """Two languages that spell one sound in two ways."""

    def __init__(self) -> None:
        self.words = {"szosza": ("pl",), "szasz": ("pl",), "šoša": ("cs",), "šaš": ("cs",)}


def test_a_word_that_nobody_listed_is_likest_those_who_spell_so() -> None:
    spelling = Spelling(learn(Two(), {}).tables["latin"])
    found = spelling.likeness(["szaszo"])
    assert max(found, key=found.__getitem__) == "pl"
    found = spelling.likeness(["šošaš"])
    assert max(found, key=found.__getitem__) == "cs"


def test_what_is_no_word_speaks_for_nobody() -> None:
    spelling = Spelling(load_spelling().tables["latin"])
    assert set(spelling.likeness(["x", "4z", "x+y"]).values()) == {0.0}


@pytest.mark.parametrize("word", ["a" * 5000, "\u00e9" * 5000])
def test_however_long_a_word_is_all_its_letters_are_not_looked_at(word: str) -> None:
    spelling = Spelling(load_spelling().tables["latin"])
    assert spelling.likeness([word]) == spelling.likeness([word[:64]])


def test_every_text_is_of_a_language_that_is_told_by_its_words() -> None:
    languages = {one for table in load_spelling().tables.values() for one in table.languages}
    assert {file.stem for file in TEXTS.glob("*.txt")} <= languages
