"""What the endpoints of a worker share: the model, its batcher, who is inside.

Owns: one request's sequences from their orders to their end, and the images of a conversation.
Must not: evaluate, or know how an answer is written.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.beginnings import Beginnings, Draining
from engines.llamacpp.choices import Choices, begun
from engines.llamacpp.crowd import MOST_WAITING, Crowd
from engines.llamacpp.grammar.holding import Holder
from engines.llamacpp.grammar.wish import UnsupportedGrammar
from engines.llamacpp.model import Model
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.pictures import Seen
from engines.llamacpp.reading import Reader
from engines.llamacpp.uses import Use, Uses
from engines.protocol.errors import ApiError, InvalidRequest
from engines.protocol.requests import Message


class EngineFailure(ApiError):
    """llama.cpp could not go on: 500."""

    status = 500
    default_code = "engine_error"
    fault = "engine"


class Worker:
    """What the endpoints share: the model, its batcher, whether it is about to end."""

    def __init__(
        self, model: Model, batcher: Batcher, created_s: int, most_waiting: int = MOST_WAITING
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.created_s = created_s
        self.draining = False
        self.holder = Holder(model.vocabulary)
        self.crowd = Crowd(most_waiting)
        self.reader = Reader(model, batcher, self.crowd)
        self.uses = Uses()
        self.beginnings = Beginnings()

    async def see(self, messages: Sequence[Message]) -> Seen:
        """Return what the model sees of a conversation's images; one without sight sees none.

        Raises:
            InvalidRequest: an image cannot be read, or they do not fit.
            Overloaded: too many wait already.
        """
        sight = self.model.sight
        if sight is None or not any(message.has_part("image_url") for message in messages):
            return {}
        with self.crowd.with_these(1, "messages"):
            return await sight.see(messages)

    async def run(self, orders: Sequence[Order], use: Use) -> AsyncIterator[tuple[int, Progress]]:
        """Yield what each sequence says; closing the iterator frees their slots.

        Raises:
            Draining: the engine had to end before they did.
            EngineFailure: the engine could not go on.
            InvalidRequest: they are more than may ever be here, or forbid all that may come next.
            Overloaded: too many wait already.
            UnsupportedGrammar: an answer's grammar has grown beyond what can be held.
        """
        heard: asyncio.Queue[tuple[int, Progress]] = asyncio.Queue()

        def listener(index: int) -> Callable[[Progress], None]:
            def hear(progress: Progress) -> None:
                use.heard(progress)
                heard.put_nowait((index, progress))

            return hear

        open_sequences = len(orders)
        with self.crowd.with_these(len(orders), "n"):
            choices = Choices(self.batcher, await begun(orders, listener))
            use.begin(choices.sequences)
            try:
                choices.submit()
                while open_sequences:
                    index, progress = await heard.get()
                    if progress.error is not None:
                        raise self._failure(progress, orders[index])
                    choices.heard(index, progress)
                    open_sequences -= progress.finish_reason is not None
                    yield index, progress
            finally:
                if open_sequences:
                    choices.cancel()

    def _failure(self, progress: Progress, order: Order) -> ApiError:
        if progress.refused:
            return UnsupportedGrammar(
                f"The answer's grammar has become too complex: {progress.error}.",
                param=None if order.grammar is None else order.grammar.param,
            )
        if progress.forbidden:
            return InvalidRequest(
                "'logit_bias' forbids every token that may come next. Forbid fewer.",
                param="logit_bias",
            )
        if self.beginnings.over:
            return Draining("This engine is shutting down, and had not finished its answer.")
        return EngineFailure(f"The engine failed: {progress.error}.")
