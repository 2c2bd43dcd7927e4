"""Telling whether a text opens or ends as a request does."""

import pytest

from gateway.classify.requesting import RequestWords, load_openings


@pytest.fixture(scope="module")
def words() -> RequestWords:
    return RequestWords(load_openings())


@pytest.mark.parametrize(
    "text",
    [
        "Please be brief",
        "And now explain it",
        "Erklär das",
        "कविता लिखो",
        "请解释一下",
        "理由を教えて",
        "요약해 주세요",
        "Listele",
    ],
)
def test_requests_are_known_by_their_words(words: RequestWords, text: str) -> None:
    assert words.asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "The committee met on Monday and gave no reasons, please or not, to anybody at all there.",
        "ミツバチは花を訪れて蜜を集める。",
        "Der Hund bellt laut.",
    ],
)
def test_other_texts_are_no_requests(words: RequestWords, text: str) -> None:
    assert not words.asks(text)


def test_entries_that_mean_much_in_many_languages_do_not_count() -> None:
    words = RequestWords(["di", "say"])
    assert not words.asks("di say")
