"""From a decoded request to the models that may serve it, and whether a count could change that.

Owns: what is weighed for whom; when an estimate of tokens lies so near a threshold or a context
that an engine should count.
Must not: do I/O; know rules (`gateway.selection` does) or words (`gateway.classify` does).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from engines.protocol.decoding import AnyRequest
from gateway.classify import Gauge, Lesson, Weigher
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import AUTO, TASK_VARIANTS
from gateway.domain import Asked, Bulk, Choice, Estimate, ModelFacts, ModelStatus, Weighed
from gateway.errors import ApiError
from gateway.selection import Selector, is_open

_Status = Mapping[str, ModelStatus]
# Tasks that only some models can do at all, whatever the client calls them.
_BY_SHAPE = ("vision", "audio", "embedding", "rerank")
_ENDS = (attrgetter("least"), attrgetter("most"))


class Settled(msgspec.Struct, frozen=True):
    """What was chosen for a request, and from what.

    `weighed` is None where a model was named and nobody wanted to know; `bulk` is None where the
    request is surely short. `to_count` is the model whose engine should count, None where no count
    can change the choice.
    """

    asked: Asked
    weighed: Weighed | None
    choice: Choice
    bulk: Bulk | None
    to_count: str | None = None


def decider_of(file: RoutingFile, facts: Mapping[str, ModelFacts], selector: Selector) -> "Decider":
    """Return a decider by a file and what is known of its models."""
    gauge = Gauge(facts, file.sizes)
    weigher = Weigher(file.sizes, file.languages, gauge.typical, file.tasks)
    return Decider(selector, weigher, gauge, file)


class Decider:
    """Decides for requests; synchronous. Used from one thread, as its gauge learns."""

    def __init__(
        self, selector: Selector, weigher: Weigher, gauge: Gauge, file: RoutingFile
    ) -> None:
        self._selector = selector
        self._weigher = weigher
        self._gauge = gauge
        self._asks = file.sizes.ask_tokenizer
        whens = [route.when for route in file.routes if route.when is not None]
        self._sizes_decide = any(when.request_size is not None for when in whens)
        ranges = [when.prompt_tokens for when in whens if when.prompt_tokens is not None]
        ends = {end for one in ranges for end in (one.min, one.max) if end is not None}
        self._ends = tuple(sorted(ends))

    def weigh(self, request: AnyRequest, hints: Sequence[str]) -> Weighed:
        """Return what a request weighs; `hints` as for `Weigher.weigh`."""
        return self._weigher.weigh(request, hints)

    def decide(self, asked: Asked, weighed: Weighed, status: _Status) -> Settled:
        """Return what serves a request that was weighed.

        Raises:
            ApiError: the asked model does not exist, or nothing can serve the request.
        """
        weighed = self._with_task(asked, weighed)
        takes = self._gauge.takes(weighed.bulk, weighed.answer_tokens)
        if takes:
            asked = replace(asked, takes=takes)
        choice = self._selector.choose(asked, weighed, status)
        settled = Settled(asked, weighed, choice, weighed.bulk)
        to_count = self._to_count(settled, status)
        return settled if to_count is None else replace(settled, to_count=to_count)

    def decide_named(
        self, asked: Asked, request: AnyRequest, body_bytes: int, status: _Status
    ) -> Settled:
        """Return what serves a request that names a model; only a long one is looked at.

        Raises:
            ApiError: the asked model does not exist, cannot do that, or has no room for the prompt.
        """
        model, bulk = self._selector.meaning(asked.model).model, None
        if model is not None and not self.has_room(model, body_bytes):
            bulk = self._weigher.shape_of(request).bulk
            if bulk.one_prompt:
                asked = replace(asked, takes={model: self._gauge.of(model, bulk)})
        return Settled(asked, None, self._selector.choose(asked, None, status), bulk)

    def has_room(self, model: str, body_bytes: int) -> bool:
        """Say whether a body is so short that any prompt in it fits the model's context."""
        return self._gauge.has_room(model, body_bytes)

    def counted(self, settled: Settled, model: str, tokens: int, status: _Status) -> Settled:
        """Return what serves a request of which the engine of a model says the tokens.

        Raises:
            ApiError: nothing can serve it.
        """
        asked, weighed = settled.asked, settled.weighed
        if weighed is None:
            return settled
        weighed = self._weigher.counted(weighed, tokens)
        if asked.takes:
            asked = replace(asked, takes={**asked.takes, model: Estimate(tokens)})
        choice = self._selector.choose(asked, weighed, status)
        return Settled(asked, weighed, choice, settled.bulk)

    def learn(
        self, bulk: Bulk, model: str, prompt_tokens: int, typical: Estimate | None = None
    ) -> Lesson | None:
        """Note how many tokens an engine has counted in a prompt; return what that teaches.

        `typical` is what weighing has estimated, where nobody has counted since.
        """
        return self._gauge.learn(model, bulk, prompt_tokens, typical)

    def recall(self, lesson: Lesson) -> None:
        """Take what the decider of another process has learnt."""
        self._gauge.recall(lesson)

    def _with_task(self, asked: Asked, weighed: Weighed) -> Weighed:
        """Return what was weighed with the task that the client said (`auto:code`)."""
        task = self._selector.meaning(asked.model).variant
        if task not in TASK_VARIANTS or weighed.task in _BY_SHAPE:
            return weighed
        whys = {**weighed.whys, "task": f"the client asked for {AUTO}:{task}"}
        return replace(weighed, task=task, task_confidence=1.0, whys=whys)

    def _to_count(self, settled: Settled, status: _Status) -> str | None:
        weighed, models = settled.weighed, settled.choice.models
        # What images come to, no tokenizer says.
        if not self._asks or weighed is None or weighed.images or not weighed.bulk.one_prompt:
            return None
        if not self._threshold_is_near(weighed) and not self._context_is_near(settled, weighed):
            return None
        least, most = (self._first_at(settled, weighed, status, end) for end in _ENDS)
        if least == most == models[0]:
            return None
        return least or models[0]

    def _threshold_is_near(self, weighed: Weighed) -> bool:
        prompt = Estimate(weighed.prompt_tokens, weighed.prompt_tokens_error)
        if self._sizes_decide and self._weigher.size_is_open(weighed):
            return True
        return any(prompt.least <= end <= prompt.most for end in self._ends)

    def _context_is_near(self, settled: Settled, weighed: Weighed) -> bool:
        contexts = self._selector.contexts
        if not settled.asked.takes:
            return False
        return any(
            is_open(settled.asked.takes[name], weighed.answer_tokens, contexts.get(name))
            for name in settled.choice.models
            if name in settled.asked.takes
        )

    def _first_at(
        self, settled: Settled, weighed: Weighed, status: _Status, end: Callable[[Estimate], int]
    ) -> str | None:
        """Return who would serve if the prompt had the fewest or the most tokens that it may have.

        None where nobody would.
        """
        takes = {name: Estimate(end(prompt)) for name, prompt in settled.asked.takes.items()}
        tokens = end(Estimate(weighed.prompt_tokens, weighed.prompt_tokens_error))
        asked, counted = replace(settled.asked, takes=takes), self._weigher.counted(weighed, tokens)
        try:
            return self._selector.choose(asked, counted, status).models[0]
        except ApiError:
            return None
