"""Orders under a grammar.

Owns: the one compiler of a worker, made when it is first wanted.
Must not: import llguidance before that: an environment without it serves free answers.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.wish import UnsupportedGrammar, Wish
from engines.llamacpp.orders import Order
from engines.llamacpp.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engines.llamacpp.grammar.compiler import Compiler


class Holder:
    """Belongs to the event loop."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._compiler: Compiler | None = None

    async def hold(
        self, orders: Sequence[Order], wish: Wish | None, frame: Frame
    ) -> Sequence[Order]:
        """Return the orders, held to what is wished for.

        Raises:
            UnsupportedGrammar: it cannot be held.
        """
        if wish is None:
            return orders
        if self._compiler is None:
            self._compiler = _compiler(self._vocabulary, wish.param)
        grammar = await self._compiler.compile(wish, frame)
        if grammar is None:
            return orders
        return [replace(order, grammar=grammar) for order in orders]

    def close(self) -> None:
        """End what compiles."""
        if self._compiler is not None:
            self._compiler.close()


def _compiler(vocabulary: Vocabulary, param: str) -> "Compiler":
    try:
        from engines.llamacpp.grammar.compiler import Compiler  # noqa: PLC0415 - see above
    except ImportError:
        raise UnsupportedGrammar(
            "This engine cannot constrain answers: its environment lacks llguidance. Install "
            "'weighbridge[llamacpp]' again.",
            param=param,
        ) from None
    return Compiler(vocabulary)
