"""The data files and how their entries match."""

import pytest

from gateway.classify.lexicon import Index, load_lexicons
from gateway.classify.plain import plain

TASK_KEYS = {
    "translate", "summarize", "extract", "make", "fix", "rewrite", "role", "code", "text", "math",
    "reason", "wh", "ask", "act", "greet", "brief", "document", "field", "tone", "live", "device",
    "quantity", "logic", "advice",
}  # fmt: skip


def found(entries: list[str], text: str, *, spaced: bool = True) -> list[str]:
    index = Index([("k", entry) for entry in entries], spaced=spaced)
    return [hit.entry for hit in index.scan(plain(text))]


def test_plain_sets_words_apart_by_one_space() -> None:
    assert plain("  L'été,\n c'est\tICI!") == " l été c est ici "


def test_the_turkish_dotted_i_is_an_i() -> None:
    assert plain("İngilizce") == " ingilizce "


def test_an_entry_matches_the_start_of_a_word() -> None:
    assert found(["summari", "am"], "Summarize this, am I right? spam") == ["summari", "am"]
    assert found(["hi "], "hi there, history") == ["hi "]
    assert found(["act as"], "please act as a tree; react as one") == ["act as"]


def test_a_brief_entry_matches_a_longer_word() -> None:
    assert found(["où", "é"], "où est l'été") == ["où", "é"]


def test_without_spaces_an_entry_matches_anywhere() -> None:
    assert found(["翻译", "语"], "请把它翻译成法语", spaced=False) == ["翻译", "语"]


def test_every_language_has_every_key() -> None:
    for lexicon in load_lexicons().values():
        keys = {key for key in TASK_KEYS if key not in ("wh", "ask")}
        entries = [entry for _, entry in lexicon.tasks.entries()]
        assert {key for key, _ in lexicon.tasks.entries()} >= keys, lexicon.language
        assert all(entry.strip() for entry in entries)


@pytest.mark.parametrize(
    "code", ["en", "de", "fr", "es", "zh", "ja", "ru", "ar", "hi", "th", "cs", "sw"]
)
def test_a_dozen_languages_can_be_read(code: str) -> None:
    assert code in load_lexicons()
