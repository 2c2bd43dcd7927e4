"""The form of a text in which words are looked up.

Owns: what counts as punctuation, and lower case.
Must not: know any word.
"""

_PUNCTUATION = (
    " \t\r\n!\"'`$%&()*,-./:;<=>?@[\\]^_{|}~¿¡«»‹›„“”‘’…。，、？！：；（）「」『』【】《》·—–؟،।"  # noqa: RUF001 - punctuation of many scripts
)
_TO_SPACE = str.maketrans(dict.fromkeys(_PUNCTUATION, " "))


def plain(text: str) -> str:
    """Return the text in lower case, words set apart by one space, with a space at both ends."""
    lowered = text.lower().replace("i̇", "i")  # what lower() makes of the Turkish dotted I
    return f" {' '.join(lowered.translate(_TO_SPACE).split())} "
