"""Which script a text is written in, by counting letters.

Owns: the ranges of scripts and the languages each of them may be.
Must not: tell languages of one script apart (`gateway.classify.language` does).
"""

import re
from collections import Counter

_SAMPLE_LETTERS = 128

# First and last code point, script. All bounds are multiples of 16, which the table relies on.
_RANGES = (
    (0x0040, 0x007F, "latin"),
    (0x00C0, 0x024F, "latin"),
    (0x1E00, 0x1EFF, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x1F00, 0x1FFF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x077F, "arabic"),
    (0x08A0, 0x08FF, "arabic"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFF, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"),
    (0x0A00, 0x0A7F, "gurmukhi"),
    (0x0A80, 0x0AFF, "gujarati"),
    (0x0B00, 0x0B7F, "odia"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"),
    (0x0C80, 0x0CFF, "kannada"),
    (0x0D00, 0x0D7F, "malayalam"),
    (0x0D80, 0x0DFF, "sinhala"),
    (0x0E00, 0x0E7F, "thai"),
    (0x0E80, 0x0EFF, "lao"),
    (0x0F00, 0x0FFF, "tibetan"),
    (0x1000, 0x109F, "myanmar"),
    (0x10A0, 0x10FF, "georgian"),
    (0x1200, 0x139F, "ethiopic"),
    (0x1780, 0x17FF, "khmer"),
    (0x1100, 0x11FF, "hangul"),
    (0x3130, 0x318F, "hangul"),
    (0xAC00, 0xD7AF, "hangul"),
    (0x3040, 0x30FF, "kana"),
    (0xFF60, 0xFF9F, "kana"),
    (0x3400, 0x4DBF, "han"),
    (0x4E00, 0x9FFF, "han"),
    (0x3100, 0x312F, "han"),
    (0xF900, 0xFAFF, "han"),
    (0x20000, 0x323AF, "han"),
)

# Scripts that one language of a gateway's clients writes: no detector needed.
SOLE = {
    "greek": "el", "armenian": "hy", "hebrew": "he", "bengali": "bn", "gurmukhi": "pa",
    "gujarati": "gu", "odia": "or", "tamil": "ta", "telugu": "te", "kannada": "kn",
    "malayalam": "ml", "sinhala": "si", "thai": "th", "lao": "lo", "tibetan": "bo",
    "myanmar": "my", "georgian": "ka", "ethiopic": "am", "khmer": "km", "hangul": "ko",
    "kana": "ja",
}  # fmt: skip

# Scripts of several languages: those that are told apart.
SHARED = {
    "latin": frozenset((
        "en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "id", "ms", "vi", "sw", "sv",
        "da", "no", "fi", "et", "cs", "sk", "ro", "hu", "tl", "ca", "az", "hr", "sl", "lt",
        "lv", "af", "sq", "eu", "gl", "ga", "cy", "is", "uz", "jv", "eo", "la", "mt",
        "hi-Latn", "zh-Latn", "ja-Latn", "ar-Latn",
    )),
    "cyrillic": frozenset((
        "ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn", "tg", "tt",
    )),
    "arabic": frozenset((
        "ar", "fa", "ur", "ps", "ku", "sd", "ug",
    )),
    "devanagari": frozenset((
        "hi", "mr", "ne", "sa",
    )),
}  # fmt: skip

_WEIGHT = {"han": 2, "kana": 2, "hangul": 2}  # a sign of these stands for two letters
_NOT_LATIN_SHARE = 0.3  # names and terms in Latin letters are common in every language
_KANA_SHARE = 0.08
# Any sign of a script that is not Latin; punctuation and pictures are left out.
_NOT_LATIN = re.compile(
    "[\u0370-\u1dff\u1f00-\u1fff\u3040-\ud7ff\uf900-\ufdff\ufe70-\ufeff\uff60-\uff9f"
    "\U00020000-\U000323af]"
)


class ScriptCounter:
    """Counts letters by script; built once. Safe from any thread."""

    def __init__(self) -> None:
        self._blocks = {
            block: script
            for first, last, script in _RANGES
            for block in range(first >> 4, (last >> 4) + 1)
        }

    def script_of(self, text: str) -> str | None:
        """Return the script that leads, None where there are no letters.

        `kana` stands for a mixture of it with han, as Japanese is written.
        """
        if text.isascii() or not _NOT_LATIN.search(text):
            return "latin" if any(map(str.isalpha, text)) else None
        weights = self._weights(text)
        east = weights.pop("han", 0) + weights.get("kana", 0)
        kana = weights.pop("kana", 0)
        if east:
            weights["kana" if kana >= east * _KANA_SHARE else "han"] = east
        leading = max((s for s in weights if s != "latin"), key=weights.__getitem__, default="")
        if not leading or weights[leading] < sum(weights.values()) * _NOT_LATIN_SHARE:
            return "latin" if "latin" in weights else leading or None
        return leading

    def _weights(self, text: str) -> dict[str, int]:
        """Weigh each script's letters in a sample spread over the whole text."""
        sample = text[:: len(text) // _SAMPLE_LETTERS + 1]
        seen = Counter([self._blocks.get(ord(sign) >> 4) for sign in sample])
        return {s: count * _WEIGHT.get(s, 1) for s, count in seen.items() if s is not None}
