"""Which of several related languages is meant where a text may be of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.requests import ChatRequest, CompletionRequest, Message
from gateway.classify import Weigher
from gateway.classify.kin import Hints, kin_of
from gateway.classify.lexicon import read_file
from gateway.config.vocabulary import LANGUAGES

BOTH = "Apa maksudnya?"  # good Indonesian and good Malay
MALAY = "Macam mana nak masak nasi lemak?"


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher()


def told(weigher: Weigher, *turns: str, system: str = "", headers: tuple[str, ...] = ()) -> str:
    rules = [Message("system", system)] if system else []
    messages = rules + [Message("user", turn) for turn in turns]
    return weigher.weigh_chat(ChatRequest(messages=messages), headers).prompt_language


def test_each_language_is_of_one_family_and_kin_of_its_kin() -> None:
    listed = [one for family in read_file("kin.toml")["families"] for one in family]
    assert len(listed) == len(set(listed))
    assert LANGUAGES.keys() >= set(listed)
    assert all(one in kin_of(other) for one in listed for other in kin_of(one))


def test_what_is_of_both_is_taken_for_what_more_people_write(weigher: Weigher) -> None:
    assert told(weigher, BOTH) == "id"


def test_the_header_says_which_of_kin_is_meant(weigher: Weigher) -> None:
    assert told(weigher, BOTH, headers=("ms", "en")) == "ms"
    assert told(weigher, BOTH, headers=("id", "en")) == "id"
    assert told(weigher, BOTH, headers=("en",)) == "id"


def test_an_earlier_turn_says_which_of_kin_is_meant(weigher: Weigher) -> None:
    assert told(weigher, MALAY, BOTH) == "ms"


def test_a_talk_goes_before_the_header(weigher: Weigher) -> None:
    assert told(weigher, MALAY, BOTH, headers=("id",)) == "ms"


def test_the_system_prompt_says_which_of_kin_is_meant(weigher: Weigher) -> None:
    system = "Awak pembantu yang mesra. Tolong jawab semua soalan pelanggan dengan ringkas."
    assert told(weigher, BOTH, system=system) == "ms"
    assert told(weigher, BOTH, system="You are a friendly assistant.") == "id"


def test_a_completion_hears_the_header_too(weigher: Weigher) -> None:
    assert weigher.weigh(CompletionRequest(prompt=BOTH), ("ms",)).prompt_language == "ms"


def test_a_word_that_kin_do_not_have_counts_more_than_what_is_hinted_at(weigher: Weigher) -> None:
    assert told(weigher, "Jeg kender ikke vejen", headers=("no",)) == "da"
    assert told(weigher, "Qual é a melhor escola?", headers=("es",)) == "pt"


@pytest.mark.parametrize(
    ("talk", "text", "language"),
    [
        ("Kan du hjälpa mig med en dikt om våren?", "ja", "sv"),
        ("Wie wird das Wetter morgen in Bonn?", "ja", "de"),
        ("Mi scrivi una lettera per il vicino?", "non", "it"),
        ("Što da skuham za večeru?", "ne", "hr"),
        ("Czy możesz mi pomóc z zadaniem?", "tak", "pl"),
        ("Kan du hjælpe mig med lektierne?", "hej", "da"),
        ("Kann ich das morgen noch ändern?", "thanks", "en"),
    ],
)
def test_a_set_phrase_of_many_languages_is_the_talks(
    weigher: Weigher, talk: str, text: str, language: str
) -> None:
    assert told(weigher, talk, text) == language


def test_an_earlier_turn_in_another_family_changes_nothing(weigher: Weigher) -> None:
    alone = told(weigher, BOTH)
    assert told(weigher, "How tall is the tallest tree in the world?", BOTH) == alone


def test_serbian_in_latin_letters_is_hinted_at_as_croatian(weigher: Weigher) -> None:
    assert told(weigher, "tri dobre knjige", headers=("sr",)) == "hr"


def test_hindi_is_hinted_at_in_latin_letters_too(weigher: Weigher) -> None:
    assert told(weigher, "alarm laga do", headers=("hi", "en")) == "hi-Latn"
    assert told(weigher, "what is the time", headers=("hi", "en")) == "en"


@pytest.mark.parametrize(
    ("text", "headers", "language"),
    [
        ("你好", (), "zh"),
        ("你好", ("zh-Hant",), "zh-Hant"),
        ("你好", ("ja",), "zh"),
        ("大阪", ("ja",), "ja"),
        ("電話番號", (), "zh-Hant"),
        ("电话号码", ("zh-Hant",), "zh"),
        ("我想知道明天的天氣", ("ja",), "zh-Hant"),
    ],
)
def test_characters_that_all_have_are_of_the_one_that_is_hinted_at(
    weigher: Weigher, text: str, headers: tuple[str, ...], language: str
) -> None:
    assert told(weigher, text, headers=headers) == language


@given(st.lists(st.sampled_from(sorted(LANGUAGES))), st.sampled_from(sorted(LANGUAGES)))
def test_only_kin_of_a_language_can_be_meant_in_its_place(spoken: list[str], language: str) -> None:
    meant = Hints(spoken=tuple(spoken)).of_family(language)
    assert meant is None or meant in {language, *kin_of(language)}
