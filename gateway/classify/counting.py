"""What a text is made of, counted: letters, words, digits, marks, and the signs of each script.

Owns: the kinds of signs, and counting them in a time that does not grow with the text.
Must not: know tokens or vocabularies (`gateway.classify.tokens` does).
"""

import re

import msgspec

# Beyond this a text is judged by slices spread over it.
_WHOLE_CHARS = 8_192
_SLICES = 16
_SLICE_CHARS = _WHOLE_CHARS // _SLICES

# Kinds of ASCII, a bit each: so that one long number holds a text's signs, and all kinds of a sign
# are counted with a few operations on it.
_LETTER, _RARE, _DIGIT, _MARK, _LINE, _BLANK = 1, 2, 4, 8, 16, 32
# Letters that English has few of: words that have them are cut into more tokens.
_RARE_LETTERS = "jkzuvia"

# Kinds of signs beyond ASCII: first and last page of 256 code points, kind.
_PAGES = (
    (0x00, 0x02, "latin"),
    (0x03, 0x03, "greek"),
    (0x04, 0x04, "cyrillic"),
    (0x05, 0x05, "hebrew"),
    (0x06, 0x08, "arabic"),
    (0x09, 0x09, "devanagari"),
    (0x0A, 0x0A, "gujarati"),  # and Gurmukhi; each of these pages holds two scripts
    (0x0B, 0x0B, "tamil"),
    (0x0C, 0x0C, "telugu"),
    (0x0D, 0x0D, "malayalam"),
    (0x0E, 0x0E, "thai"),
    (0x0F, 0x1D, "rare_script"),
    (0x1E, 0x1E, "vietnamese"),
    (0x1F, 0x1F, "greek"),
    (0x20, 0x2F, "symbols"),
    (0x30, 0x30, "kana"),
    (0x31, 0x33, "symbols"),
    (0x34, 0x9F, "han"),
    (0xA0, 0xAB, "rare_script"),
    (0xAC, 0xD7, "hangul"),
    (0xD8, 0xDF, "surrogates"),  # two for each sign beyond 0xffff: pictures, mostly
    (0xE0, 0xF8, "rare_script"),
    (0xF9, 0xFA, "han"),
    (0xFB, 0xFE, "arabic"),
    (0xFF, 0xFF, "symbols"),
)
_SCRIPTS = tuple(dict.fromkeys(kind for _, _, kind in _PAGES))
_DEVANAGARI = _SCRIPTS.index("devanagari")
# Of the two on its page, as vocabularies tell them apart.
_BENGALI = re.compile("[\u0980-\u09ff]+")
_ASCII_KINDS = (
    "letters",
    "rare_letters",
    "digits",
    "marks",
    "words",
    "numbers",
    "groups_of_marks",
    "lines",
    "blanks",
)
# What is counted, in the order of `SignCounter.count`; from `FIRST_SCRIPT` on it is beyond ASCII,
# a sign of which is at most three bytes for each that is counted. `spaces` are those of texts that
# are not all ASCII, where they part words; `texts` is 1 for a text that is not empty.
KINDS = (*_ASCII_KINDS, *_SCRIPTS, "bengali", "spaces", "texts")
FIRST_SCRIPT = len(_ASCII_KINDS)
_NOTHING = (0.0,) * len(KINDS)
_NO_SCRIPTS = (0,) * (len(_SCRIPTS) + 2)


class Counts(msgspec.Struct, frozen=True):
    """How many signs of each of `KINDS` a text has; of a long one an estimate."""

    values: tuple[float, ...] = _NOTHING

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both texts."""
        return Counts(tuple(map(float.__add__, self.values, other.values)))

    def times(self, factor: float) -> "Counts":
        """Return the counts of a text that is as many times as large."""
        return Counts(tuple(value * factor for value in self.values))


class SignCounter:
    """Counts signs; built once. Safe from any thread."""

    def __init__(self) -> None:
        self._kinds = bytes(map(_kinds_of, range(256)))
        self._pages = bytearray(256)
        for first, last, kind in _PAGES:
            for page in range(first, last + 1):
                self._pages[page] = _SCRIPTS.index(kind)
        self._masks = {
            kind: int.from_bytes(bytes([kind]) * (_WHOLE_CHARS + _SLICES), "little")
            for kind in (_LETTER, _RARE, _DIGIT, _MARK, _LINE, _BLANK)
        }

    def count(self, text: str) -> Counts:
        """Return what a text is made of."""
        if not text:
            return Counts()
        length = len(text)
        if length <= _WHOLE_CHARS:
            return Counts(tuple(map(float, self._counted(text))))
        step = (length - _SLICE_CHARS) // (_SLICES - 1)
        slices = [text[at : at + _SLICE_CHARS] for at in range(0, step * _SLICES, step)]
        # A line's end between two, lest letters that are far apart become a word.
        sample = "\n".join(slices)
        *counted, texts = self._counted(sample)
        factor = length / len(sample)
        return Counts((*(value * factor for value in counted), float(texts)))

    def _counted(self, text: str) -> tuple[int, ...]:
        ascii_part = text.encode("ascii", "ignore")
        signs = int.from_bytes(ascii_part.translate(self._kinds), "little")
        starts = signs & ~(signs << 8)  # where the sign before is of another kind
        masks = self._masks
        ascii_counts = (
            (signs & masks[_LETTER]).bit_count(),
            (signs & masks[_RARE]).bit_count(),
            (signs & masks[_DIGIT]).bit_count(),
            (signs & masks[_MARK]).bit_count(),
            (starts & masks[_LETTER]).bit_count(),
            (starts & masks[_DIGIT]).bit_count(),
            (starts & masks[_MARK]).bit_count(),
            (starts & masks[_LINE]).bit_count(),
            (signs & masks[_BLANK]).bit_count(),
        )
        if len(ascii_part) == len(text):
            return (*ascii_counts, *_NO_SCRIPTS, 1)
        pages = text.encode("utf-16-be", "surrogatepass")[::2].translate(self._pages)
        scripts = [pages.count(kind) for kind in range(len(_SCRIPTS))]
        scripts[0] -= len(ascii_part)  # ASCII shares its page with Latin-1
        bengali = sum(map(len, _BENGALI.findall(text))) if scripts[_DEVANAGARI] else 0
        scripts[_DEVANAGARI] -= bengali
        return (*ascii_counts, *scripts, bengali, text.count(" "), 1)


def _kinds_of(code: int) -> int:
    """Return the kinds of an ASCII sign; what is beyond ASCII has none."""
    sign = chr(code)
    if code >= 128:
        return 0
    if sign.isalpha():
        return _LETTER | (_RARE if sign.lower() in _RARE_LETTERS else 0)
    if sign.isdigit():
        return _DIGIT
    if sign.isspace():
        return _BLANK | (_LINE if sign == "\n" else 0)
    return _MARK
