"""Which language a text is written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.everyday import Everyday
from gateway.classify.kin import Hints
from gateway.classify.language import Found, LanguageFinder
from gateway.classify.plain import plain
from gateway.classify.scripts import ScriptCounter
from gateway.config.weighing import LanguageSection
from gateway.domain import UNDECIDED


@pytest.fixture(scope="module")
def finder() -> LanguageFinder:
    return LanguageFinder(LanguageSection().undecided_below)


def found_in(finder: LanguageFinder, text: str, *hints: str) -> Found:
    return finder.find(plain(text), Hints(hints))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("Hi!", "en"),
        ("yes please", "en"),
        ("hola", "es"),
        ("¿Qué tal?", "es"),
        ("bonjour", "fr"),
        ("Merci beaucoup !", "fr"),
        ("ciao", "it"),
        ("grazie mille", "it"),
        ("danke!", "de"),
        ("wie geht's", "de"),
        ("obrigado", "pt"),
        ("bom dia", "pt"),
        ("dank je wel", "nl"),
        ("cześć", "pl"),
        ("merhaba", "tr"),
        ("terima kasih", "id"),
        ("asante sana", "sw"),
        ("tack så mycket", "sv"),
        ("kiitos", "fi"),
        ("děkuji", "cs"),
        ("mulțumesc", "ro"),
        ("köszönöm", "hu"),
        ("salamat", "tl"),
        ("xin chào", "vi"),
        ("Da li možeš da mi pomogneš?", "hr"),
        ("Šta je glavni grad Australije?", "hr"),
        ("Gdje je najbliža ljekarna?", "hr"),
        ("привет", "ru"),
        ("дякую", "uk"),
        ("你好", "zh"),
        ("谢谢", "zh"),
        ("こんにちは", "ja"),
        ("どうして\uff1f", "ja"),
        ("안녕", "ko"),
        ("สวัสดี", "th"),
        ("مرحبا", "ar"),
        ("سلام", "fa"),
        ("नमस्ते", "hi"),
        ("καλημέρα", "el"),
        ("שלום", "he"),
        ("வணக்கம்", "ta"),
    ],
)
def test_short_texts_are_decided(finder: LanguageFinder, text: str, language: str) -> None:
    assert found_in(finder, text).language == language


@pytest.mark.parametrize("text", ["", " ", "ok", "OK.", "12*7", "👍", "…", "lol", "\x00", "42 %"])
def test_what_belongs_to_no_language_is_undecided(finder: LanguageFinder, text: str) -> None:
    assert found_in(finder, text).language == UNDECIDED


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("python 딕셔너리를 사용하는 서버를 작성해 주세요", "ko"),
        ("Docker 容器和 virtual machine 有什么区别\uff1f", "zh"),
        ("Reactでログイン画面を作って", "ja"),
        ("Tôi muốn học machine learning, bắt đầu từ đâu?", "vi"),
        ("Explain the difference between 了 and 过 in Mandarin grammar.", "en"),
        ("Как настроить nginx reverse proxy?", "ru"),
    ],
)
def test_borrowed_words_do_not_change_the_language(
    finder: LanguageFinder, text: str, language: str
) -> None:
    assert found_in(finder, text).language == language


def test_a_reason_and_a_confidence_come_along(finder: LanguageFinder) -> None:
    found = found_in(finder, "How tall is the tallest tree in the world?")
    assert found.language == "en"
    assert 0.5 <= found.confidence <= 1
    assert "en" in str(found.reason)


def test_a_threshold_beyond_reach_leaves_everything_undecided() -> None:
    strict = LanguageFinder(1.01)
    assert found_in(strict, "How tall is the tallest tree in the world?").language == UNDECIDED


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_answered(finder: LanguageFinder, text: str) -> None:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    found = found_in(finder, clean)
    assert found.language
    assert 0 <= found.confidence <= 1


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain text", "latin"),
        ("Ärger", "latin"),
        ("мир", "cyrillic"),
        ("漢字", "han"),
        ("漢字とかな", "kana"),
        ("한글", "hangul"),
        ("123 !?", None),
        ("“”", None),
    ],
)
def test_scripts_are_told_by_their_letters(text: str, script: str | None) -> None:
    assert ScriptCounter().script_of(text) == script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ek kahani sunao jo choti ho", "hi-Latn"),
        ("qing gei wo jiang yige gushi", "zh-Latn"),
        ("kyou no tenki wa dou desu ka", "ja-Latn"),
        ("ana mish 3aref a3mel eh", "ar-Latn"),
        ("我想知道明天的天气", "zh"),
        ("我想知道明天的天氣", "zh-Hant"),
        ("東京駅周辺図", "ja"),
        ("荷物紛失", "ja"),
        ("電話番号", "ja"),
        ("電話號碼", "zh-Hant"),
        ("电话号码", "zh"),
        ("Kan du forklare forskellen på norsk og dansk?", "da"),
        ("Kan du forklare forskjellen på dansk og norsk?", "no"),
        ("Macam mana nak masak nasi lemak?", "ms"),
        ("Bagaimana cara memasak nasi goreng?", "id"),
    ],
)
def test_near_relatives_and_other_scripts_are_told_apart(
    finder: LanguageFinder, text: str, language: str
) -> None:
    assert found_in(finder, text).language == language


def test_words_without_their_accents_are_known(finder: LanguageFinder) -> None:
    assert found_in(finder, "manana no puedo, adios").language == "es"


def test_unknowns_of_equations_are_no_words(finder: LanguageFinder) -> None:
    assert found_in(finder, "x+y = 4z").language == UNDECIDED


def test_a_hint_settles_what_is_hard_to_tell(finder: LanguageFinder) -> None:
    text = "tri dobre knjige"
    assert found_in(finder, text, "hr").language == "hr"
    assert found_in(finder, text, "sl").language == "sl"


def test_a_hint_does_not_outweigh_the_words(finder: LanguageFinder) -> None:
    assert found_in(finder, "Was kostet ein Haus in Wien?", "en").language == "de"


def test_everyday_words_vote_for_each_of_their_languages() -> None:
    votes = Everyday().votes(" qual é melhor ")
    assert votes.by_language()["pt"] == (3, 1)  # three words and a letter
    assert votes.heard == 3


def test_a_word_may_be_mostly_one_languages_though_its_kin_have_it() -> None:
    votes = Everyday().votes(" bagaimana ")
    assert {"id", "ms"} <= votes.by_language().keys()
    assert votes.alone() == {"id": 1}


def test_what_is_mostly_one_languages_is_anothers_too() -> None:
    everyday = Everyday()
    assert [word for word in everyday.mostly if len(everyday.words[word]) < 2] == []


def test_malay_and_indonesian_are_told_by_their_openers(finder: LanguageFinder) -> None:
    assert found_in(finder, "Boleh bagi contoh tak?").language == "ms"
    assert found_in(finder, "Bagaimana cara membuatnya?").language == "id"


def test_who_writes_one_accent_leaves_out_none() -> None:
    everyday = Everyday()
    assert {"cs", "sk"} <= everyday.votes(" svetlo ").by_language().keys()  # for světlo, too
    marked = everyday.votes(" svetlo ďalej ").by_language()
    assert marked["cs"] == (0, 1)  # the letter alone
    assert marked["sk"] == (1, 1)
