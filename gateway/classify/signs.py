"""What the form of a text says about its task, words aside.

Owns: the patterns of code, errors, shell commands, formulas and multiple choice; a text's shape.
Must not: know words of any language, or decide.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from gateway.classify.reading import Text

# What a trace of an error holds: one of these, or what the patterns under them match, each looked
# for only where its own mark stands, as a pattern costs much more than looking for a word.
_TRACES = (
    *("Traceback (most recent call last)", "Exception in thread", "panicked at", "npm ERR!"),
    *("Segmentation fault", "segmentation fault", "undefined reference to"),
)
_TRACE_PATTERNS = (
    ("error[E", re.compile(r"error\[E\d{3,}\]")),
    (
        "Error:",
        re.compile(r"\b(?:Type|Value|Key|Index|Attribute|Name|Syntax|Reference)Error\b:"),
    ),
)
_FRAME = re.compile(r"at [\w.$<>]+\([^)\n]*\)")  # alone on its line, after white space


def _marked(
    flag: re.RegexFlag, rows: Sequence[tuple[str, str]]
) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return patterns, each with the mark without which it is not looked for."""
    return tuple((mark, re.compile(pattern, flag)) for mark, pattern in rows)


# `^\s*+` gives no white space back: see `segments`.
_SOURCE = _marked(
    re.MULTILINE,
    (
        ("def ", r"^\s*+(?:async )?def \w+\s*\(|\bdef \w+\([^)\n]*\)\s*(?:->[^:\n]*)?:"),
        ("class ", r"^\s*+class \w+\s*[(:{]"),
        ("import ", r"^\s*+import \w[\w.]*\s*;?$|^\s*+from [\w.]+ import "),
        ("#include", r"^\s*+#include\s*[<\"]"),
        ("public ", r"\bpublic (?:static|class|void)\b"),
        ("function ", r"\bfunction \w*\s*\([^)\n]*\)\s*\{"),
        (" = ", r"\b(?:const|let|var) \w+ = "),
        ("SELECT", r"\bSELECT\b.{1,200}\bFROM\b"),
        ("fn ", r"^\s*+(?:pub )?fn \w+\("),
        ("<?php", r"<\?php"),
        ("<!DOCTYPE", r"<!DOCTYPE"),
        ("; do", r"\bfor \w+ in .{1,80}; do\b"),
        ("{", r"\b(?:int|void|char|float|double) \w+\([^)\n]*\)\s*\{"),
        ("console.log(", r"console\.log\("),
        ("System.out.print", r"System\.out\.print"),
        ("printf(", r"\bprintf\("),
    ),
)
# One of these stands in every text that one of them matches.
_SOURCE_MARKS = (
    *("(", "{", "import ", "#include", " = ", "SELECT", "<?php", "<!DOCTYPE", "; do", "class "),
    "System.out.print",
)
# What machines say in English to people of all languages.
_ERROR = _marked(
    re.IGNORECASE,
    (
        ("error", r"\wError\b|\bsyntax error\b"),
        ("exception", r"\wException\b"),
        ("ora", r"\bORA[-\[ ]?\d{3,5}\b"),
        ("ts", r"\bTS[-\[ ]?\d{3,5}\b"),
        ("cs", r"\bCS[-\[ ]?\d{3,5}\b"),
        ("sqlstate", r"\bSQLSTATE[-\[ ]?\d{3,5}\b"),
        ("out of ", r"\bout of (?:range|memory|bounds)\b"),
        ("not ", r"\b(?:not (?:defined|found|callable|iterable)|could not \w+)\b"),
        ("is undefined", r"\bis undefined\b"),
        ("cannot ", r"\bcannot (?:find|read|import)\b"),
        ("invalid ", r"\binvalid (?:identifier|syntax|argument|token)\b"),
        ("denied", r"\b(?:permission|access) denied\b"),
        ("connection ", r"\bconnection (?:refused|reset)\b"),
        ("null pointer", r"\bnull pointer\b"),
        ("stack overflow", r"\bstack overflow\b"),
        ("exit", r"\bexit(?:ed with)? code\b"),
        ("no such file", r"\bno such file\b"),
        ("unexpected ", r"\bunexpected (?:token|indent|end)\b"),
        ("timed out", r"\btimed out\b"),
        ("deadlock", r"\bdeadlock\b"),
        ("status code", r"\bstatus code\b"),
        ("core dumped", r"\bcore dumped\b"),
    ),
)
_ERROR_MARKS = (
    *("rror", "ception", "ORA", "out of ", "not def", "not found", "not call", "not iter"),
    *("undefined", "cannot", "ould not", "nvalid", "denied", "onnection", "null p", "overflow"),
    *("exit", "such file", "nexpected", "timed", "deadlock", "status c", "dumped", "TS", "CS"),
    "SQLSTATE",
)
_FILE = re.compile(
    r"\.(?:py|js|ts|tsx|jsx|java|cpp|rs|go|rb|php|sh|sql|css|ipynb|kt|swift|cs|ya?ml)\b"
)
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:git|docker|kubectl|npm|pip|cargo|sudo|apt|curl|grep) \w+")
_NUMBER = re.compile(r"\d\d*")  # found three times as fast as `\d+`
_FORMULA = re.compile(
    r"\d\s*[+*^\u00d7\u00f7=]\s*\(?\d|\d\s+[-/]\s+\d|\bsqrt\(|[a-z]\s*\([a-z]\)\s*=|[xy]\^?\d*\s*[-+=]\s*\d"
)
_FORMULA_MARKS = ("+", "*", "^", "\u00d7", "\u00f7", "=", "-", "/", "sqrt(")
_OPTIONS = re.compile(r"^\s*+A[.)]\s.+\n\s*B[.)]\s", re.MULTILINE)

