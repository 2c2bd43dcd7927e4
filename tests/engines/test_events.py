"""Event streams read the same whatever pieces they come in."""

from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.events import DONE, EventSplitter, event_data, is_error_event, write_event

EVENTS = st.lists(
    st.sampled_from(
        [
            b'data: {"a":1}\n\n',
            b'data: {"a":1}\r\n\r\n',
            b": comment\n\n",
            b"event: error\ndata: x\n\n",
            b"data: one\ndata: two\n\n",
            DONE,
        ]
    ),
    max_size=12,
)


@given(EVENTS, st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_a_stream_split_anywhere_gives_the_same_events(
    events: list[bytes], sizes: list[int]
) -> None:
    stream = b"".join(events)
    splitter = EventSplitter()
    got: list[bytes] = []
    position = turn = 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        got += splitter.feed(stream[position : position + size])
        position += size
        turn += 1
    assert got == events
    assert splitter.rest() == b""


def test_data_lines_are_joined_and_comments_have_none() -> None:
    assert event_data(b"data: one\ndata: two\n\n") == b"one\ntwo"
    assert event_data(b": ping\n\n") is None
    assert event_data(write_event(b"{}")) == b"{}"


def test_an_error_event_is_told_from_others() -> None:
    assert is_error_event(b"event: error\ndata: x\n\n")
    assert not is_error_event(b"data: error\n\n")
