"""Whether a text in Chinese characters alone is Simplified or Traditional Chinese, or Japanese.

Owns: telling them by the character sets that China, Taiwan and Japan drew up for themselves.
Must not: look at other scripts: with kana beside it a text is Japanese anyway.
"""

_SAMPLE_CHARS = 120


def variety_of_han(text: str) -> str:
    """Return `zh`, `zh-Hant` or `ja`; what all of them write so is taken for Simplified."""
    sample = text[:_SAMPLE_CHARS]
    in_china, in_taiwan, in_japan = (
        set(_held(sample, charset)) for charset in ("gb2312", "big5", "shift_jis")
    )
    simplified = len(in_china - in_taiwan)
    traditional = len(in_taiwan - in_china)
    japanese = len(in_japan - in_china - in_taiwan)
    if japanese > simplified and japanese >= traditional:
        return "ja"
    return "zh-Hant" if traditional > simplified else "zh"


def _held(text: str, charset: str) -> str:
    return text.encode(charset, "ignore").decode(charset)
