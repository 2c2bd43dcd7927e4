"""What the form of a text says about its task, words aside.

Owns: the patterns of code, errors, shell commands, formulas and multiple choice; a text's shape.
Must not: know words of any language, or decide.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.classify.reading import Text

_TRACE = re.compile(
    r"Traceback \(most recent call last\)|^\s+at [\w.$<>]+\([^)\n]*\)|Exception in thread"
    r"|error\[E\d{3,}\]|panicked at|[Ss]egmentation fault|npm ERR!|undefined reference to"
    r"|\b(?:Type|Value|Key|Index|Attribute|Name|Syntax|Reference)Error\b:",
    re.MULTILINE,
)
_SOURCE = re.compile(
    r"^\s*(?:async )?def \w+\s*\(|\bdef \w+\([^)\n]*\)\s*(?:->[^:\n]*)?:|^\s*class \w+\s*[(:{]"
    r"|^\s*import \w[\w.]*\s*;?$|^\s*from [\w.]+ import |^\s*#include\s*[<\"]"
    r"|\bpublic (?:static|class|void)\b|\bfunction \w*\s*\([^)\n]*\)\s*\{"
    r"|\b(?:const|let|var) \w+ = |\bSELECT\b.{1,200}\bFROM\b|^\s*(?:pub )?fn \w+\(|<\?php|<!DOCTYPE"
    r"|\bfor \w+ in .{1,80}; do\b|\b(?:int|void|char|float|double) \w+\([^)\n]*\)\s*\{"
    r"|console\.log\(|System\.out\.print|\bprintf\(",
    re.MULTILINE,
)
# One of these stands in every text that the two patterns match; looking for them is quicker.
_TRACE_MARKS = (
    "Traceback",
    "Error:",
    "Exception in",
    "error[E",
    "panicked",
    "egmentation",
    "npm ERR",
    "undefined ref",
)
_SOURCE_MARKS = (
    "(",
    "{",
    "import ",
    "#include",
    " = ",
    "SELECT",
    "<?php",
    "<!DOCTYPE",
    "; do",
    "class ",
)
_FILE = re.compile(
    r"(?<=[\w-])\.(?:py|js|ts|tsx|jsx|java|cpp|rs|go|rb|php|sh|sql|css|ipynb|kt|swift|cs|ya?ml)\b"
)
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:git|docker|kubectl|npm|pip|cargo|sudo|apt|curl|grep) \w+")
_NUMBER = re.compile(r"\d+")
_FORMULA = re.compile(
    r"\d\s*[+*^\u00d7\u00f7=]\s*\(?\d|\d\s+[-/]\s+\d|\bsqrt\(|[a-z]\s*\([a-z]\)\s*=|[xy]\^?\d*\s*[-+=]\s*\d"
)
_OPTIONS = re.compile(r"^\s*A[.)]\s.+\n\s*B[.)]\s", re.MULTILINE)

_TRACED = "it holds a stack trace or an error of a compiler"
QUESTION = ("?", "\uff1f", "\u061f", "\u037e")
_LENGTHS = (15, 30, 60, 120, 250, 600)
_COUNTS = (1, 2, 3, 6, 12)
_LINES = (1, 2, 4, 10)
# Marks whose presence alone tells something.
_MARKS = (
    *("%", "$", "\u20ac", "{", "=", "<", ">", "|", "@", "://", "___", "...", "\u2026"),
    *("->", "`", "/", "\\", "\u2022", "- ", "**"),
)
_QUOTES = ('"', "\u201c", "\u00ab", "\u300c", "\u201e")


@dataclass(frozen=True, slots=True)
class Signs:
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
        formula=bool(calculates) and _FORMULA.search(prose) is not None,
        options="B" in prose and _OPTIONS.search(prose) is not None,
        numbers=numbers,
    )


def shape_of(text: Text, signs: Signs) -> Iterator[str]:
    """Yield the names of what a text looks like, for a model to learn from."""
    raw = text.raw.strip()
    yield f"#chars {_bucket(len(raw), _LENGTHS)}"
    yield f"#asked {_bucket(len(text.asked), _LENGTHS)}"
    yield f"#lines {_bucket(raw.count(chr(10)), _LINES)}"
    yield f"#numbers {_bucket(signs.numbers, _COUNTS)}"
    if signs.code:
        yield f"#{signs.code}"
    if signs.formula:
        yield "#formula"
    if signs.options:
        yield "#options"
    if len(text.instruction) + 3 < len(raw):
        yield f"#supplied {_bucket(len(raw) - len(text.instruction), _LENGTHS)}"
    if raw.endswith(QUESTION):
        yield "#ends as a question"
    if text.instruction.endswith(QUESTION):
        yield "#asks"
    if raw.endswith((":", "\uff1a")):
        yield "#ends with a colon"
    yield from (f"#mark {mark}" for mark in _MARKS if mark in raw)
    if any(map(raw.__contains__, _QUOTES)):
        yield "#quotes"


def _bucket(count: int, ends: tuple[int, ...]) -> int:
    return bisect_right(ends, count)


def _code_evidence(text: Text) -> str:
    raw = text.raw
    traced = any(map(raw.__contains__, _TRACE_MARKS)) or ("at " in raw and "(" in raw)
    if traced and _TRACE.search(raw):
        return _TRACED
    if any(map(raw.__contains__, _SOURCE_MARKS)) and _SOURCE.search(raw):
        return "it holds source code"
    if text.fenced:
        return "it holds a fenced block"
    if _COMMAND.match(raw):
        return "it opens with a shell command"
    if "." in text.prose and _FILE.search(text.prose):
        return "it names a source file"
    return ""
