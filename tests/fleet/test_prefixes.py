"""Who has read the beginning of a conversation is remembered, in bounds and without its text."""

from engines.protocol.requests import ChatRequest, EmbeddingRequest, Message
from gateway.fleet.prefixes import Beginnings, Prefixes, beginnings_of


def chat(*turns: str) -> ChatRequest:
    return ChatRequest(messages=[Message("user", turn) for turn in turns])


def test_a_conversation_that_goes_on_is_known_to_the_model_that_had_it() -> None:
    prefixes = Prefixes()
    prefixes.note(beginnings_of(chat("a" * 99)).hashes, "big")
    seen = prefixes.seen(beginnings_of(chat("a" * 99, "b" * 99, "c" * 199)))
    assert seen == {"big": 0.25}
    assert prefixes.seen(beginnings_of(chat("another", "b"))) == {}


def test_the_longest_beginning_of_each_model_counts() -> None:
    prefixes = Prefixes()
    prefixes.note(beginnings_of(chat("x" * 9, "y" * 9)).hashes, "big")
    prefixes.note(beginnings_of(chat("x" * 9)).hashes, "small")
    assert prefixes.seen(beginnings_of(chat("x" * 9, "y" * 9))) == {"small": 0.5, "big": 1.0}


def test_the_oldest_is_forgotten_first() -> None:
    prefixes = Prefixes(most=2)
    for text in ("one", "two", "one", "three"):
        prefixes.note(beginnings_of(chat(text)).hashes, "m")
    assert len(prefixes) == 2
    assert prefixes.seen(beginnings_of(chat("two"))) == {}
    assert prefixes.seen(beginnings_of(chat("one"))) == {"m": 1.0}


def test_who_says_it_counts_and_only_chats_have_beginnings() -> None:
    said = ChatRequest(messages=[Message("system", "x"), Message("user", "y")])
    other = ChatRequest(messages=[Message("user", "x"), Message("user", "y")])
    assert set(beginnings_of(said).hashes).isdisjoint(beginnings_of(other).hashes)
    assert beginnings_of(EmbeddingRequest(input="x")) == Beginnings()


def test_a_very_long_conversation_is_looked_at_in_bounds() -> None:
    found = beginnings_of(chat(*["z" * 9] * 1_000))
    assert len(found.hashes) == 64
    assert found.shares[-1] == 0.064
