"""Which models have room for a request's prompt and the answer that it wants.

Owns: what an estimate says of a context, and the words of the refusal where none has room.
Must not: estimate tokens; know rules.

| the prompt, with the answer | the model |
|---|---|
| does not fit, even if it is as short as it may be | is left out |
| does not fit, if the estimate is right | stands behind those into which it fits |
| fits, if the estimate is right | keeps its place |

A context that nobody knows has room for everything. Where no answer was asked for, one token has
to fit, and a short answer is wished for.
"""

from collections.abc import Callable, Mapping, Sequence

from gateway.domain import Endpoint, Estimate
from gateway.errors import ContextLengthExceeded
from gateway.selection.candidates import Kept

_WISHED_ANSWER = 256
# The field that is too long.
_FIELDS: Mapping[Endpoint, str] = {
    Endpoint.CHAT: "messages",
    Endpoint.COMPLETIONS: "prompt",
    Endpoint.EMBEDDINGS: "input",
    Endpoint.RERANK: "documents",
    Endpoint.SCORE: "text_2",
}
_ANSWERED = (Endpoint.CHAT, Endpoint.COMPLETIONS)


class Room:
    """What a request takes of each model: `takes` has the prompt's tokens by model.

    A model that is not in `takes` has room.
    """

    def __init__(
        self,
        takes: Mapping[str, Estimate],
        answer_tokens: int | None,
        contexts: Mapping[str, int | None],
        endpoint: Endpoint = Endpoint.CHAT,
    ) -> None:
        self._takes = takes
        self._answer_tokens = answer_tokens
        self._contexts = contexts
        self._endpoint = endpoint

    def fitting(self, names: Sequence[str]) -> Kept:
        """Keep the models that may have room; those that likely have none stand behind."""
        refused = {name: why for name in names if (why := self._why_not(name)) is not None}
        behind = {name: why for name in names if (why := self._why_behind(name)) is not None}
        left = [name for name in names if name not in refused]
        told = [f"{name} is left out: {why}" for name, why in refused.items()]
        if any(name not in behind for name in left):
            told += [f"{name} comes behind: {behind[name]}" for name in left if name in behind]
            left.sort(key=behind.__contains__)
        return Kept(tuple(left), tuple(told))

    def check(self, names: Sequence[str]) -> None:
        """Refuse a request for which none of these has room.

        Raises:
            ContextLengthExceeded: with both numbers.
        """
        refused = [name for name in names if self._why_not(name) is not None]
        if names and len(refused) == len(names):
            raise self._refusal(refused)

    def _refusal(self, names: Sequence[str]) -> ContextLengthExceeded:
        longest = max(names, key=lambda name: self._context(name) or 0)
        prompt, answer = self._takes[longest], self._answer_tokens
        wanted = "" if answer is None else f", and {answer} are wanted for the answer"
        who = "this model's" if len(names) == 1 else "the longest of the models that may serve it"
        counted = f"about {prompt.tokens} (at least {prompt.least})"
        field, answered = _FIELDS[self._endpoint], self._endpoint in _ANSWERED
        what = "prompt" if answered else "text"
        shorter = "ask for a shorter answer, " if answered else ""
        return ContextLengthExceeded(
            f"The {what} has {counted if prompt.error else prompt.tokens} tokens{wanted}; "
            f"the context of {longest}, {who}, has {self._context(longest)}. Shorten the {what}, "
            f"{shorter}or let a model with a longer context serve it.",
            param=field,
        )

    def _why_not(self, name: str) -> str | None:
        return self._short(name, lambda prompt: prompt.least + self._answer(1), "at least ")

    def _why_behind(self, name: str) -> str | None:
        answer = self._answer(_WISHED_ANSWER)
        return self._short(name, lambda prompt: prompt.tokens + answer, "about ")

    def _answer(self, least: int) -> int:
        """Return how many tokens an answer takes, at least; what is read only has none."""
        return (self._answer_tokens or least) if self._endpoint in _ANSWERED else 0

    def _short(self, name: str, taken: Callable[[Estimate], int], how: str) -> str | None:
        context, prompt = self._context(name), self._takes.get(name)
        if context is None or prompt is None or taken(prompt) <= context:
            return None
        return (
            f"its context of {context} tokens is less than the {how}{taken(prompt)} "
            "that prompt and answer take"
        )

    def _context(self, name: str) -> int | None:
        return self._contexts.get(name)


def is_open(prompt: Estimate, answer_tokens: int | None, context: int | None) -> bool:
    """Say whether only a count can tell if a model with this context has room."""
    if context is None:
        return False
    least = prompt.least + (answer_tokens or 1)
    return least <= context < prompt.most + (answer_tokens or _WISHED_ANSWER) and prompt.error > 0
