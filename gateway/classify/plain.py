"""The form of a text in which words are looked up.

Owns: what counts as punctuation, and lower case.
Must not: know any word.
"""

_ASCII = b" \t\r\n!\"'`$%&()*,-./:;<=>?@[\\]^_{|}~"
_OTHERS = "¿¡«»‹›„“”‘’…。，、？！：；（）「」『』【】《》·—–؟،।"  # noqa: RUF001 - of many scripts
# A byte beyond ASCII is a part of another sign in UTF-8, and stays.
_TO_SPACE = bytes(32 if code in _ASCII else code for code in range(256))


def plain(text: str) -> str:
    """Return the text in lower case, words set apart by one space, with a space at both ends."""
    lowered = text.lower()
    if lowered.isascii():
        spaced = lowered.encode("ascii").translate(_TO_SPACE).decode("ascii")
    else:
        lowered = lowered.replace("i̇", "i")  # what lower() makes of the Turkish dotted I
        raw = lowered.encode("utf-8", "surrogatepass").translate(_TO_SPACE)
        spaced = raw.decode("utf-8", "surrogatepass")
        for mark in [mark for mark in _OTHERS if mark in spaced]:
            spaced = spaced.replace(mark, " ")
    return f" {' '.join(spaced.split())} "
