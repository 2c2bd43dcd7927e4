"""Which language an answer is asked in, in more than thirty languages."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.lexicon import read_data
from gateway.classify.plain import plain
from gateway.config.vocabulary import LANGUAGES


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


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Write an introduction to Greek mythology", None),
        ("Explain the role of women in Greek tragedy", None),
        ("Write a story set in the French countryside", None),
        ("Describe the climate in Germany", None),
        ("Write a letter to French customers", None),
        ("Explain the subjunctive in French and why it matters", None),
        ("Please use Polish notation for this: explain it", None),
        ("Write a poem in French about the sea", "fr"),
        ("Explain it in Greek", "el"),
        ("explain in spanish photosynthesis", "es"),
        ("put this in german good morning everyone", "de"),
        ("Give me a summary in the Italian language", "it"),
        ("Translate the text about life in Greek villages into French: the sea", "fr"),
        ("translate to german and keep the tone: how are you", "de"),
        ("Translate into Canadian French: see you later", "fr"),
    ],
)
def test_a_language_that_is_only_mentioned_is_not_asked_for(
    finder: AnswerLanguageFinder, text: str, asked: str | None
) -> None:
    assert finder.find(plain(text), "en") == asked


@pytest.mark.parametrize(
    ("text", "written", "asked"),
    [
        ("Do not answer in French", "en", None),
        ("Please don't reply in German, I do not read it", "en", None),
        ("Never translate it into Spanish", "en", None),
        ("Do not answer in French but in Italian", "en", "it"),
        ("Do not use any lists and answer in French", "en", "fr"),
        ("How do I say no in French? Translate it", "en", "fr"),
        ("Antworte nicht auf Englisch, sondern auf Polnisch", "de", "pl"),
        ("Antworte bitte nicht auf Englisch", "de", None),
        ("Ne réponds pas en anglais", "fr", None),
        ("No respondas en inglés", "es", None),
        ("No uses listas y responde en inglés", "es", "en"),
        ("Non rispondere in inglese", "it", None),
        ("Não responda em inglês", "pt", None),
        ("Antwoord niet in het Engels", "nl", None),
        ("Svara inte på engelska", "sv", None),
        ("Nie odpowiadaj po angielsku", "pl", None),
        ("Не отвечай на английском", "ru", None),  # noqa: RUF001 - Russian
        ("不要用英语回答", "zh", None),
        ("请用英语回答", "zh", "en"),
    ],
)
def test_a_language_that_is_forbidden_is_not_asked_for(
    finder: AnswerLanguageFinder, text: str, written: str, asked: str | None
) -> None:
    assert finder.find(plain(text), written, raw=text) == asked


def test_a_mark_behind_a_name_tells_that_no_noun_follows(finder: AnswerLanguageFinder) -> None:
    text = "Describe this picture in Italian, short"
    assert finder.find(plain(text), "en", raw=text) == "it"
    assert finder.find(plain(text), "en") is None


@pytest.mark.parametrize(
    ("text", "written", "asked"),
    [
        ("Schreib eine Einführung in die griechische Mythologie", "de", None),
        ("Beschreibe das Leben in japanischen Städten", "de", None),
        ("Antworte in französischer Sprache", "de", "fr"),
        ("Opisz wakacje na greckiej wyspie", "pl", None),
        ("Odpowiedz po niemiecku", "pl", "de"),
        ("Расскажи об отдыхе на греческих островах", "ru", None),  # noqa: RUF001 - Russian
        ("Ответь по-английски", "ru", "en"),
        ("Popiš život v německém městě", "cs", None),
        ("Odpověz v německém jazyce", "cs", "de"),
        ("Odpověz německy", "cs", "de"),
        ("Povedz to po maďarsky", "sk", "hu"),
        ("Odgovori po nemško", "sl", "de"),
        ("Розкажи про польську кухню", "uk", None),
        ("Schrijf over het leven in Duitse steden", "nl", None),
    ],
)
def test_a_name_that_is_declined_before_a_noun_is_an_adjective(
    finder: AnswerLanguageFinder, text: str, written: str, asked: str | None
) -> None:
    assert finder.find(plain(text), written) == asked


@pytest.mark.parametrize(
    ("text", "written", "asked"),
    [
        ("Übersetze ins Bulgarische: guten Tag", "de", "bg"),
        ("Traduis en catalan : bonjour", "fr", "ca"),
        ("Traduce al gallego: buenos días", "es", "gl"),
        ("Traduza para tcheco: bom dia", "pt", "cs"),
        ("Переведи на иврит: доброе утро", "ru", "he"),
        ("翻译成希伯来语：早上好", "zh", "he"),  # noqa: RUF001 - as Chinese is written
        ("繁体字中国語に翻訳して", "ja", "zh-Hant"),
        ("우크라이나어로 번역해 줘", "ko", "uk"),
        ("Dịch sang tiếng Hà Lan: xin chào", "vi", "nl"),
        ("ترجم إلى الهولندية", "ar", "nl"),
        ("Translate to Welsh: good morning", "en", "cy"),
    ],
)
def test_names_of_rarer_languages_are_known_too(
    finder: AnswerLanguageFinder, text: str, written: str, asked: str
) -> None:
    assert finder.find(plain(text), written) == asked


def test_every_name_is_of_one_language_that_rules_can_name() -> None:
    for written, data in read_data("asking"):
        listed = [
            (name, code)
            for code, given in data["names"].items()
            for name in ([given] if isinstance(given, str) else given)
        ]
        assert len({name for name, _ in listed}) == len(listed), written
        assert {code for _, code in listed} <= LANGUAGES.keys(), written


def test_english_has_a_name_for_all_languages_that_weighing_tells() -> None:
    names = dict(read_data("asking"))["en"]["names"]
    assert LANGUAGES.keys() - names.keys() == {"ar-Latn", "ja-Latn", "zh-Latn"}


def test_a_short_text_may_name_languages_as_its_kin_do(finder: AnswerLanguageFinder) -> None:
    assert finder.find(plain("Skriv det her på tjekkisk"), "no") == "cs"
    assert finder.find(plain("Wat is 'buurman' in het Hongaars?"), "af") == "hu"


def test_a_few_words_ask_for_a_language_without_a_verb(finder: AnswerLanguageFinder) -> None:
    assert finder.in_brief(plain("and now in French"), "en") == "fr"
    assert finder.in_brief(plain("Und jetzt auf Italienisch, bitte"), "de") == "it"
    assert finder.in_brief(plain("ahora en inglés"), "es") == "en"
    assert finder.in_brief(plain("and in German cities?"), "en") is None
    assert finder.in_brief(plain("The label is in Greek"), "en") is None
    assert finder.find(plain("Your entire response is in Greek"), "en", strict=True) == "el"
    assert (
        finder.in_brief(plain("what is it like to live in a town where people speak French"), "en")
        is None
    )


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


class Row(msgspec.Struct):
    text: str
    prompt_language: str
    language: str = ""


def rows_of(name: str) -> list[Row]:
    path = Path(__file__).parent / "data" / name
    return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines()]


def test_most_requests_get_the_language_that_they_ask_for() -> None:
    weigher, rows = Weigher(), rows_of("targets.jsonl")
    requests = [ChatRequest(messages=[Message("user", row.text)]) for row in rows]
    told = [weigher.weigh_chat(request).language for request in requests]
    right = sum(language == row.language for language, row in zip(told, rows, strict=True))
    assert right / len(rows) >= 0.9


def test_most_instructions_are_told_from_documents_of_other_languages() -> None:
    weigher, rows = Weigher(), rows_of("supplied.jsonl")
    requests = [ChatRequest(messages=[Message("user", row.text)]) for row in rows]
    told = [weigher.weigh_chat(request).prompt_language for request in requests]
    right = sum(language == row.prompt_language for language, row in zip(told, rows, strict=True))
    assert right / len(rows) >= 0.94
