"""Settles which models may serve a request: decided, and where it matters counted by an engine.

Owns: the order of asking, deciding, counting and deciding again; what is learnt from an answer.
Must not: decide or count itself; lease or relay.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from gateway.answer_headers import decision_headers
from gateway.asking import Incoming, asked_by
from gateway.classify import Lesson, language_hints
from gateway.deciding import Decider, Settled
from gateway.domain import Asked, Bulk, Endpoint, Estimate, ModelStatus, Weighed
from gateway.fleet.balance import Load
from gateway.fleet.prefixes import Beginnings, Prefixes, beginnings_of
from gateway.observe.account import Account
from gateway.observing import Observer
from gateway.relay.asked import expected_tokens
from gateway.selection import Selector, constraints_of
from gateway.tokenizing import TokenCounter

_BYTES_A_TOKEN = 4
# A body of pictures has many more bytes than its prompt has tokens.
_MOST_PROMPT_TOKENS = 32_768
_NO_BEGINNINGS = Beginnings()


class Decided(msgspec.Struct, frozen=True):
    """What was chosen for a request, the response headers that say so, and what it weighs.

    `bulk` is what its prompt is made of, None where nobody has looked; `estimated` the tokens that
    weighing took that for. Why it was chosen is not kept: this lives as long as the answer takes.
    """

    models: tuple[str, ...]
    shadow: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    bulk: Bulk | None
    beginnings: Beginnings
    load: Load
    estimated: Estimate | None = None


class Settler:
    """Settles requests, and remembers what they came to."""

    def __init__(
        self,
        *,
        selector: Selector,
        decider: Decider,
        counter: TokenCounter,
        prefixes: Prefixes,
        status: Callable[[], Mapping[str, ModelStatus]],
        observer: Observer | None = None,
        teach: Callable[[Lesson], None] | None = None,
    ) -> None:
        self._selector = selector
        self._decider = decider
        self._counter = counter
        self._prefixes = prefixes
        self._status = status
        self._observer = observer
        self._teach = teach
        # By what was asked for, of which there are as many as there are names and endpoints.
        self._plain: dict[tuple[str | None, Endpoint], Decided] = {}

    async def settle(self, incoming: Incoming) -> Decided:
        """Return what serves a request of which nothing is known `plainly`.

        Raises:
            ApiError: the asked model does not exist, or nothing can serve the request.
        """
        request = incoming.request
        by_rules = self._selector.meaning(request.model).model is None
        recalls = by_rules and self._selector.recalls
        beginnings = beginnings_of(request) if recalls else _NO_BEGINNINGS
        asked = asked_by(
            incoming.endpoint,
            request,
            incoming.headers,
            self._selector,
            chance=random.random(),  # noqa: S311 - a share of requests, no secret
            seen=self._prefixes.seen(beginnings),
        )
        status = self._status()
        if by_rules:
            settled = await self._by_rules(asked, incoming, status)
        else:
            settled = self._decider.decide_named(asked, request, len(incoming.body), status)
        choice = settled.choice
        headers = decision_headers(choice, settled.weighed)
        load = _load_of(incoming, settled)
        decided = Decided(
            choice.models,
            choice.shadow,
            headers,
            settled.bulk,
            beginnings,
            load,
            _estimated(settled.weighed),
        )
        if not by_rules and settled.bulk is None and not asked.constraints:
            self._plain[request.model, incoming.endpoint] = decided
        return decided

    def plainly(self, incoming: Incoming) -> Decided | None:
        """Return what is always settled for such a request: it names a model, short, no demands.

        None where it is none of those, or the first of them.

        Raises:
            InvalidRequest: it demands what cannot be read.
        """
        request = incoming.request
        found = self._plain.get((request.model, incoming.endpoint))
        if found is None or not self._decider.has_room(found.models[0], len(incoming.body)):
            return None
        if constraints_of(incoming.headers, request.metadata):
            return None
        load = _load_of(incoming, None)
        return Decided(found.models, None, found.headers, None, _NO_BEGINNINGS, load)

    def answered(
        self, incoming: Incoming, decided: Decided, model: str, account: Account, *, broken: bool
    ) -> None:
        """Learn from an answer that is whole; `broken` says that it went on from another's text."""
        if decided.beginnings.hashes:
            self._prefixes.note(decided.beginnings.hashes, model)
        bulk, usage = decided.bulk, account.usage
        if bulk is not None and usage is not None and not broken:  # else the prompt had grown
            lesson = self._decider.learn(bulk, model, usage.prompt_tokens, decided.estimated)
            if lesson is not None and self._teach is not None:
                self._teach(lesson)
        if self._observer is not None:
            asked = incoming.endpoint, incoming.request, incoming.headers
            self._observer.answered(*asked, model, account)

    async def _by_rules(
        self, asked: Asked, incoming: Incoming, status: Mapping[str, ModelStatus]
    ) -> Settled:
        weighed = self._decider.weigh(incoming.request, language_hints(incoming.headers))
        settled = self._decider.decide(asked, weighed, status)
        model = settled.to_count
        if model is None:
            return settled
        tokens = await self._counter.count(model, incoming.request, incoming.body)
        return settled if tokens is None else self._decider.counted(settled, model, tokens, status)


def _estimated(weighed: Weighed | None) -> Estimate | None:
    """Return what weighing took a prompt for; None where an engine has counted it since."""
    if weighed is None or not weighed.prompt_tokens_error:
        return None
    return Estimate(weighed.prompt_tokens, weighed.prompt_tokens_error)


def _load_of(incoming: Incoming, settled: Settled | None) -> Load:
    """Return what a request asks of a replica, by what is known of it without looking closer."""
    request = incoming.request
    if settled is not None and settled.weighed is not None:
        prompt_tokens = settled.weighed.prompt_tokens
    elif settled is not None and settled.asked.takes:
        prompt_tokens = next(iter(settled.asked.takes.values())).tokens
    else:
        prompt_tokens = min(len(incoming.body) // _BYTES_A_TOKEN, _MOST_PROMPT_TOKENS)
    return Load(prompt_tokens, expected_tokens(request), partial(beginnings_of, request))
