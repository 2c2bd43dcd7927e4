"""Who has read the beginning of a prompt is remembered, in bounds and without its text."""

from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.readings import EmbeddingRequest
from engines.protocol.requests import ChatRequest, CompletionRequest, Message
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


def test_all_who_have_read_a_beginning_are_known_but_no_more_than_a_few() -> None:
    prefixes = Prefixes()
    for reader in range(20):
        prefixes.note(beginnings_of(chat("a system prompt of all")).hashes, f"replica {reader}")
    seen = prefixes.seen(beginnings_of(chat("a system prompt of all")))
    assert set(seen) == {f"replica {reader}" for reader in range(12, 20)}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=80), st.integers(1, 5))
def test_its_memory_is_bounded_whatever_is_noted(notes: list[tuple[int, int]], most: int) -> None:
    prefixes = Prefixes(most)
    for beginning, reader in notes:
        prefixes.note((beginning,), str(reader))
        assert len(prefixes) <= most
        assert len(prefixes.seen(Beginnings((beginning,), (1.0,)))) <= 8
        assert str(reader) in prefixes.seen(Beginnings((beginning,), (1.0,)))


def test_a_long_conversation_is_known_again_by_its_first_turns_and_its_last() -> None:
    prefixes, turns = Prefixes(), [str(number) * 9 for number in range(20)]
    prefixes.note(beginnings_of(chat(*turns)).telling, "one")
    assert len(prefixes) == 4
    assert prefixes.seen(beginnings_of(chat(*turns, "more")))["one"] > 0.9
    assert prefixes.seen(beginnings_of(chat(turns[0], "something else"))) != {}


def test_a_bare_text_is_known_by_its_pieces() -> None:
    def text(*pieces: str) -> CompletionRequest:
        return CompletionRequest(prompt="".join(piece * 1_024 for piece in pieces))

    prefixes = Prefixes()
    prefixes.note(beginnings_of(text("a", "b")).telling, "one")
    assert prefixes.seen(beginnings_of(text("a", "b", "c", "d"))) == {"one": 0.5}
    assert prefixes.seen(beginnings_of(text("b", "a"))) == {}
    assert beginnings_of(CompletionRequest(prompt="short")) == Beginnings()


def test_beginnings_under_different_names_are_different() -> None:
    one, other = (set(beginnings_of(chat("x"), name).hashes) for name in ("m", "n"))
    assert one.isdisjoint(other)


def test_who_says_it_counts_and_only_prompts_have_beginnings() -> None:
    said = ChatRequest(messages=[Message("system", "x"), Message("user", "y")])
    other = ChatRequest(messages=[Message("user", "x"), Message("user", "y")])
    assert set(beginnings_of(said).hashes).isdisjoint(beginnings_of(other).hashes)
    assert beginnings_of(EmbeddingRequest(input="x")) == Beginnings()


def test_a_very_long_conversation_is_looked_at_in_bounds() -> None:
    found = beginnings_of(chat(*["z" * 9] * 1_000))
    assert len(found.hashes) == 64
    assert found.shares[-1] == 0.064
