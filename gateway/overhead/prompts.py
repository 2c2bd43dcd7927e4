"""Prompts for the benchmark: distinct, of a given length, in several languages, for several tasks.

Owns: putting them together from `prompts.toml`. Must not: know a request's shape.
"""

import random
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice

# Of twenty prompts so many are in each language; the rest is English.
_OF_TWENTY = {"de": 3, "fr": 2, "es": 2, "ru": 1, "zh": 1, "hi": 1}


def prompts(count: int, characters: int) -> tuple[str, ...]:
    """Return so many distinct prompts of about so many characters; always the same ones."""
    return tuple(islice(_prompts(characters), count))


def _prompts(characters: int) -> Iterator[str]:
    data = tomllib.loads((files("gateway.overhead") / "prompts.toml").read_text("utf-8"))
    chance = random.Random(1)  # noqa: S311 - the same prompts each time
    languages = [language for language, times in _OF_TWENTY.items() for _ in range(times)]
    languages += ["en"] * (20 - len(languages))
    seen: set[str] = set()
    while True:
        parts = data[chance.choice(languages)]
        prompt = _prompt(parts["openings"], parts["sentences"], characters, chance)
        if prompt not in seen:
            seen.add(prompt)
            yield prompt


def _prompt(
    openings: list[str], sentences: list[str], characters: int, chance: random.Random
) -> str:
    said = [chance.choice(openings)]
    length = len(said[0])
    while length < characters:
        sentence = chance.choice(sentences)
        if chance.random() < 1 / 2:  # what makes it one that nobody has seen
            sentence = f"{sentence[:-1]} ({chance.randrange(10_000)}){sentence[-1]}"
        said.append(sentence)
        length += len(sentence) + 1
    return " ".join(said)[:characters]
