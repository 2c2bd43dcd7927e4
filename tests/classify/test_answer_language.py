"""Which language an answer is asked in, in more than thirty languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.lexicon import read_data
from gateway.classify.plain import plain


@pytest.fixture(scope="module")
def finder() -> AnswerLanguageFinder:
    return AnswerLanguageFinder()


@pytest.mark.parametrize(
    ("text", "written", "asked"),
    [
        ("Answer in Traditional Chinese, please", "en", "zh-Hant"),
        ("Odpověz v angličtině", "cs", "en"),
        ("Preložte do nemčiny: dobrý deň, prelož to", "sk", "de"),
        ("Odgovori na engleskom jeziku", "hr", "en"),
        ("Odgovori v angleščini", "sl", "en"),
        ("Отговори на английски", "bg", "en"),
        ("Переклади англійською: добрий ранок", "uk", "en"),
        ("Tradu în engleză: bună dimineața", "ro", "en"),
        ("Fordítsd angolra: jó reggelt", "hu", "en"),
        ("Μετάφρασε στα αγγλικά: καλημέρα", "el", "en"),
        ("תרגם לאנגלית: בוקר טוב", "he", "en"),
        ("به انگلیسی ترجمه کن: صبح بخیر", "fa", "en"),
        ("اس کا انگریزی میں ترجمہ کریں", "ur", "en"),
        ("ইংরেজিতে অনুবাদ করো", "bn", "en"),
        ("ஆங்கிலத்தில் மொழிபெயர்க்கவும்", "ta", "en"),
        ("ఇంగ్లీష్ లోకి అనువదించండి", "te", "en"),
        ("इंग्रजीत भाषांतर करा", "mr", "en"),
        ("Översätt till engelska: god morgon", "sv", "en"),
        ("Oversæt til engelsk: godmorgen", "da", "en"),
        ("Oversett til engelsk: god morgen", "no", "en"),
        ("Käännä englanniksi: hyvää huomenta", "fi", "en"),
        ("Tõlgi inglise keelde: tere hommikust", "et", "en"),
        ("Išversk į anglų kalbą: labas rytas", "lt", "en"),
        ("Tradueix a l'anglès: bon dia, en anglès", "ca", "en"),
        ("Isalin sa Ingles: magandang umaga", "tl", "en"),
        ("Tafsiri kwa Kiingereza: habari za asubuhi", "sw", "en"),
        ("Terjemahkan ke bahasa Inggeris", "ms", "en"),
        ("ingilis dilinə tərcümə et", "az", "en"),
        ("iska english mein anuvad karo", "hi-Latn", "en"),
        ("請翻譯成繁體中文", "zh-Hant", "zh-Hant"),
        ("請翻譯成法語", "zh-Hant", "fr"),
        ("explain this auf Deutsch", "en", "de"),
        ("tell me more 用中文", "en", "zh"),
        ("English mein batao", "hi", None),
        ("Kan du forklare forskellen på norsk og dansk?", "da", None),
        ("French grammar is hard, explain why", "en", None),
        ("what is the capital", "en", None),
        ("", "undecided", None),
    ],
)
def test_the_asked_language_is_heard(
    finder: AnswerLanguageFinder, text: str, written: str, asked: str | None
) -> None:
    assert finder.find(plain(text), written) == asked


def test_a_strict_reading_hears_only_verbs_of_answering(finder: AnswerLanguageFinder) -> None:
    script = plain("Write a script that translates into English")
    assert finder.find(script, "en") == "en"
    assert finder.find(script, "en", strict=True) is None
    assert finder.find(plain("Fix it and reply in English"), "en", strict=True) == "en"


def test_more_than_thirty_languages_can_ask() -> None:
    assert len(dict(read_data("asking"))) > 40


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.sampled_from(["en", "ja", "x"]),
)
def test_any_text_can_be_heard(finder: AnswerLanguageFinder, text: str, written: str) -> None:
    finder.find(plain(text), written)