_TRACED = "it holds a stack trace or an error of a compiler"
QUESTION = ("?", "\uff1f", "\u061f", "\u037e")


class _Buckets:
    """Names for counts: one for each bucket that `ends` make."""

    def __init__(self, name: str, ends: tuple[int, ...]) -> None:
        self._ends = ends
        self._names = tuple(f"#{name} {bucket}" for bucket in range(len(ends) + 1))

    def of(self, count: int) -> str:
        return self._names[bisect_right(self._ends, count)]


_LENGTHS = (15, 30, 60, 120, 250, 600)
_CHARS, _ASKED = _Buckets("chars", _LENGTHS), _Buckets("asked", _LENGTHS)
_SUPPLIED = _Buckets("supplied", _LENGTHS)
_NUMBERS, _LINES = _Buckets("numbers", (1, 2, 3, 6, 12)), _Buckets("lines", (1, 2, 4, 10))
# Marks whose presence alone tells something, and its name.
_SINGLE = (
    *("%", "$", "\u20ac", "{", "=", "<", ">", "|", "@", "://", "___", "...", "\u2026"),
    *("->", "`", "/", "\\", "\u2022", "- ", "**"),
)
_MARKS = tuple((mark, f"#mark {mark}") for mark in _SINGLE)
_QUOTES = ('"', "\u201c", "\u00ab", "\u300c", "\u201e")


class Signs(msgspec.Struct, frozen=True):
    """What the form says: `code` is why the text is taken for code, "" when it is not."""

    code: str
    trace: bool  # of an error
    formula: bool
    options: bool
    numbers: int


def signs_of(text: Text) -> Signs:
    """Return the signs of a text."""
    code = _code_evidence(text)
    prose = text.prose
    numbers = len(_NUMBER.findall(prose))
    calculates = numbers or "=" in prose or "sqrt(" in prose
    return Signs(
        code=code,
        trace=code == _TRACED,
        formula=bool(calculates) and _has_formula(prose),
        options=("B." in prose or "B)" in prose) and _OPTIONS.search(prose) is not None,
        numbers=numbers,
    )


def shape_of(text: Text, signs: Signs) -> Iterator[str]:
    """Yield the names of what a text looks like, for a model to learn from."""
    raw = text.raw.strip()
    yield _CHARS.of(len(raw))
    yield _ASKED.of(len(text.asked))
    yield _LINES.of(raw.count("\n"))
    yield _NUMBERS.of(signs.numbers)
    if signs.code:
        yield f"#{signs.code}"
    if _has_message(raw):
        yield "#message of a machine"
    if signs.formula:
        yield "#formula"
    if signs.options:
        yield "#options"
    if len(text.instruction) + 3 < len(raw):
        yield _SUPPLIED.of(len(raw) - len(text.instruction))
    if raw.endswith(QUESTION):
        yield "#ends as a question"
    if text.instruction.endswith(QUESTION):
        yield "#asks"
    if raw.endswith((":", "\uff1a")):
        yield "#ends with a colon"
    yield from [name for mark, name in _MARKS if mark in raw]
    if any(map(raw.__contains__, _QUOTES)):
        yield "#quotes"


def _code_evidence(text: Text) -> str:
    raw = text.raw
    if _has_trace(raw):
        return _TRACED
    if _has_source(raw):
        return "it holds source code"
    if text.fenced:
        return "it holds a fenced block"
    if _COMMAND.match(raw):
        return "it opens with a shell command"
    if "." in text.prose and _names_file(text.prose):
        return "it names a source file"
    return ""


def _has_trace(raw: str) -> bool:
    if any(map(raw.__contains__, _TRACES)):
        return True
    if any(mark in raw and pattern.search(raw) for mark, pattern in _TRACE_PATTERNS):
        return True
    return "at " in raw and "(" in raw and any(map(_stands_alone, _FRAME.finditer(raw)))


def _stands_alone(found: re.Match[str]) -> bool:
    """Say whether nothing but white space, and some of it, stands before it on its line."""
    before = found.string[: found.start()]
    space = before[len(before.rstrip()) :]
    return "\n" in space[:-1] or (bool(space) and len(space) == len(before))


def _has_source(raw: str) -> bool:
    if not any(map(raw.__contains__, _SOURCE_MARKS)):
        return False
    return any(mark in raw and pattern.search(raw) for mark, pattern in _SOURCE)


def _has_message(raw: str) -> bool:
    if not any(map(raw.__contains__, _ERROR_MARKS)):
        return False
    lowered = raw.lower()
    return any(mark in lowered and pattern.search(raw) for mark, pattern in _ERROR)


def _has_formula(prose: str) -> bool:
    return any(map(prose.__contains__, _FORMULA_MARKS)) and _FORMULA.search(prose) is not None


def _names_file(prose: str) -> bool:
    for found in _FILE.finditer(prose):
        before = prose[found.start() - 1 : found.start()]
        if before.isalnum() or before in ("_", "-"):
            return True
    return False
