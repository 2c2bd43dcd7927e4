"""Whether a request is small, medium or large, and how sure that is.

Owns: what a request weighs (its prompt and the answer that it wants), and the thresholds' meaning.
Must not: estimate tokens (`gateway.classify.tokens` does).
"""

import math

import msgspec
from msgspec.structs import replace

from gateway.config.schema import SizeSection
from gateway.domain import Estimate, Weighed

_SIGMAS = 2  # an estimate's error is one that 95% keep to


class Size(msgspec.Struct, frozen=True):
    """small, medium or large; how sure that is, 0 to 1; why; and whether it may be another."""

    name: str
    confidence: float
    reason: str
    open: bool


def size_of(prompt: Estimate, answer_tokens: int | None, sizes: SizeSection) -> Size:
    """Return the size of a request.

    It weighs its prompt and the answer that it wants; of that at most `counted_answer_tokens`
    count, as clients set the bound on every request. What nobody said counts nothing.
    """
    answer = min(answer_tokens or 0, sizes.counted_answer_tokens)
    weight = prompt.tokens + answer
    name = _name(weight, sizes)
    about = f"about {prompt.tokens} (+-{prompt.error})" if prompt.error else f"{prompt.tokens}"
    reason = (
        f"{about} prompt tokens and {answer} for the answer, "
        f"small below {sizes.small_below}, large from {sizes.large_from}"
    )
    ends = {_name(end + answer, sizes) for end in (prompt.least, prompt.most)}
    return Size(name, _confidence(name, weight, prompt.error, sizes), reason, ends != {name})


def counted(weighed: Weighed, tokens: int, sizes: SizeSection) -> Weighed:
    """Return what a request weighs once an engine has counted its prompt's tokens."""
    size = size_of(Estimate(tokens), weighed.answer_tokens, sizes)
    reasons = [
        f"request_size is {size.name}: {size.reason}; the engine counted"
        if reason.startswith("request_size is ")
        else reason
        for reason in weighed.reasons
    ]
    return replace(
        weighed,
        request_size=size.name,
        request_size_confidence=size.confidence,
        prompt_tokens=tokens,
        prompt_tokens_error=0,
        reasons=tuple(reasons),
    )


def _name(weight: int, sizes: SizeSection) -> str:
    if weight < sizes.small_below:
        return "small"
    return "large" if weight >= sizes.large_from else "medium"


def _confidence(name: str, weight: int, error: int, sizes: SizeSection) -> float:
    """Return how likely it is that the true weight has the same name."""
    least = {"small": -math.inf, "medium": sizes.small_below, "large": sizes.large_from}[name]
    most = {"small": sizes.small_below, "medium": sizes.large_from, "large": math.inf}[name]
    sigma = error / _SIGMAS
    if not sigma:
        return 1.0
    below, above = ((end - weight) / sigma for end in (least, most))
    return round(_share_below(above) - _share_below(below), 2)


def _share_below(sigmas: float) -> float:
    return (1 + math.erf(sigmas / math.sqrt(2))) / 2
