"""Which part of a prompt says what is wanted, and which part is only supplied.

Owns: cutting long texts, taking out code, logs and quotations, finding the instruction.
Must not: know languages or tasks: what opens a request is told by a predicate.
"""

import re
from collections.abc import Callable
from itertools import islice

# Weighing looks at this much of a text: what is wanted stands at one of its ends.
HEAD_CHARS = 1600
TAIL_CHARS = 500

_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_INLINE = re.compile(r"`[^`\n]{1,200}`")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w-]+\.[\w.]+")
# Where none of these stands, a text has no code, address or log to take out.
_NO_PROSE = (
    "`", "@", "{", ";", "=", "~~~", "://", "www.", ">>>", "import ", "def ", "DEBUG", "INFO",
    "WARN", "ERROR", "FATAL", "TRACE", "Error:", "Exception", ":0", ":1", ":2", ":3", ":4", ":5",
)  # fmt: skip
# Four words open a sentence, "give it as JSON like {...}", though it ends as code does; but queries
# and what declares something, "class Cat extends Animal {", are made of words.
_WORDED = r"(?:[-*] |\d+[.)] )?[A-Za-z']+(?:,? [A-Za-z']+\b){3}"
_OF_CODE = (
    r"(?:(?i:select|insert|update|delete|create|drop|alter|grant)|abstract|async|await|class|else"
    r"|export|extern|impl|inline|interface|internal|namespace|override|protected|pub|sealed|struct"
    r"|suspend|throw|trait|typedef|unsigned|virtual|yield)\b"
)
# White space before a line is never given back (`*+`): to try the rest behind each part of it takes
# seconds where there are hundreds of empty lines.
_CODE_LINE = re.compile(
    r"^\s*+(?:>>>.*|def \w+\(.*|class \w+[(:{].*|import \S.*|from \S+ import .*|return\b.*"
    r"|#include.*|@\w+.*|for \w+ in .*:|while .*:|(?:el)?if .*:|else:|case .*:|default:"
    r"|try:|except\b.*:|[\])}]+[;,]?"
    r"|(?:public|private|static|const|let|var|fn|func|function|package|using)\b.*"
    rf"|(?:{_OF_CODE}|(?!{_WORDED}))[\x00-\x09\x0b-\x7f]*[;{{}}]"
    r"|\w+(?:[.\[]\w+\]?)*\s*[-+*/]?=\s*\S.*)[ \t\r]*$",
    re.MULTILINE,
)
_LOG_LINE = re.compile(
    r"^\s*+(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:|\[?\d\d:\d\d:\d\d"
    r"|\[?(?:DEBUG|INFO|WARN|ERROR|FATAL|TRACE)\b"
    r"|at [\w.$<>]+\(|File \"|\w+(?:Error|Exception): ).*$",
    re.MULTILINE,
)
# Where none of these stands, and no apostrophe but in a word, a text holds no quotation.
_QUOTES = ('"', "“", "„", "«", "「", "『", "<")
_APOSTROPHE = re.compile(r"'(?<!\w')")  # the sign first, as `re` looks for that fast
_QUOTED = re.compile(
    r'"{3}[^"]{4,}"{3}|"[^"\n]{1,400}"|“[^”\n]{1,400}”|„[^“”\n]{1,400}[“”]|«[^»\n]{1,400}»'
    r"|「[^」\n]{1,400}」|『[^』\n]{1,400}』|(?<!\w)'[^'\n]{3,400}'(?!\w)"
    r"|<(\w{2,20})>[^<]{4,}</\1>"
)
_PARAGRAPHS = re.compile(r"\n\s*\n+|\n\s*(?:-{3,}|={3,}|#{3,}|\*{3,})\s*\n")
_ITEM = re.compile(r"\s*(?:[A-Za-z\d]{1,2}[.)]|[-*\u2022])\s")
# What is nothing but code, for which `_CODE_LINE` is too generous: "And that is all;".
_QUERY = re.compile(
    r"\s*(?:SELECT\s.+?\sFROM\s|INSERT INTO\s|DELETE FROM\s|UPDATE\s\w+\sSET\s|CREATE TABLE\s)",
    re.DOTALL,
)
_STRING = re.compile(r"'[^']*'")
# No query has three words of small letters in a row, or a word's question mark: they are a request.
_TOLD = re.compile(r"(?<![\w.])[a-z]+(?:\s+[a-z]+){2}(?!\.?\w)|[a-z]\?")
_CALL = re.compile(r"\s*[\w.]+\([\x00-\x7f]*\)")
# "return a list of primes" asks for code, and is none.
_BARE_STATEMENT = re.compile(
    r"\s*(?:return\b(?!.*\b(?:an? [a-z]{3,}|the|of|to|me|my|each|every)\b)[\x00-\x7f]{0,40}"
    r"|import [\w., ]+|(?:for|while|if|elif) [^?]+:|else:|try:)"
)
_SENTENCE = re.compile(r"(?:^|(?<=\s))(?:[a-zA-Z]+\s){2}[a-zA-Z]+(?=[\s,.?!:]|$)")
_CODE_SIGNS = ("=", "(", "{", "[", "<", ";", "_", '"', "*")
_WORDS_PER_SIGN = 2
_LETTER = re.compile(r"[^\W\d_]")
_QUESTION = ("?", "\uff1f", "\u061f")
_COLON = (":", "\uff1a")

