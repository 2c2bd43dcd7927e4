"""Errands: questions that need a function, the calls, what they return, and the answer.

Owns: reading `data/errands.yaml`; the functions that a client offers, described in many ways.
Must not: write conversations or tokenize.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.demo_models.reading import load

_OTHERS = 2  # functions that nobody calls, at most


@dataclass(frozen=True, slots=True)
class Errand:
    """A question, the calls that it needs (name, arguments in JSON), their results, the answer."""

    ask: str
    calls: tuple[tuple[str, str], ...]
    found: tuple[str, ...]
    say: str

    def can_be_run(self, tools: tuple[dict[str, Any], ...]) -> bool:
        """Say whether these tools are enough."""
        return {name for name, _ in self.calls} <= {tool["function"]["name"] for tool in tools}


class Errands:
    """All errands; what is drawn comes from the `chance` that is given."""

    def __init__(self) -> None:
        self._told = load("errands.yaml")
        self.kinds: tuple[str, ...] = tuple(self._told["errands"])
        self.helpless: str = load("languages/en.yaml")["unknown"]["say"]

    def draw(self, chance: random.Random, kind: str | None = None) -> Errand:
        """Return an errand of a kind, or of any; what its functions return is drawn."""
        row = self._told["errands"][kind or chance.choice(self.kinds)]
        first, second = chance.sample(self._told["numbers"], 2)

        def filled(text: str) -> str:
            return text.replace("{first}", first).replace("{second}", second)

        return Errand(
            chance.choice(row["ask"]),
            tuple((name, arguments) for name, arguments in row["calls"]),
            tuple(map(filled, row["found"])),
            filled(row["say"]),
        )

    def offer(self, chance: random.Random, *, whole: bool = False) -> tuple[dict[str, Any], ...]:
        """Return tools as a client sends them, of any errand or, unless `whole`, of most."""
        tools = [
            _tool(chance, name, chance.choice(row["describe"]), row["takes"])
            for name, row in self._told["functions"].items()
            if whole or chance.random() < 0.8
        ]
        tools += [self._other(chance) for _ in range(chance.randint(0, _OTHERS))]
        chance.shuffle(tools)
        return tuple(tools or [self._other(chance)])

    def _other(self, chance: random.Random) -> dict[str, Any]:
        words = self._told["others"]
        verb, noun = chance.choice(words["verbs"]), chance.choice(words["nouns"])
        names = chance.sample(words["parameters"], chance.randint(0, 3))
        takes = {name: chance.choice(("string", "number")) for name in names}
        return _tool(chance, f"{verb}_{noun}", f"{verb.capitalize()} a {noun}", takes)


def _tool(
    chance: random.Random, name: str, description: str, takes: Mapping[str, str]
) -> dict[str, Any]:
    """Return a function as one client or another would describe it."""
    properties: dict[str, Any] = {key: {"type": kind} for key, kind in takes.items()}
    if chance.random() < 0.3:
        for key, about in properties.items():
            about["description"] = f"The {key}"
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if chance.random() < 0.7:
        parameters["required"] = list(properties)
    if chance.random() < 0.2:
        parameters["additionalProperties"] = False
    about = {"description": description} if chance.random() < 0.8 else {}
    return {"type": "function", "function": {"name": name, **about, "parameters": parameters}}
