"""What is asked of one sequence, and what it says of each step: values.

Owns: their fields, and what absent ones mean. Must not: draw, or decide when an answer ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engines.llamacpp.grammar.constraint import Compiled
from engines.llamacpp.pictures import NO_PICTURES, Layout
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.speech.budget import ThoughtBudget


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of one sequence.

    `most_tokens` bounds the answer so that it fits the context. `logprobs` is None where none
    are wanted, else how many alternatives; `tells_prompt`: those of the prompt's tokens as well.
    `choice` tells the sequences of one request apart.
    `stop_tokens` end the answer as the vocabulary's ends do; none of them, nor a stop string, comes
    before `least_tokens` unless nothing else may. `tells_stop`: the string that ended it is told.
    `shown` are control tokens that are text all the same, because somebody looks for them in it.
    The answer holds to `grammar`, where there is one. `adapter` counts those of the runtime from 1;
    0 is the model alone. `ear` begins to listen to an answer; it says after each text whether the
    answer is complete, so that no more of it is wanted. `layout`: which of the prompt's tokens are
    those of pictures.
    """

    prompt: tuple[int, ...]
    most_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stops: tuple[str, ...] = ()
    ignore_eos: bool = False
    least_tokens: int = 0
    stop_tokens: frozenset[int] = frozenset()
    tells_stop: bool = False
    logprobs: int | None = None
    tells_prompt: bool = False
    choice: int = 0
    shown: Mapping[int, bytes] = field(default_factory=dict)
    thoughts: ThoughtBudget | None = None
    grammar: Compiled | None = None
    adapter: int = 0
    ear: Callable[[], Callable[[str], bool]] | None = None
    layout: Layout = NO_PICTURES


@dataclass(frozen=True, slots=True)
class TokenTold:
    """A token with its log probability and the likeliest alternatives."""

    token: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step added to a sequence. `error` ends it, as does `finish_reason`.

    `refused`: the error is the request's, not the engine's; so it is with `forbidden`: no token is
    left of those that it does not forbid. The first one tells how many tokens of the prompt were
    `cached`, and what is told of all but the first, where that is wanted.
    """

    text: str = ""
    tokens: int = 0
    told: tuple[TokenTold, ...] = ()
    finish_reason: str | None = None
    error: str | None = None
    refused: bool = False
    cached: int = 0
    prompt: tuple[TokenTold, ...] | None = None
    forbidden: bool = False

    @property
    def ends(self) -> bool:
        """Whether nothing comes after it."""
        return self.finish_reason is not None or self.error is not None
