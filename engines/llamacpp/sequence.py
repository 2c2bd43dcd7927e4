"""One sequence: how far it is, and what comes of each step.

Owns: its tokens, its limits, why it ended.
Must not: evaluate or deliver; `engines.llamacpp.batcher` does.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import zip_longest
from time import perf_counter

import numpy as np

from engines.llamacpp.batches import View
from engines.llamacpp.binding import Floats
from engines.llamacpp.drafts import LONGEST_DRAFT, Drafter, affordable
from engines.llamacpp.grammar.constraint import GrammarTooHard
from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.pictures import is_text
from engines.llamacpp.sampling import (
    NothingToPick,
    Sampler,
    ban,
    top_logprobs,
)
from engines.llamacpp.speech.budget import ThoughtMeter
from engines.llamacpp.text import TextStream
from engines.llamacpp.vocabulary import Vocabulary

_log = logging.getLogger("weighbridge.worker")


class SequenceState:
    """Mutable; owned by the batcher's thread from admission to its end.

    `done` tokens of `tokens` are in the KV cache. A sequence that was preempted has `done` 0 and
    is evaluated again; what it has said stays said. `known` are the tokens with which it was
    queued, as an array: what others may share is found in them. `cached` of them were in the
    cache when it first ran; None before. `read` tokens of the prompt were found or evaluated.
    `heard_s` is when its client was last told something, at first when it was asked; the last
    token waited `masked_s` for its grammar. The next step evaluates a `draft` behind what is
    pending: tokens that are a guess. `prompt_told` is what is told of the prompt's second token and
    those behind it, as far as that is known.
    """

    def __init__(self, order: Order, deliver: Callable[[Progress], None]) -> None:
        self.order = order
        self.deliver = deliver
        self.tokens = list(order.prompt)
        self.known = np.array(order.prompt, dtype=np.int32)
        self.cached: int | None = None
        self.heard_s = 0.0
        self.masked_s = 0.0
        self.done = 0
        self.read = 0
        self.slot = -1
        self.generated = 0
        self.cancelled = False
        self.draft: tuple[int, ...] = ()
        self.prompt_told: list[TokenTold] = []
        self._drafter = Drafter()
        words = tuple(filter(is_text, order.prompt)) if order.layout else order.prompt
        self._sampler = Sampler(order.sampling, order.choice, words)
        self._text = TextStream(order.stops, tells_stop=order.tells_stop)
        self._thought = ThoughtMeter(order.thoughts) if order.thoughts is not None else None
        self._is_complete = None if order.ear is None else order.ear()
        self._forced: deque[int] = deque()
        self._constraint = None if order.grammar is None else order.grammar.start()

    @property
    def pending(self) -> int:
        """How many tokens must be evaluated before the next can be drawn."""
        return len(self.tokens) - self.done

    @property
    def readable(self) -> int:
        """How many of those are tokens of text that come before the next picture."""
        if not self.order.layout:
            return len(self.tokens) - self.done
        return self.order.layout.ahead(self.done, len(self.tokens))

    @property
    def untold(self) -> bool:
        """Whether something is still to be told of the prompt; nothing is drawn before."""
        told = len(self.prompt_told)
        return self.order.tells_prompt and told < len(self.order.prompt) - 1

    @property
    def position(self) -> int:
        """The position of the next token to evaluate; in a picture, of the picture's first."""
        return self.order.layout.position(self.done)

    def view(self, most: int) -> View | None:
        """Return what of a picture is to be evaluated next, at most so many tokens."""
        found = self.order.layout.next(self.done)
        if found is None:
            return None
        picture, begun = found
        count = min(len(picture.ids) - begun, most)
        return View(self.slot, self.position, picture, begun, count)

    def next_tokens(self, count: int) -> Sequence[int]:
        """Return the next tokens to evaluate: so many of those pending, and the draft."""
        return [*self.tokens[self.done : self.done + count], *self.draft]

    def wanted(self, count: int) -> int:
        """Return of how many of the next tokens, the last ones, logits are wanted."""
        drawn = 1 + len(self.draft) if count == self.pending else 0
        unknown = self.done + count - len(self.prompt_told) if self.untold else 0
        return max(drawn, min(count, unknown))

    def tell_prompt(self, logits: Floats) -> Floats:
        """Note what `logits` [tokens, vocabulary] tell of the prompt; return those behind it."""
        if not self.untold:
            return logits
        known = len(self.prompt_told) + 1
        for row, token in zip(logits, self.order.prompt[known:], strict=False):
            logprob, best = top_logprobs(row, token, self.order.logprobs or 0)
            self.prompt_told.append(TokenTold(token, logprob, tuple(best)))
        return logits[len(self.prompt_told) + 1 - known :]

    def foresee(self, pool: ThreadPoolExecutor) -> None:
        """Begin to work out which tokens the grammar allows next, while others are evaluated."""
        if self._constraint is not None:
            self._constraint.ask(pool, self.draft)

    def guess(self, most: int, context: int) -> None:
        """Let the next step evaluate a draft of at most so many tokens.

        None leads beyond where the text outgrows its context: it gives way there, and nowhere else.
        """
        most = min(most, self.order.most_tokens - self.generated - 1)
        if self._is_too_long(context):
            most = min(most, context - len(self.tokens) - LONGEST_DRAFT - 1)
        if most < 1 or self._forced or self.pending != 1:
            self.draft = ()
            return
        held = self._constraint
        draft = self._drafter.draft(self.tokens, most, held.forced() if held is not None else ())
        if not all(map(is_text, draft)):
            draft = ()
        if held is not None and draft:
            draft = draft[: affordable(held.fits(draft))]
        self.draft = draft

    def outgrows(self, context: int) -> bool:
        """Say whether a context has no room for the next tokens; pictures keep their place."""
        return context - len(self.tokens) <= LONGEST_DRAFT and self._is_too_long(context)

    def _is_too_long(self, context: int) -> bool:
        """Say whether a context has no room for all that may come."""
        wanted = self.order.most_tokens - self.generated
        return context - len(self.tokens) < wanted and not self.order.layout

    def shift(self, context: int) -> None:
        """Drop the middle of the text; the cache must not hold anything of it.

        The prompt's beginning stays, up to a quarter of the context, and the latter half of the
        rest: read again, so that the next tokens are what the model says behind this very text.
        """
        kept = min(len(self.order.prompt), context // 4)
        self.tokens = [*self.tokens[:kept], *self.tokens[-((len(self.tokens) - kept) // 2) :]]
        self.known = np.array(self.tokens, dtype=np.int32)
        self._drafter = Drafter()

    def draw(self, logits: Floats, vocabulary: Vocabulary) -> list[Progress]:
        """Draw from each row of `logits` [1 + draft, vocabulary], as long as the draft is right.

        So every token is drawn from what the model says behind all tokens before it, and chance
        and penalties know of no other. The cells of the right part of the draft count as `done`.
        """
        first = self.generated == 0
        drafted, self.draft = self.draft, ()
        said: list[Progress] = []
        for row, guessed in zip_longest(logits, drafted):
            said.append(self._contained(row, vocabulary))
            if said[-1].ends or self.tokens[-1] != guessed:
                break
        if first:
            prompt = tuple(self.prompt_told) if self.order.tells_prompt else None
            said[0] = replace(said[0], cached=self.cached or 0, prompt=prompt)
        right = len(said) - 1
        self.done += right
        if drafted:
            self._drafter.learn(len(drafted), right, len(self.tokens))
        return said

    def _contained(self, logits: Floats, vocabulary: Vocabulary) -> Progress:
        """Draw a token; a defect that shows there ends this sequence and no other."""
        try:
            return self.advance(logits, vocabulary)
        except Exception:  # noqa: BLE001 - all others are drawn on this thread too
            _log.exception("no token could be drawn")
            return Progress(error="no token could be drawn; the engine's log says more")

    def advance(self, logits: Floats, vocabulary: Vocabulary) -> Progress:
        """Draw a token from `logits` [vocabulary]; return what that adds."""
        order = self.order
        if order.most_tokens == 0:
            return Progress(finish_reason="length")
        if order.ignore_eos:
            logits[list(vocabulary.ends)] = -float("inf")
        raw = logits.copy() if order.logprobs is not None else logits
        try:
            token, complete = self._next(logits, self._too_early(vocabulary))
        except NothingToPick as error:
            return Progress(error=str(error), forbidden=order.sampling.forbids)
        except GrammarTooHard as error:
            return Progress(error=str(error), refused=True)
        self.generated += 1
        told: tuple[TokenTold, ...] = ()
        ends = token in vocabulary.ends or token in order.stop_tokens
        # Evaluations count on one token behind the prompt, be it the end.
        if order.logprobs is not None and (order.tells_prompt or not ends):
            logprob, best = top_logprobs(raw, token, order.logprobs)
            told = (TokenTold(token, logprob, tuple(best)),)
        if ends:
            return Progress(self._text.finish(), 1, told, finish_reason="stop")
        self.tokens.append(token)
        piece = order.shown.get(token) or vocabulary.piece(token)
        if self._thought is not None:
            self._thought.take(piece)
        text = self._text.feed(piece, may_stop=self.generated > order.least_tokens)
        heard_all = self._is_complete is not None and self._is_complete(text)
        reason = "stop" if heard_all or self._text.has_stopped() else None
        if reason is None and (complete or self.generated >= order.most_tokens):
            text += self._text.finish()
            reason = "stop" if complete or self._text.has_stopped() else "length"
        return Progress(text, 1, told, reason)

    def _too_early(self, vocabulary: Vocabulary) -> list[int]:
        """Return the tokens that may not come yet."""
        if self.generated >= self.order.least_tokens:
            return []
        return [*vocabulary.ends, *self.order.stop_tokens]

    def _next(self, logits: Floats, too_early: Sequence[int]) -> tuple[int, bool]:
        """Return the next token, and whether the grammar is complete with it."""
        if self._constraint is None:
            ban(logits, too_early)
            return self._pick(logits), False
        # Bias and penalties leave the impossible impossible: the mask may come before them.
        began = perf_counter()
        self._constraint.apply(logits)
        self.masked_s = perf_counter() - began
        ban(logits, too_early)
        token = self._pick(logits)
        return token, self._constraint.take(token)

    def _pick(self, logits: Floats) -> int:
        """Draw a token, or take the next of those that close a thought."""
        if self._thought is not None and self._thought.spent():
            self._forced.extend(self._thought.close())
        if not self._forced:
            return self._sampler.pick(logits)
        self._sampler.note(self._forced[0])
        return self._forced.popleft()