_LABEL_MAX_CHARS = 240  # an instruction before a colon is not longer
_INSTRUCTION_MAX_CHARS = 600
_FAR_SHORTER = 0.5
_OF_DOCUMENT = 3  # a document of one line is so many times as long as what is said of it
_ADDRESS_CHARS = 60
_ADDRESSING = (",", "!", "\uff0c", "\uff01")

# What speaks for a request.
_WORDS_COUNT = 3
_QUESTION_COUNTS = 2
_COLON_COUNTS = 1

Asks = Callable[[str], bool]


def clip(text: str) -> str:
    """Return the text, or its head and its tail when it is long; lone surrogates are replaced."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = f"{text[:HEAD_CHARS]}\n\n{text[-TAIL_CHARS:]}"
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def prose_of(text: str) -> str:
    """Return the text without code, addresses and lines of logs, unless nothing else is there."""
    if not any(map(text.__contains__, _NO_PROSE)):
        return text
    prose = _ADDRESS.sub(" ", _INLINE.sub(" ", _FENCE.sub("\n\n", text)))
    bare = _LOG_LINE.sub("", _CODE_LINE.sub("", prose))
    return bare if has_letters(bare, 4) else prose


def is_code(text: str) -> bool:
    """Say whether a text is nothing but code, without a word to anybody about it."""
    if not any(map(text.__contains__, _CODE_SIGNS)):
        return _is_query(text)
    return all(map(_is_statement, filter(str.strip, text.splitlines()))) or _is_query(text)


def _is_query(text: str) -> bool:
    if _QUERY.match(text) is None or text.isupper() or not text.isascii():
        return False
    pieces = filter(str.strip, _STRING.sub("''", text).split(";"))
    return all(_QUERY.match(piece) and not _TOLD.search(piece) for piece in pieces)


def _is_statement(line: str) -> bool:
    words = sum(map(bool, map(_LETTER.search, line.split())))
    if words > sum(map(line.count, _CODE_SIGNS)) * _WORDS_PER_SIGN:
        return _BARE_STATEMENT.fullmatch(line) is not None
    if _BARE_STATEMENT.fullmatch(line):
        return True
    if not line.isascii() or _SENTENCE.search(line):
        return False
    return (_CODE_LINE.fullmatch(line) or _CALL.fullmatch(line)) is not None


def has_fence(text: str) -> bool:
    """Say whether the text holds a block of code in fences."""
    return "```" in text or "~~~" in text


def has_letters(text: str, count: int) -> bool:
    """Say whether the text has so many letters, of any script; reads no further than needed."""
    return next(islice(_LETTER.finditer(text), count - 1, None), None) is not None


def instruction_of(prose: str, asks: Asks) -> str:
    """Return the part that says what is wanted: without quotations, document or log.

    The first paragraph or the last, whichever looks more like a request; of one paragraph, a
    line that does; of a line `do this: supplied text` the part before the colon. The prose itself
    where nothing can be told apart. `asks` says whether a text has the words of a request.
    """
    if "\n" not in prose:
        return _without_supplied(prose, asks)
    paragraphs = [part.strip() for part in _PARAGRAPHS.split(prose) if part.strip()]
    if not paragraphs:
        return prose.strip()
    if len(paragraphs) > 2:
        paragraphs = _without_salutation(paragraphs, asks)
    if len(paragraphs) > 1:
        first, last = without_quotations(paragraphs[0]), without_quotations(paragraphs[-1])
        paragraphs = [last if _is_rather(last, first, asks) else first]
    return _without_supplied(_telling_line(paragraphs[0], asks), asks)


def short_line_of(prose: str) -> str:
    """Return the line of two that is far the shorter, as what is wanted of the other; else ""."""
    if "\n" not in prose:
        return ""
    lines = sorted(filter(str.strip, prose.split("\n", 3)), key=len)
    if len(lines) != 2 or len(lines[0]) * _OF_DOCUMENT > len(lines[1]):
        return ""
    return "" if lines[0].rstrip().endswith(_ADDRESSING) else lines[0]


def _without_salutation(paragraphs: list[str], asks: Asks) -> list[str]:
    """Return the paragraphs of a letter without what only addresses and signs it."""
    first, last = paragraphs[0], paragraphs[-1]
    if len(first) > _ADDRESS_CHARS or not first.endswith(_ADDRESSING) or asks(first):
        return paragraphs
    signed = len(last) <= _ADDRESS_CHARS and not last.endswith((*_QUESTION, *_COLON))
    return paragraphs[1:-1] if signed and not asks(last) else paragraphs[1:]


def _telling_line(paragraph: str, asks: Asks) -> str:
    """Return the first or last line if it is a request and the other is not, else all of it."""
    first, _, rest = paragraph.partition("\n")
    last = rest.rpartition("\n")[2]
    scores = (_likeness(first, asks), _likeness(last, asks))
    if not rest or scores[0] == scores[1] or max(scores) < _QUESTION_COUNTS:
        return paragraph
    return first if scores[0] > scores[1] else last


def _is_rather(last: str, first: str, asks: Asks) -> bool:
    """Say whether the last paragraph is the request; where neither looks so, the far shorter is."""
    lead = _likeness(last, asks) - _likeness(first, asks)
    return lead > 0 or (lead == 0 and len(last) < len(first) * _FAR_SHORTER)


def _likeness(part: str, asks: Asks) -> int:
    """Return how much a paragraph or a line looks like a request."""
    supplied = len(part) > _INSTRUCTION_MAX_CHARS or _ITEM.match(part)
    if supplied or not has_letters(part, 2):
        return -1
    ending = _QUESTION_COUNTS * part.endswith(_QUESTION) + _COLON_COUNTS * part.endswith(_COLON)
    return _WORDS_COUNT * asks(part) + ending


def _without_supplied(paragraph: str, asks: Asks) -> str:
    paragraph = without_quotations(paragraph)
    label, colon, rest = _split_label(paragraph)
    if not colon or not has_letters(label, 4) or len(rest.strip()) < 4:
        return paragraph.strip()
    # "Question: who was it?" is a heading, and "Translate: who was it?" is not.
    heading = label.isascii() and " " not in label.strip() and not asks(label)
    return paragraph.strip() if heading else label.strip()


def without_quotations(paragraph: str) -> str:
    """Return a text without what it quotes, unless nothing else is there."""
    quotes = any(map(paragraph.__contains__, _QUOTES))
    if not quotes and not ("'" in paragraph and _APOSTROPHE.search(paragraph)):
        return paragraph
    bare = _QUOTED.sub(" ", paragraph)
    return bare if has_letters(bare, 4) else paragraph


def _split_label(paragraph: str) -> tuple[str, str, str]:
    head = paragraph[:_LABEL_MAX_CHARS]
    at = min((i for i in (head.find(":"), head.find("\uff1a")) if i >= 0), default=-1)
    if at < 0:
        return paragraph, "", ""
    return paragraph[:at], paragraph[at], paragraph[at + 1 :]
