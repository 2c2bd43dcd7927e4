"""Usages in another shape than OpenAI's: null, fractions or negative numbers for tokens.

Owns: what is made of them. Must not: know what kind of answer they stand in.
"""

from typing import Any

from engines.protocol.answers import PromptTokensDetails, Usage


def usage_in(told: Any) -> Usage | None:
    """Return what a usage says, 0 for what it does not; None where it is none."""
    if not isinstance(told, dict):
        return None
    return Usage(
        tokens_in(told, "prompt_tokens"),
        tokens_in(told, "completion_tokens"),
        tokens_in(told, "total_tokens"),
        PromptTokensDetails(tokens_in(told.get("prompt_tokens_details"), "cached_tokens")),
    )


def tokens_in(told: Any, name: str) -> int:
    """Return a number of tokens, 0 where there is none."""
    value = told.get(name) if isinstance(told, dict) else None
    return max(0, int(value)) if isinstance(value, int | float) else 0
