"""Which languages the headers of a request hint at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify import language_hints
from gateway.config.vocabulary import LANGUAGES


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        ([], ()),
        ([(b"accept", b"*/*")], ()),
        ([(b"accept-language", b"de-DE,de;q=0.9,en;q=0.8")], ("de", "en")),
        ([(b"Accept-Language", b"en;q=0.5, fr")], ("fr", "en")),
        ([(b"accept-language", b"zh-TW, zh-CN")], ("zh-Hant", "zh")),
        ([(b"accept-language", b"nb-NO, iw")], ("no", "he")),
        ([(b"accept-language", b"*, it;q=0, es;q=x")], ()),
        ([(b"accept-language", b"tlh, klingon, x-private, german, pt-BR")], ("pt",)),
        ([(b"x-weighbridge-language", b"hi-Latn, ar-latn")], ("hi-Latn", "ar-Latn")),
        ([(b"x-weighbridge-language", b"German, cn, klingon, und")], ("de", "zh")),
        ([(b"accept-language", b"en"), (b"x-weighbridge-language", b"sw")], ("sw", "en")),
    ],
)
def test_languages_come_in_the_order_of_preference(
    headers: list[tuple[bytes, bytes]], hints: tuple[str, ...]
) -> None:
    assert language_hints(headers) == hints


@given(st.binary(max_size=200), st.sampled_from([b"accept-language", b"x-weighbridge-language"]))
def test_any_value_can_be_read_and_gives_only_languages_that_rules_can_name(
    value: bytes, name: bytes
) -> None:
    hints = language_hints([(name, value)])
    assert len(hints) <= 5
    assert LANGUAGES.keys() >= set(hints)
