"""Which language a text is written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.language import LanguageFinder
from gateway.classify.scripts import ScriptCounter
from gateway.domain import UNDECIDED


@pytest.fixture(scope="module")
def finder() -> LanguageFinder:
    return LanguageFinder()


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
    assert finder.find(text).language == language


@pytest.mark.parametrize("text", ["", " ", "ok", "OK.", "12*7", "👍", "…", "lol", "\x00", "42 %"])
def test_what_belongs_to_no_language_is_undecided(finder: LanguageFinder, text: str) -> None:
    assert finder.find(text).language == UNDECIDED


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
    assert finder.find(text).language == language


def test_a_reason_and_a_confidence_come_along(finder: LanguageFinder) -> None:
    found = finder.find("How tall is the tallest tree in the world?")
    assert found.language == "en"
    assert 0.4 <= found.confidence <= 1
    assert "en scores" in found.reason


def test_a_threshold_beyond_reach_leaves_everything_undecided() -> None:
    strict = LanguageFinder(threshold=1.01)
    assert strict.find("How tall is the tallest tree in the world?").language == UNDECIDED


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_answered(finder: LanguageFinder, text: str) -> None:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    found = finder.find(clean)
    assert found.language
    assert 0 <= found.confidence <= 1


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain text", "latin"),
        ("Ärger", "latin"),
        ("мир", "cyrillic"),
        ("漢字", "chinese"),
        ("漢字とかな", "japanese"),
        ("한글", "hangul"),
        ("123 !?", None),
        ("“”", None),
    ],
)
def test_scripts_are_told_by_their_letters(text: str, script: str | None) -> None:
    assert ScriptCounter().script_of(text) == script
