"""The words that weighing can give, which are the only ones that conditions can wait for.

Owns: the closed vocabularies of `when:`, and what people write in place of them.
Must not: weigh anything; `gateway.classify` does, and a test holds the two together.
"""

import difflib
from collections.abc import Container, Iterable

from gateway.domain import UNDECIDED

AUTO = "auto"
# Variants of `auto` that exist without a rule that names them: a class of models, an order of them.
CLASS_VARIANTS = ("small", "medium", "large")
ORDER_VARIANTS = (*CLASS_VARIANTS, "fast", "best")

# Conditions on languages, which have varieties: `zh` is said of `zh-Hant` too.
_VARIED = ("language", "prompt_language")

REQUEST_SIZES = ("small", "medium", "large")
TASKS = (
    "code",
    "math",
    "reasoning",
    "translation",
    "summarization",
    "extraction",
    "writing",
    "general",
    "tool_use",
    "vision",
    "audio",
    "embedding",
    "rerank",
    UNDECIDED,
)
# Variants of `auto` that say the task, so that nobody has to find it out.
TASK_VARIANTS = TASKS[: TASKS.index("tool_use") + 1]

# ISO 639-1 code, and the script where it is not the usual one -> English name: every language that
# weighing tells from others.
LANGUAGES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian",
    "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan", "ca": "Catalan", "cs": "Czech",
    "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jv": "Javanese",
    "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean",
    "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lo": "Lao", "lt": "Lithuanian",
    "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "mt": "Maltese", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "no": "Norwegian", "or": "Odia", "pa": "Punjabi", "pl": "Polish", "ps": "Pashto",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sa": "Sanskrit", "sd": "Sindhi",
    "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai",
    "tl": "Tagalog", "tr": "Turkish", "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian",
    "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese",
    "ar-Latn": "Arabic in Latin letters", "hi-Latn": "Hindi in Latin letters",
    "ja-Latn": "Japanese in Latin letters", "zh-Hant": "Traditional Chinese",
    "zh-Latn": "Chinese in Latin letters",
}  # fmt: skip

# Codes of countries, codes of three letters and old codes that are taken for a language's.
_MISTAKEN = {
    "jp": "ja", "jpn": "ja", "cn": "zh", "zho": "zh", "chi": "zh", "mandarin": "zh", "kr": "ko",
    "kor": "ko", "cz": "cs", "ces": "cs", "gr": "el", "ell": "el", "dk": "da", "dan": "da",
    "se": "sv", "swe": "sv", "nb": "no", "nn": "no", "nor": "no", "ua": "uk", "ukr": "uk",
    "iw": "he", "heb": "he", "in": "id", "ind": "id", "vn": "vi", "vie": "vi", "ir": "fa",
    "farsi": "fa", "fil": "tl", "filipino": "tl", "gb": "en", "us": "en", "eng": "en", "deu": "de",
    "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "castilian": "es", "ita": "it",
    "por": "pt", "br": "pt", "rus": "ru", "ara": "ar", "hin": "hi", "pol": "pl", "tur": "tr",
    "tha": "th", "nld": "nl", "dut": "nl", "fin": "fi", "ee": "et", "rs": "sr", "by": "be",
    "unknown": UNDECIDED, "und": UNDECIDED, "none": UNDECIDED,
}  # fmt: skip

_BY_LOWER = {code.lower(): code for code in LANGUAGES}


def near(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest known word, or "" when none is near."""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""


def language_code(word: str) -> str | None:
    """Return the code that `word` is, in whatever case; None where no language has such a one."""
    return _BY_LOWER.get(word.lower())


def language_meant(word: str) -> str | None:
    """Return the code that somebody who wrote `word` surely meant, None when nobody can tell."""
    lower = word.lower().replace("_", "-")
    if lower in _MISTAKEN:
        return _MISTAKEN[lower]
    code = language_code(lower) or language_code(lower.partition("-")[0])
    if code is not None:
        return code
    names = {name.lower(): code for code, name in LANGUAGES.items()} | {UNDECIDED: UNDECIDED}
    close = difflib.get_close_matches(lower, names, n=1, cutoff=0.75)
    return names[close[0]] if close else None


def is_named(key: str, value: str, words: Container[str]) -> bool:
    """Say whether a word of a condition names the value, or the language that it is a variety of.

    All of them are in lower case.
    """
    if value in words:
        return True
    return "-" in value and key in _VARIED and value.partition("-")[0] in words
