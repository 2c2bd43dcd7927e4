"""What a request wants done, or `undecided`.

Owns: the order in which signs count (code in the text, what the request opens with, what is made,
words of reasoning and mathematics, questions, greetings).
Must not: see the request's shape (tools, images): the weigher does; or guess.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.classify.lexicon import LEADS, Hit, Lexicon
from gateway.classify.plain import plain
from gateway.classify.reading import Text
from gateway.domain import UNDECIDED

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
    "at ",
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
    r"\b[\w-]+\.(?:py|js|ts|tsx|jsx|java|cpp|rs|go|rb|php|sh|sql|css|ipynb|kt|swift|cs|ya?ml)\b"
)
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:git|docker|kubectl|npm|pip|cargo|sudo|apt|curl|grep) \w+")
_NUMBER = re.compile(r"\d+")
_FORMULA = re.compile(
    r"\d\s*[+*^\u00d7\u00f7=]\s*\(?\d|\d\s+[-/]\s+\d|\bsqrt\(|[a-z]\s*\([a-z]\)\s*=|[xy]\^?\d*\s*[-+=]\s*\d"
)
_OPTIONS = re.compile(r"^\s*A[.)]\s.+\n\s*B[.)]\s", re.MULTILINE)

_LEAD_CHARS = 110  # what a request opens with stands here
_SCAN_CHARS = 900
_OPENING_CHARS = 2  # the space before the first word, and the word's own place
_GREETING_WORDS = 5
_GREETING_CHARS = 40
_ACT_CHARS = 220
_QUESTION_CHARS = 190  # a longer text that asks may be any task's


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the closed list, or undecided, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Signs:
    """What one lexicon and the patterns found in a text."""

    verb_last: bool
    asked: str
    whole: str
    hits: Sequence[Hit]  # in the instruction
    all_hits: Sequence[Hit]  # in all of the prose
    code: str  # why it is taken for code, "" when it is not
    numbers: int
    formula: bool
    options: bool

    def said(self, key: str) -> Hit | None:
        """Return the first hit of a key in all of the prose."""
        return next((hit for hit in self.all_hits if hit.key == key), None)

    def lead(self) -> Hit | None:
        """Return the verb that the instruction opens with, or ends with where verbs come last."""
        found = [hit for hit in self.hits if hit.key in LEADS]
        if self.verb_last:
            return max(found, key=lambda hit: (hit.end, len(hit.entry)), default=None)
        early = [hit for hit in found if hit.at <= _LEAD_CHARS]
        return min(early, key=lambda hit: (hit.at, -len(hit.entry)), default=None)

    def opens(self, key: str) -> bool:
        """Say whether the instruction's first word is one of a key."""
        return any(hit.key == key and hit.at < _OPENING_CHARS for hit in self.hits)


class TaskFinder:
    """Finds the task of a text. Built once, then read only."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        self._lexicons = lexicons

    def find(self, text: Text) -> Task:
        """Return the task of a text; any text will do."""
        code = _code_evidence(text)
        whole = plain(text.prose[:_SCAN_CHARS])
        formula = _FORMULA.search(text.prose) is not None
        for lexicon in self._reading(text.language):
            signs = _signs(lexicon, text, whole, code, formula=formula)
            task = _by_lead(signs) or _by_words(signs)
            if task is not None:
                return task
        if code:
            return Task("code", code)
        if formula:
            return Task("math", "it holds a formula")
        return Task(UNDECIDED, "no word or sign of a task was found")

    def _reading(self, language: str) -> list[Lexicon]:
        """Return the lexicons to read with: the text's own, then English, which code is full of."""
        own = self._lexicons.get(language)
        english = self._lexicons["en"]
        return [english] if own is None or own is english else [own, english]


def _signs(lexicon: Lexicon, text: Text, whole: str, code: str, *, formula: bool) -> _Signs:
    hits = lexicon.tasks.scan(text.asked)
    return _Signs(
        verb_last=lexicon.verb_last,
        asked=text.asked,
        whole=whole,
        hits=hits,
        all_hits=hits if whole == text.asked else lexicon.tasks.scan(whole),
        code=code,
        numbers=len(_NUMBER.findall(text.prose)),
        formula=formula,
        options=_OPTIONS.search(text.prose) is not None,
    )


