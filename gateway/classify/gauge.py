"""How many tokens a prompt takes of each model's context, learnt from what engines report.

Owns: each model's vocabulary, and a few numbers on how its estimates have come out.
Must not: ask an engine; decide what fits (`gateway.selection.fitting` does).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from gateway.classify.counting import FIRST_SCRIPT
from gateway.classify.tokens import AnyVocabulary, Vocabularies, estimate, load_vocabularies
from gateway.config.weighing import SizeSection
from gateway.domain import Bulk, Estimate, ModelFacts

_MOST_TOKENS_AROUND = 1_000  # templates with long system prompts of their own


class Lesson(NamedTuple):
    """What an engine has counted in a prompt, beside the estimate that its model's words gave."""

    model: str
    tokens: int
    error: int
    counted: int


class Gauge:
    """Estimates for every model of the file. Mutable; used from one thread.

    `typical` is the vocabulary that the models share, by which a request's size is told.
    """

    def __init__(
        self,
        facts: Mapping[str, ModelFacts],
        sizes: SizeSection | None = None,
        vocabularies: Vocabularies | None = None,
    ) -> None:
        known = vocabularies or load_vocabularies()
        self._per_image = (sizes or SizeSection()).image_tokens
        self._vocabularies = {name: known.of(one.family) for name, one in facts.items()}
        writers = [one.family for one in facts.values() if one.generates is not False]
        self.typical: AnyVocabulary = known.shared(writers)
        self._experience = {name: _Experience() for name in facts}
        self._contexts = {name: one.context_tokens for name, one in facts.items()}
        writing = (one.context_tokens for one in facts.values() if one.generates is not False)
        self._shortest = min(filter(None, writing), default=math.inf)

    def takes(self, bulk: Bulk, answer_tokens: int | None) -> Mapping[str, Estimate]:
        """Return the tokens of a prompt by model; empty where it surely fits all of them.

        Of several prompts nobody says which is the longest: they fit.
        """
        if not bulk.one_prompt:
            return {}
        # No token is shorter than a byte.
        most = sum(bulk.signs) + 2 * sum(bulk.signs[FIRST_SCRIPT:]) + bulk.ids
        most += _MOST_TOKENS_AROUND
        if most + (answer_tokens or 0) <= self._shortest and not bulk.images:
            return {}
        return {name: self.of(name, bulk) for name in self._vocabularies}

    def has_room(self, model: str, body_bytes: int) -> bool:
        """Say whether a request of so many bytes surely fits a model: no token is shorter."""
        context = self._contexts.get(model)
        return context is None or body_bytes + _MOST_TOKENS_AROUND <= context

    def of(self, model: str, bulk: Bulk) -> Estimate:
        """Return the tokens of a prompt for a model of the file."""
        plain = estimate(bulk, self._vocabularies[model], self._per_image)
        return self._experience[model].corrected(plain)

    def learn(
        self, model: str, bulk: Bulk, prompt_tokens: int, typical: Estimate | None = None
    ) -> Lesson | None:
        """Note how many tokens an engine counted in a prompt; return what that teaches, if any.

        `typical` is what weighing has estimated by the vocabulary of this name, where it is known.
        """
        # How images are cut says nothing of texts.
        teaches = bulk.one_prompt and not bulk.images and prompt_tokens > 0
        if not teaches or model not in self._vocabularies:
            return None
        plain, vocabulary = typical, self._vocabularies[model]
        if plain is None or vocabulary is not self.typical:
            plain = estimate(bulk, vocabulary, self._per_image)
        self._experience[model].add(plain, prompt_tokens)
        return Lesson(model, plain.tokens, plain.error, prompt_tokens)

    def recall(self, lesson: Lesson) -> None:
        """Take what another process has learnt."""
        experience = self._experience.get(lesson.model)
        if experience is not None:
            experience.add(Estimate(lesson.tokens, lesson.error), lesson.counted)


class _Experience:
    """A line through a model's past counts over their estimates, and how far they lie off it.

    Seven numbers, in which what is long past counts ever less: the weighted sums of a regression
    of count on estimate (weights are 1 / estimate, lest long prompts alone decide), and of squares
    of relative errors. It begins with a few counts that are as estimated.
    """

    __slots__ = ("_n", "_off", "_offs", "_x", "_xx", "_xy", "_y")

    _KEPT = 0.98  # of the past, with each count: about fifty count
    _OFF_KEPT = 0.9  # of errors, which grow smaller while the line is found
    _PRIOR_TOKENS = (30.0, 300.0, 3_000.0)
    # The sums that these come to, each of weight 1 / tokens.
    _PRIOR_N = sum(1 / tokens for tokens in _PRIOR_TOKENS)
    _PRIOR_X = float(len(_PRIOR_TOKENS))
    _PRIOR_XX = sum(_PRIOR_TOKENS)
    _LEAST_SHARE = 0.03  # nobody is surer than this
    _SLOPES = (0.5, 3.0)

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        self._off = self._offs = 0.0

    def add(self, plain: Estimate, counted: int) -> None:
        """Add a count."""
        tokens = max(1.0, float(plain.tokens))
        off = (counted - self._line(tokens)) / tokens
        weight = 1 / tokens
        self._n = self._n * self._KEPT + weight
        self._x = self._x * self._KEPT + weight * tokens
        self._y = self._y * self._KEPT + weight * counted
        self._xx = self._xx * self._KEPT + weight * tokens * tokens
        self._xy = self._xy * self._KEPT + weight * tokens * counted
        self._off = self._off * self._OFF_KEPT + off * off
        self._offs = self._offs * self._OFF_KEPT + 1

    def corrected(self, plain: Estimate) -> Estimate:
        """Return an estimate as experience corrects it."""
        if not self._offs or not plain.tokens:
            return plain
        tokens = self._line(plain.tokens)
        prior = (plain.error / plain.tokens / 2) ** 2
        spread = (prior + self._off) / (1 + self._offs)
        share = max(self._LEAST_SHARE, 2 * math.sqrt(spread))
        return Estimate(max(1, round(tokens)), math.ceil(share * tokens))

    def _line(self, tokens: float) -> float:
        """Return the count that experience expects."""
        n, x, y = self._n + self._PRIOR_N, self._x + self._PRIOR_X, self._y + self._PRIOR_X
        xx, xy = self._xx + self._PRIOR_XX, self._xy + self._PRIOR_XX
        spread = n * xx - x * x
        slope = (n * xy - x * y) / spread if spread > 0 else 1.0
        slope = min(max(slope, self._SLOPES[0]), self._SLOPES[1])
        return max(1.0, slope * tokens + (y - slope * x) / n)
