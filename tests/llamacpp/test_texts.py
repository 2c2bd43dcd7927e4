"""Which texts are evaluated together, and how the pieces of a long one come together."""

import pytest

from engines.llamacpp.binding import DecodeFailed
from engines.llamacpp.texts import Text, Texts
from tests.support.toy_pooled import ToyPooled


def line_of(pooled: ToyPooled, *lengths: int) -> tuple[Texts, list[Text]]:
    line = Texts(pooled)
    texts = [Text(range(length)) for length in lengths]
    line.add(texts)
    return line, texts


def run(line: Texts) -> list[int]:
    counts: list[int] = []
    while line:
        counts.append(line.step())
    return counts


def test_texts_fill_a_batch_in_the_order_in_which_they_came() -> None:
    pooled = ToyPooled(batch_tokens=8)
    line, texts = line_of(pooled, 3, 4, 2, 6, 1)
    assert run(line) == [7, 8, 1]
    assert [list(map(len, batch)) for batch in pooled.batches] == [[3, 4], [2, 6], [1]]
    assert [float(text.outcome.result()[0]) for text in texts] == [1, 1.5, 0.5, 2.5, 0]


def test_a_batch_has_no_more_texts_than_there_are_sequences() -> None:
    pooled = ToyPooled(batch_tokens=100)
    line, _ = line_of(pooled, *[1] * 9)
    assert run(line) == [4, 4, 1]


@pytest.mark.parametrize(("pooling", "number"), [("mean", 9.5), ("cls", 0), ("last", 19)])
def test_a_long_text_is_evaluated_in_pieces_that_come_to_the_same(
    pooling: str, number: float
) -> None:
    pooled = ToyPooled(pooling, batch_tokens=8)
    line, (first, long, last) = line_of(pooled, 3, 20, 2)
    assert run(line) == [3, 8, 8, 4, 2]
    assert float(long.outcome.result()[0]) == number
    assert first.outcome.done()
    assert last.outcome.done()


def test_a_text_that_must_be_whole_comes_alone() -> None:
    pooled = ToyPooled(batch_tokens=8, whole=64)
    line, texts = line_of(pooled, 3, 20, 2)
    assert run(line) == [3, 20, 2]
    assert float(texts[1].outcome.result()[0]) == 9.5


def test_who_has_gone_is_not_evaluated_not_even_in_the_middle() -> None:
    pooled = ToyPooled(batch_tokens=8)
    line, (gone, long, last) = line_of(pooled, 3, 20, 2)
    gone.outcome.cancel()
    assert line.step() == 8
    long.outcome.cancel()
    assert run(line) == [2]
    assert last.outcome.done()


def test_a_batch_that_is_refused_fails_its_texts_and_the_next_goes_on() -> None:
    pooled = ToyPooled(batch_tokens=8)
    line, (bad, neighbour, next_one) = line_of(pooled, 0, 8, 8)
    assert run(line) == [0, 8]
    for text in (bad, neighbour):
        with pytest.raises(DecodeFailed, match="nothing to embed"):
            text.outcome.result()
    assert next_one.outcome.done()


def test_an_end_is_told_to_all_that_wait() -> None:
    line, texts = line_of(ToyPooled(), 1, 2)
    texts[0].outcome.cancel()
    line.end("over")
    assert not line
    with pytest.raises(DecodeFailed, match="over"):
        texts[1].outcome.result()
