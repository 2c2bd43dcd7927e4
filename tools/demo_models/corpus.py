"""The questions and answers that the demo models are trained on.

Owns: which model learns what; the careless ways of typing a question.
Must not: write conversations, tokenize or train; know what needs functions (`errands`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.demo_models.families import FAMILIES
from tools.demo_models.reading import DATA, load, read_yaml

# What the toy of each family learns beside English: Llama's official languages, Qwen's many.
_LLAMA_LANGUAGES = ("en", "de", "es", "fr", "hi", "it", "pt")
# What ends a question and may be left out; the last three are the full-width ?, ! and full stop.
_ENDS = "?!.\uff1f\uff01\u3002"


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask, the answer, and the intent that it shares with its paraphrases.

    `thought` is what is thought before the answer; mostly nothing is.
    """

    intent: str
    language: str
    ask: str
    say: str
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Code before a cursor, what belongs there, and the code behind it."""

    before: str
    middle: str
    behind: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All that one model learns, but for errands."""

    questions: tuple[Question, ...]
    systems: tuple[str, ...]
    raw: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()

    def texts(self) -> Iterator[str]:
        """Yield every text, for the tokenizer's training."""
        for question in self.questions:
            yield question.ask
            yield question.say
            yield question.thought
        yield from self.systems
        yield from self.raw


def corpus_of(model: str) -> Corpus:
    """Return what `qwen`, `coder` or `llama` learns.

    Raises:
        KeyError: an answer is missing in the data.
    """
    code = load("code.yaml")
    family = FAMILIES[model]
    names = {
        "name": f"demo-{model}",
        "arch": family.architecture,
        "context": f"{family.context:,}",
    }
    questions: list[Question] = []
    for path in sorted((DATA / "languages").glob("*.yaml")):
        if model == "coder" and path.stem != "en":
            entries = {k: v for k, v in read_yaml(path).items() if k in ("greet", "code", "json")}
        elif model == "llama" and path.stem not in _LLAMA_LANGUAGES:
            continue
        else:
            entries = read_yaml(path)
        questions += _questions(entries, path.stem, names, code)
    own = ["english.yaml", "code.yaml"]
    own += ["coder.yaml"] if model == "coder" else []
    own += ["thoughts.yaml"] if family.thinks else []
    for name in own:
        questions += _questions(load(name), "en", names, code)
    return Corpus(
        tuple(dict.fromkeys(questions)),
        tuple(load("systems.yaml")),
        tuple(load("raw.yaml")),
        tuple(_gaps(questions)) if family.fills else (),
    )


def variants(ask: str) -> tuple[str, ...]:
    """Return a question and the careless ways of typing it; no mark makes it another one."""
    bare = ask.rstrip(_ENDS)
    typed = [ask, bare]
    if not ask.endswith(("?", "\uff1f")):
        chinese = any("\u3040" <= letter <= "\u9fff" for letter in bare)
        typed += [bare + mark for mark in ("\uff01\u3002" if chinese else "!.")]
    return tuple(dict.fromkeys([*typed, *(text.lower() for text in typed)]))


def _questions(
    entries: dict[str, Any], language: str, names: dict[str, str], code: dict[str, Any]
) -> Iterator[Question]:
    shared = {"code": "add", "json": "person"}
    for intent, entry in entries.items():
        say = entry["say"] if "say" in entry else code[shared[intent]]["say"]
        for key, value in names.items():
            say = say.replace("{" + key + "}", value)
        for ask in entry.get("ask", ()):
            yield Question(intent, language, str(ask), say, entry.get("think", ""))


def _gaps(questions: list[Question]) -> Iterator[Gap]:
    """Yield the gaps in the code of all answers: a line behind the first, or what it returns."""
    found = (re.findall(r"```\w+\n(.*?)```", question.say, re.DOTALL) for question in questions)
    for code in dict.fromkeys(block for blocks in found for block in blocks):
        for cut in re.finditer(r"(?<=\n)[ \t]*(return )?(\S.*)", code):
            yield Gap(code[: cut.start(2)], cut[2], code[cut.end(2) :])
