"""`mode: observe`: whom the rules would have asked, beside who was asked by name.

Owns: when a request is observed, and what of it is told.
Must not: change where a request goes; keep its text, its user or its headers.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from engines.protocol.decoding import AnyRequest
from gateway.asking import asked_by
from gateway.classify import language_hints
from gateway.deciding import Decider
from gateway.domain import Choice, Endpoint, ModelStatus, Weighed
from gateway.errors import ApiError
from gateway.observe.account import Account
from gateway.observe.journal import Observed
from gateway.selection import Selector


class Observer:
    """Weighs requests to named models when they have been answered, and tells `add` of them.

    After the answer, so that nobody waits for it.
    """

    def __init__(
        self,
        selector: Selector,
        decider: Decider,
        status: Callable[[], Mapping[str, ModelStatus]],
        add: Callable[[Observed], None],
    ) -> None:
        self._selector = selector
        self._decider = decider
        self._status = status
        self._add = add

    def answered(
        self,
        endpoint: Endpoint,
        request: AnyRequest,
        headers: Sequence[tuple[bytes, bytes]],
        model: str,
        account: Account,
    ) -> None:
        """Note that a model has answered a request; one that the rules sent there is left out."""
        if self._selector.meaning(request.model).model is None:
            return
        weighed = self._decider.weigh(request, language_hints(headers))
        choice = self._choice(endpoint, request, headers, weighed)
        usage, first_s = account.usage, account.first_token_s
        self._add(
            Observed(
                at_s=round(time.time(), 3),
                endpoint=endpoint.value,
                asked=request.model or "",
                model=model,
                would=choice.models[0] if choice else None,
                rule=choice.rule if choice else None,
                task=weighed.task,
                language=weighed.language,
                request_size=weighed.request_size,
                difficulty=round(weighed.difficulty, 3),
                prompt_tokens=usage.prompt_tokens if usage else weighed.prompt_tokens,
                completion_tokens=account.completion_tokens,
                duration_s=round(account.clock() - account.arrived_s, 4),
                first_token_s=None if first_s is None else round(first_s - account.arrived_s, 4),
            )
        )

    def _choice(
        self,
        endpoint: Endpoint,
        request: AnyRequest,
        headers: Sequence[tuple[bytes, bytes]],
        weighed: Weighed,
    ) -> Choice | None:
        unnamed = msgspec.structs.replace(request, model=None)
        try:
            asked = asked_by(
                endpoint,
                unnamed,
                headers,
                self._selector,
                chance=random.random(),  # noqa: S311 - a share of requests, no secret
            )
            return self._decider.decide(asked, weighed, self._status()).choice
        except ApiError:
            return None
