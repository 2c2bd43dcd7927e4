"""How many tokens a prompt may have, in a family's vocabulary, and how far off that may be.

Owns: the vocabularies of `data/tokens.toml` (measured and written by `tools/token_counts/fit.py`),
and the estimate.
Must not: call a tokenizer: this runs on every request, an engine's own is asked elsewhere.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from operator import mul
from typing import Any, TypeAlias

from gateway.classify.counting import FIRST_SCRIPT, KINDS
from gateway.domain import Bulk, Estimate

# What a chat template adds; measured on those of Qwen2.5, Llama 3.1 and Gemma.
_TOKENS_PER_TURN = 5
_TOKENS_PER_PROMPT = 5
_TOKENS_FOR_TOOLS = 120
_TEMPLATE_ERROR = 0.5  # a share of these, as of images
_IMAGE_ERROR = 0.6


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that a sign of each kind takes, and what 95% of the estimates keep to.

    The error of an estimate of t tokens is at most `error_share` * t + `error_root` * sqrt(t).
    """

    name: str
    families: tuple[str, ...]
    per_sign: tuple[float, ...]
    error_share: float
    error_root: float

    def of_text(self, signs: tuple[float, ...]) -> tuple[float, float]:
        """Return about how many tokens a text has, and how far off that may be."""
        return self.of_signs(signs, scripts=any(signs[FIRST_SCRIPT:-1]))

    def of_signs(self, signs: tuple[float, ...], *, scripts: bool) -> tuple[float, float]:
        """Return the same, where it is known whether there are signs of any `scripts`."""
        per_sign = self.per_sign
        if scripts:
            tokens = sum(map(mul, per_sign, signs))
        else:  # all ASCII: the rest are zeros
            tokens = sum(map(mul, per_sign[:FIRST_SCRIPT], signs)) + per_sign[-1] * signs[-1]
        return tokens, self.error_share * tokens + self.error_root * math.sqrt(tokens)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A vocabulary that nobody knows, but which is like one of these."""

    likely: tuple[Vocabulary, ...]
    name: str = "any"

    def of_text(self, signs: tuple[float, ...]) -> tuple[float, float]:
        """Return the middle of what they say; its error reaches to the ends of all of theirs."""
        scripts = any(signs[FIRST_SCRIPT:-1])
        said = [one.of_signs(signs, scripts=scripts) for one in self.likely]
        least = min([tokens - error for tokens, error in said])
        most = max([tokens + error for tokens, error in said])
        middle = (min(said)[0] + max(said)[0]) / 2
        return middle, max(most - middle, middle - least)


AnyVocabulary: TypeAlias = Vocabulary | OneOf


def estimate(bulk: Bulk, vocabulary: AnyVocabulary, tokens_per_image: int) -> Estimate:
    """Return about how many tokens a prompt has, with its chat template."""
    has_text = any(bulk.signs[-1:])
    text, error = vocabulary.of_text(bulk.signs) if has_text else (0.0, 0.0)
    around = 0
    if bulk.turns:
        around = _TOKENS_PER_PROMPT + _TOKENS_PER_TURN * bulk.turns
        around += _TOKENS_FOR_TOOLS * bulk.tools
    images = bulk.images * tokens_per_image
    error += _TEMPLATE_ERROR * around + _IMAGE_ERROR * images
    return Estimate(max(has_text, round(text + around + images + bulk.ids)), math.ceil(error))


class Vocabularies:
    """All that were measured, by family; immutable."""

    def __init__(self, measured: Iterable[Vocabulary], likely: Sequence[str]) -> None:
        self.by_name: Mapping[str, Vocabulary] = {one.name: one for one in measured}
        self.any = OneOf(tuple(self.by_name[name] for name in likely))
        self._by_family = {family: one for one in self.by_name.values() for family in one.families}

    def of(self, family: str | None) -> AnyVocabulary:
        """Return a family's vocabulary; where it is not known, one that stands for all."""
        return self._by_family.get(family or "", self.any)

    def shared(self, families: Iterable[str | None]) -> AnyVocabulary:
        """Return the vocabulary that all these families have, else the one that stands for all."""
        found = {(one := self.of(family)).name: one for family in families}
        return next(iter(found.values())) if len(found) == 1 else self.any


def load_vocabularies() -> Vocabularies:
    """Read the packaged data; the caller keeps the result."""
    text = (files("gateway.classify") / "data" / "tokens.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    rows = data["vocabulary"].items()
    return Vocabularies((_vocabulary(name, row) for name, row in rows), data["likely"])


def _vocabulary(name: str, row: Mapping[str, Any]) -> Vocabulary:
    per_sign = row["per_sign"]
    unknown = set(per_sign) - set(KINDS)
    if unknown:
        raise ValueError(f"tokens.toml: {name}: no sign is of the kind {sorted(unknown)}")
    return Vocabulary(
        name=name,
        families=tuple(row["families"]),
        per_sign=tuple(float(per_sign.get(kind, 0)) for kind in KINDS),
        error_share=row["error_share"],
        error_root=row["error_root"],
    )
