"""Whether a request is small, medium or large, and how sure that is.

Owns: what a request weighs (its prompt and the answer that it wants), and the thresholds' meaning.
Must not: estimate tokens (`gateway.classify.tokens` does).
"""

import math

import msgspec
from msgspec.structs import replace

from gateway.config.weighing import SizeSection
from gateway.domain import Estimate, Reason, Weighed, Why

_SIGMAS = 2  # an estimate's error is one that 95% keep to
_SURELY_BEYOND = 4  # a threshold so many errors away is passed by one in 10^15


class Size(msgspec.Struct, frozen=True):
    """small, medium or large; how sure that is, 0 to 1; and why."""

    name: str
    confidence: float
    reason: Why


def size_of(prompt: Estimate, answer_tokens: int | None, sizes: SizeSection) -> Size:
    """Return the size of a request.

    It weighs its prompt and the answer that it wants; of that at most `counted_answer_tokens`
    count, as clients set the bound on every request. What nobody said counts nothing.
    """
    answer = min(answer_tokens or 0, sizes.counted_answer_tokens)
    weight = prompt.tokens + answer
    name = _name(weight, sizes)
    reason = Reason(_told, (prompt, answer, sizes))
    return Size(name, _confidence(name, weight, prompt.error, sizes), reason)


def is_open(prompt: Estimate, answer_tokens: int | None, sizes: SizeSection) -> bool:
    """Say whether a threshold lies within the error of an estimate."""
    answer = min(answer_tokens or 0, sizes.counted_answer_tokens)
    return _name(prompt.least + answer, sizes) != _name(prompt.most + answer, sizes)


def counted(weighed: Weighed, tokens: int, sizes: SizeSection) -> Weighed:
    """Return what a request weighs once an engine has counted its prompt's tokens."""
    size = size_of(Estimate(tokens), weighed.answer_tokens, sizes)
    whys = {**weighed.whys, "request_size": Reason("{}; the engine counted".format, (size.reason,))}
    return replace(
        weighed,
        request_size=size.name,
        request_size_confidence=size.confidence,
        prompt_tokens=tokens,
        prompt_tokens_error=0,
        whys=whys,
    )


def _told(prompt: Estimate, answer: int, sizes: SizeSection) -> str:
    about = f"about {prompt.tokens} (+-{prompt.error})" if prompt.error else f"{prompt.tokens}"
    return (
        f"{about} prompt tokens and {answer} for the answer, "
        f"small below {sizes.small_below}, large from {sizes.large_from}"
    )


def _name(weight: int, sizes: SizeSection) -> str:
    if weight < sizes.small_below:
        return "small"
    return "large" if weight >= sizes.large_from else "medium"


def _confidence(name: str, weight: int, error: int, sizes: SizeSection) -> float:
    """Return how likely it is that the true weight has the same name."""
    if not error:
        return 1.0
    ends = (sizes.small_below, sizes.large_from)
    if min([abs(end - weight) for end in ends]) > _SURELY_BEYOND * error:
        return 1.0
    scale = math.sqrt(2) * error / _SIGMAS
    to_medium, to_large = (math.erf((end - weight) / scale) for end in ends)
    shares = {"small": 1 + to_medium, "medium": to_large - to_medium, "large": 1 - to_large}
    return round(shares[name] / 2, 2)
