"""Whether a text in Chinese characters alone is Simplified or Traditional Chinese, or Japanese.

Owns: telling them by the character sets that China, Taiwan and Japan drew up for themselves, and
the words of `data/han.toml`.
Must not: look at other scripts: with kana beside it a text is Japanese anyway.
"""

import functools
import re

from gateway.classify.lexicon import read_file

_SAMPLE_CHARS = 120
_NAME_CHARS = 8
_CHARSETS = ("gb2312", "big5", "shift_jis")


def varieties_of_han(text: str) -> tuple[str, ...]:
    """Return what of `zh`, `zh-Hant` and `ja` a text may be, the likeliest first.

    What all of them write so is most likely Simplified.
    """
    sample = text[:_SAMPLE_CHARS]
    in_china, in_taiwan, in_japan = (set(_held(sample, charset)) for charset in _CHARSETS)
    simplified = len(in_china - in_taiwan)
    traditional = len(in_taiwan - in_china)
    japanese = len(in_japan - in_china - in_taiwan)
    if japanese > simplified and japanese >= traditional:
        return ("ja",)
    # Japan simplified some characters as China did and left others: nobody else mixes them.
    mixed = simplified > 0 < traditional or _japanese_words().search(sample) is not None
    in_japan_too = in_japan.issuperset(sample)
    if mixed and in_japan_too:
        return ("ja",)
    # A whole sentence of Japanese has kana in it.
    japan_too = ("ja",) if in_japan_too and len(sample) <= _NAME_CHARS else ()
    if simplified == traditional == 0:
        return ("zh", "zh-Hant", *japan_too)
    return ("zh-Hant" if traditional > simplified else "zh", *japan_too)


def _held(text: str, charset: str) -> str:
    return text.encode(charset, "ignore").decode(charset)


@functools.cache
def _japanese_words() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, read_file("han.toml")["japanese"])))