def _code_evidence(text: Text) -> str:
    raw = text.raw
    if any(mark in raw for mark in _TRACE_MARKS) and _TRACE.search(raw):
        return "it holds a stack trace or an error of a compiler"
    if any(mark in raw for mark in _SOURCE_MARKS) and _SOURCE.search(raw):
        return "it holds source code"
    if text.fenced:
        return "it holds a fenced block"
    if _COMMAND.match(raw):
        return "it opens with a shell command"
    if _FILE.search(text.prose):
        return "it names a source file"
    return ""


# What a leading verb means by itself, and with code beside it.
_MEANING = {
    "translate": ("translation", "code"),
    "summarize": ("summarization", "summarization"),
    "extract": ("extraction", "extraction"),
    "role": ("writing", "writing"),
    "rewrite": ("writing", "code"),
}


def _by_lead(signs: _Signs) -> Task | None:
    """Judge by the verb that the request opens with."""
    lead = signs.lead()
    if lead is None or (signs.opens("wh") and lead.key not in ("translate", "act")):
        return None
    if lead.key in ("translate", "role") and signs.said("reason") is not None:
        return None  # puzzles begin with "imagine", exercises in logic with "translate"
    said = f"it says '{lead.entry.strip()}'"
    if lead.key == "act":
        return Task("tool_use", said) if len(signs.asked) <= _ACT_CHARS else None
    if lead.key in _MEANING:
        alone, beside_code = _MEANING[lead.key]
        return Task(beside_code, f"{said} and {signs.code}") if signs.code else Task(alone, said)
    return _by_object(signs, lead, said)


def _by_object(signs: _Signs, lead: Hit, said: str) -> Task | None:
    """Judge by what is to be made or mended: code or prose, whichever stands nearer the verb."""
    nouns = [hit for hit in signs.hits if hit.key in ("code", "text")]
    if signs.verb_last:
        noun = max(nouns, key=lambda hit: hit.end, default=None)
    else:
        noun = next((hit for hit in nouns if hit.at >= lead.at), None)
    if noun is not None:
        name = "code" if noun.key == "code" else "writing"
        return Task(name, f"{said} and '{noun.entry.strip()}'")
    return Task("code", f"{said} and {signs.code}") if signs.code else None


def _by_words(signs: _Signs) -> Task | None:
    """Judge by words of reasoning, mathematics, greeting and asking, in this order."""
    if signs.code:
        return Task("code", signs.code)
    puzzle = signs.said("reason")
    if puzzle is not None:
        return Task("reasoning", f"it says '{puzzle.entry.strip()}'")
    return _as_math(signs) or _as_talk(signs)


def _as_math(signs: _Signs) -> Task | None:
    if signs.options:
        return None
    if signs.formula:
        return Task("math", "it holds a formula")
    sums = {hit.entry.strip() for hit in signs.all_hits if hit.key == "math"}
    enough = signs.numbers >= 2 or (len(sums) >= 2 and len(signs.asked) <= 2 * _QUESTION_CHARS)
    if not sums or not enough:
        return None
    return Task("math", f"it says '{min(sums)}' beside {signs.numbers} numbers")


def _as_talk(signs: _Signs) -> Task | None:
    short = len(signs.whole) <= _GREETING_CHARS and len(signs.whole.split()) <= _GREETING_WORDS
    if short and signs.opens("greet"):
        return Task("general", "it is a greeting or a set phrase")
    question = next((hit for hit in signs.hits if hit.key == "ask"), None)
    if question is None or len(signs.whole) > _QUESTION_CHARS or signs.options:
        return None
    if any(hit.key == "code" for hit in signs.hits):
        return None  # a question about programming may want code or an explanation
    if signs.lead() is not None and not signs.opens("wh"):
        return None  # something is to be made, and it is not clear what
    return Task("general", f"it asks '{question.entry.strip()}'")
