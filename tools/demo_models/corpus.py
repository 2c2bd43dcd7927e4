"""The questions and answers that the demo models are trained on.

Owns: reading `data/`, which model learns what, how a conversation is written in each template.
Must not: tokenize or train.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).resolve().parent / "data"
# What the toy of each family learns beside English: Llama's official languages, Qwen's many.
_LLAMA_LANGUAGES = ("en", "de", "es", "fr", "hi", "it", "pt")
# What ends a question and may be left out; the last three are the full-width ?, ! and full stop.
_ENDS = "?!.\uff1f\uff01\u3002"


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask, the answer, and the intent that it shares with its paraphrases."""

    intent: str
    language: str
    ask: str
    say: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All that one model learns."""

    questions: tuple[Question, ...]
    systems: tuple[str, ...]
    raw: tuple[str, ...]

    def texts(self) -> Iterator[str]:
        """Yield every text, for the tokenizer's training."""
        for question in self.questions:
            yield question.ask
            yield question.say
        yield from self.systems
        yield from self.raw


def corpus_of(model: str) -> Corpus:
    """Return what `qwen`, `coder` or `llama` learns.

    Raises:
        KeyError: an answer is missing in the data.
    """
    code = _load("code.yaml")
    names = {"name": f"demo-{model}", "arch": "llama" if model == "llama" else "qwen2"}
    questions: list[Question] = []
    for path in sorted((DATA / "languages").glob("*.yaml")):
        if model == "coder" and path.stem != "en":
            entries = {k: v for k, v in _yaml(path).items() if k in ("greet", "code", "json")}
        elif model == "llama" and path.stem not in _LLAMA_LANGUAGES:
            continue
        else:
            entries = _yaml(path)
        questions += _questions(entries, path.stem, names, code)
    own = ["english.yaml", "code.yaml"] + (["coder.yaml"] if model == "coder" else [])
    for name in own:
        questions += _questions(_load(name), "en", names, code)
    return Corpus(
        tuple(dict.fromkeys(questions)), tuple(_load("systems.yaml")), tuple(_load("raw.yaml"))
    )


def variants(ask: str) -> tuple[str, ...]:
    """Return a question and the careless ways of typing it; no mark makes it another one."""
    bare = ask.rstrip("?\uff1f!.\u3002\uff01")
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
            yield Question(intent, language, str(ask), say)


def _load(name: str) -> Any:
    return _yaml(DATA / name)


def _yaml(path: Path) -> Any:
    # BaseLoader: every scalar is text, so that an intent called `no` is not false.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it builds nothing but text, lists and mappings
