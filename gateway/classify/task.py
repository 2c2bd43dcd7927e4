"""What a request wants done, or `undecided`.

Owns: the order in which signs count (code in the text, what the request opens with, what is made,
words of reasoning and mathematics, questions, greetings).
Must not: see the request's shape (tools, images): the weigher does; or guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.classify.lexicon import Lexicon, Phrases, plain
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
_FILE = re.compile(
    r"\b[\w-]+\.(?:py|js|ts|tsx|jsx|java|cpp|rs|go|rb|php|sh|sql|css|ipynb|kt|swift|cs|ya?ml)\b"
)
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:git|docker|kubectl|npm|pip|cargo|sudo|apt|curl|grep) \w+")
_NUMBER = re.compile(r"\d+")
_FORMULA = re.compile(
    r"\d\s*[-+*/^\u00d7\u00f7=]\s*\(?\d|\bsqrt\(|[a-z]\s*\([a-z]\)\s*=|[xy]\^?\d*\s*[-+=]\s*\d"
)
_OPTIONS = re.compile(r"^\s*A[.)]\s.+\n\s*B[.)]\s", re.MULTILINE)

_LEADS = ("translate", "summarize", "extract", "make", "fix", "rewrite", "role", "act")
_LEAD_CHARS = 110  # what a request opens with stands here
_SCAN_CHARS = 900
_GREETING_WORDS = 5
_ACT_CHARS = 220


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the closed list, or undecided, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt cut up: `raw` as written, `prose` without code, `instruction` what is wanted."""

    raw: str
    prose: str
    instruction: str
    language: str
    fenced: bool


@dataclass(frozen=True, slots=True)
class _Lead:
    key: str
    entry: str
    at: int


class TaskFinder:
    """Finds the task of a text. Built once, then read only."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        self._lexicons = lexicons

    def find(self, text: Text) -> Task:
        """Return the task of a text; any text will do."""
        code = _code_evidence(text)
        asked = plain(text.instruction[:_SCAN_CHARS])
        whole = plain(text.prose[:_SCAN_CHARS])
        for lexicon in self._reading(text.language):
            task = _by_lead(lexicon, asked, code) or _by_words(lexicon, asked, whole, text, code)
            if task is not None:
                return task
        if code:
            return Task("code", code)
        if _FORMULA.search(text.prose):
            return Task("math", "it holds a formula")
        return Task(UNDECIDED, "no word or sign of a task was found")

    def _reading(self, language: str) -> list[Lexicon]:
        """Return the lexicons to read with: the text's own, then English, which code is full of."""
        own = self._lexicons.get(language)
        english = self._lexicons["en"]
        return [english] if own is None or own is english else [own, english]


def _code_evidence(text: Text) -> str:
    if _TRACE.search(text.raw):
        return "it holds a stack trace or an error of a compiler"
    if _SOURCE.search(text.raw):
        return "it holds source code"
    if text.fenced:
        return "it holds a fenced block"
    if _COMMAND.match(text.raw):
        return "it opens with a shell command"
    if _FILE.search(text.prose):
        return "it names a source file"
    return ""


def _by_lead(lexicon: Lexicon, asked: str, code: str) -> Task | None:
    """Judge by the verb that the request opens with (or ends with, where verbs come last)."""
    question = _opens(lexicon.task["wh"], asked)
    lead = _lead(lexicon, asked)
    if lead is None or (question and lead.key not in ("translate", "act")):
        return None
    said = f"it says '{lead.entry}'"
    if lead.key == "act":
        return Task("tool_use", said) if len(asked) <= _ACT_CHARS else None
    if lead.key == "translate":
        return Task("code", f"{said} and {code}") if code else Task("translation", said)
    if lead.key in ("summarize", "extract"):
        return Task("summarization" if lead.key == "summarize" else "extraction", said)
    if lead.key == "role":
        return Task("writing", said)
    if lead.key == "rewrite":
        return Task("code", f"{said} and {code}") if code else Task("writing", said)
    return _made(lexicon, asked, code, lead)


def _made(lexicon: Lexicon, asked: str, code: str, lead: _Lead) -> Task | None:
    """Judge by what is to be made or mended: code or prose, whichever stands nearer the verb."""
    said = f"it says '{lead.entry}'"
    if lexicon.verb_last:
        spots = {key: lexicon.task[key].last(asked) for key in ("code", "text")}
        sign = -1
    else:
        rest = asked[lead.at :]
        spots = {key: lexicon.task[key].first(rest) for key in ("code", "text")}
        sign = 1
    found = sorted((sign * spot[0], key, spot[1]) for key, spot in spots.items() if spot)
    if found:
        _, key, noun = found[0]
        return Task("code" if key == "code" else "writing", f"{said} and '{noun}'")
    if code:
        return Task("code", f"{said} and {code}")
    return None


def _by_words(lexicon: Lexicon, asked: str, whole: str, text: Text, code: str) -> Task | None:
    """Judge by words of reasoning, mathematics, programming, greeting and asking, in this order."""
    words = lexicon.task
    if code:
        return Task("code", code)
    puzzle = words["reason"].found(whole)
    if puzzle is not None:
        return Task("reasoning", f"it says '{puzzle}'")
    numbers = len(_NUMBER.findall(text.prose))
    formula = _FORMULA.search(text.prose) is not None
    sums = words["math"].count(whole)
    if not _OPTIONS.search(text.prose) and _is_math(sums, numbers, formula=formula):
        why = f"it says '{words['math'].found(whole)}' with {numbers} numbers"
        return Task("math", why if sums else "it holds a formula")
    if _greets(words["greet"], whole):
        return Task("general", "it is a greeting or a set phrase")
    question = words["ask"].found(asked)
    if question is None:
        return None
    noun = words["code"].found(asked)
    if noun is not None:
        return None  # a question about programming may want code or an explanation
    return Task("general", f"it asks '{question}'")


def _is_math(sums: int, numbers: int, *, formula: bool) -> bool:
    if formula:
        return True
    return sums >= 2 or (sums == 1 and numbers >= 2)


def _greets(greetings: Phrases, text: str) -> bool:
    if len(text.split()) > _GREETING_WORDS or len(text) > 40:
        return False
    first = greetings.first(text)
    return first is not None and first[0] <= 1


def _lead(lexicon: Lexicon, asked: str) -> _Lead | None:
    found = []
    for key in _LEADS:
        phrases = lexicon.task[key]
        spot = phrases.last(asked) if lexicon.verb_last else phrases.first(asked[:_LEAD_CHARS])
        if spot is not None:
            found.append(_Lead(key, spot[1], spot[0]))
    if not found:
        return None
    if lexicon.verb_last:
        return max(found, key=lambda lead: (lead.at, len(lead.entry)))
    return min(found, key=lambda lead: (lead.at, -len(lead.entry)))


def _opens(phrases: Phrases, text: str) -> bool:
    first = phrases.first(text[:40])
    return first is not None and first[0] <= 1
