"""Events told by their bytes: what goes out and what is accounted is as if each were decoded."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.account import Account
from gateway.relay import stream
from gateway.relay.chunks import read_chunk
from gateway.relay.mould import mould_of, only_text
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told

TEXTS = st.one_of(
    st.sampled_from(
        ["", " word", "a\nb", 'he said "no"', "\\", "\u00e9", "\u7ffb", "\u00a0", "}]}"]
    ),
    st.text(max_size=6),
)
SPACES = st.sampled_from([(",", ":"), (", ", ": ")])


def event(fields: dict[str, Any], spaces: tuple[str, str], *, escaped: bool) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "up/stream"}
    told = json.dumps(head | fields, separators=spaces, ensure_ascii=escaped)
    return b"data: " + told.encode("utf-8", "replace") + b"\n\n"


def chat(text: str, **more: Any) -> dict[str, Any]:
    delta = {"content": text} | more.pop("delta", {})
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None} | more]}


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw a stream whose events are mostly alike."""
    spaces, escaped, plain = draw(SPACES), draw(st.booleans()), draw(st.booleans())
    told = []
    for text in draw(st.lists(TEXTS, max_size=12)):
        beside: tuple[dict[str, Any], ...]
        beside = ({"index": 1}, {"delta": {"role": "assistant"}}, {"delta": {"reasoning": text}})
        ends = ({"finish_reason": "stop"}, {"logprobs": text})
        more: dict[str, Any] = draw(st.sampled_from([*[{}] * 6, *beside, *ends]))
        fields = chat(text, **more)
        if plain:
            fields = {"choices": [{"index": 0, "text": text, "finish_reason": None}]}
        told.append(event(fields, spaces, escaped=escaped))
    last = event(chat("", finish_reason="stop"), spaces, escaped=escaped)
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return [*told, last, event({"choices": [], "usage": usage}, spaces, escaped=escaped)]


def relayed(pieces: list[bytes], taken: Iterator[bool] | None = None) -> tuple[Any, ...]:
    """Relay; with `taken`, pieces may pass at once, and each says whether the client takes one."""
    ticks = iter(range(100_000))
    account = Account(clock=lambda: float(next(ticks)), arrived_s=0.0)
    told = Told(keeps=True)
    editor = StreamEditor(account, "ours", wants_usage=False, told=told)
    out: list[bytes] = []

    def send(body: bytes) -> bool:
        takes = next(taken) if taken is not None else False
        if takes:
            out.append(body)
        return takes

    for piece in (*pieces, b"data: [DONE]\n\n"):
        passes = taken is not None and editor.pass_on(piece, send)
        out.append(b"" if passes else editor.feed(piece))
    out.append(editor.close())
    return (
        b"".join(out),
        str(editor.failure),
        (told.text, told.thought, told.events, told.finished, editor.events),
        (account.content_events, len(account.gaps_s), account.usage),
    )


@given(streams(), st.integers(1, 60))
def test_a_stream_is_the_same_whether_or_not_its_events_are_told_by_bytes(
    told: list[bytes], size: int
) -> None:
    whole = b"".join(told)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_MOST_MOULDS", 0)
        expected = relayed(told)
    assert relayed(told) == expected
    assert relayed(pieces) == expected


@given(streams(), st.integers(1, 4), st.integers(1, 400), st.lists(st.booleans(), min_size=1))
def test_a_stream_is_the_same_whether_or_not_its_events_pass_at_once(
    told: list[bytes], together: int, size: int, takes: list[bool]
) -> None:
    whole = b"".join(told)
    expected = relayed(told)
    by_events = [b"".join(told[at : at + together]) for at in range(0, len(told), together)]
    by_bytes = [whole[at : at + size] for at in range(0, len(whole), size)]
    for pieces in (told, by_events, by_bytes):
        assert relayed(pieces, itertools.repeat(True)) == expected
        assert relayed(pieces, itertools.cycle(takes)) == expected


def test_several_events_like_most_pass_at_once_and_others_do_not() -> None:
    editor = StreamEditor(
        Account(clock=lambda: 0.0, arrived_s=0.0), "ours", wants_usage=False, told=Told(keeps=True)
    )
    first, more = (event(chat(text), (",", ":"), escaped=False) for text in (" a", " b"))
    passed: list[bytes] = []

    def send(body: bytes) -> bool:
        passed.append(body)
        return True

    assert not editor.pass_on(first, send)  # nothing is known of this stream
    before = editor.feed(first)
    assert editor.pass_on(more, send)
    assert editor.pass_on(more * 3, send)
    assert passed == [before.replace(b" a", b" b"), before.replace(b" a", b" b") * 3]
    assert editor.events == 5
    for other in (b": comment\n\n", more + b": comment\n\n", more[:-1], b"data: [DONE]\n\n"):
        assert not editor.pass_on(other, send)
    editor.feed(more[:10])
    assert not editor.pass_on(more, send)  # an event has begun
    assert len(passed) == 2


def test_events_that_come_together_have_no_time_between_them() -> None:
    ticks = iter(range(100))
    account = Account(clock=lambda: float(next(ticks)), arrived_s=0.0)
    account.content_seen()
    account.content_seen(3)
    account.content_seen()
    assert account.gaps_s == [1.0, 0.0, 0.0, 1.0]
    assert account.content_events == 5


def test_a_text_with_signs_that_json_escapes_is_of_no_mould() -> None:
    first = event(chat(" a"), (",", ":"), escaped=False)
    mould = mould_of(first, first, " a")
    assert mould is not None
    for text in ('"', "\\", "\n", "\x07"):
        other = event(chat(text), (",", ":"), escaped=False)
        assert mould.read(other) is None
    assert mould.read(first) == (1, " a", first)
    assert mould.read(first * 3) == (3, " a a a", first * 3)
    halves = [first.replace(b" a", half) for half in ("é".encode()[:1], "é".encode()[1:])]
    assert mould.read(b"".join(halves)) is None
    assert mould.read(first.replace(b" a", b"")) is None
    assert mould.read(first.replace(b" a", b"\xff")) is None
    assert mould.read(first.replace(b" a", b"a\n\ndata: ")) is None


def test_a_field_of_the_same_name_and_text_elsewhere_leaves_no_mould() -> None:
    twice = event(chat(" a") | {"x": {"content": " a"}}, (",", ":"), escaped=False)
    assert mould_of(twice, twice, " a") is None


@pytest.mark.parametrize(
    "more",
    [{"finish_reason": "stop"}, {"delta": {"role": "assistant"}}, {"delta": {"refusal": "n"}}],
)
def test_an_event_that_says_more_than_text_leaves_no_mould(more: dict[str, Any]) -> None:
    told = event(chat(" a", **more), (",", ":"), escaped=False)
    chunk = read_chunk(told[len(b"data: ") :])
    assert chunk is not None
    assert only_text(chunk) is None


def test_engines_whose_events_all_differ_are_soon_no_longer_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []

    def counted(came: bytes, edited: bytes, text: str) -> None:
        tried.append(came)
        mould_of(came, edited, text)

    monkeypatch.setattr(stream, "mould_of", counted)
    relayed([event(chat(" a") | {"at": at}, (",", ":"), escaped=False) for at in range(50)])
    assert len(tried) == stream._MOST_MOULDS
