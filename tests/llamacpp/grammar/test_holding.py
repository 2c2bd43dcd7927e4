"""Orders get the grammar that is wished for; without llguidance one error says what to install."""

import sys

import pytest

from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.holding import Holder
from engines.llamacpp.grammar.wish import Part, UnsupportedGrammar, Wish
from engines.llamacpp.orders import Order
from engines.llamacpp.vocabulary import Vocabulary

WISH = Wish("response_format", Part("json", "place", '{"type": "object"}'))
ORDERS = [Order((1,), 5), Order((2,), 5, choice=1)]


async def test_free_orders_stay_as_they_are(vocabulary: Vocabulary) -> None:
    holder = Holder(vocabulary)
    assert await holder.hold(ORDERS, None, Frame()) is ORDERS
    holder.close()


async def test_each_choice_gets_the_same_grammar(vocabulary: Vocabulary) -> None:
    holder = Holder(vocabulary)
    first, second = await holder.hold(ORDERS, WISH, Frame())
    assert first.grammar is not None
    assert first.grammar is second.grammar
    assert first.grammar.param == "response_format"
    holder.close()


async def test_an_environment_without_llguidance_says_which_extra_to_install(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None in `sys.modules` is how Python is told that a module is not to be had.
    monkeypatch.setitem(sys.modules, "engines.llamacpp.grammar.compiler", None)
    with pytest.raises(UnsupportedGrammar, match=r"weighbridge\[llamacpp\]") as caught:
        await Holder(vocabulary).hold(ORDERS, WISH, Frame())
    assert caught.value.param == "response_format"
