"""The relay's stream editor: usage stripped, names rewritten, errors told, any pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.answers import Usage
from gateway.observe.account import Account
from gateway.relay.chunks import Head
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told
from tests.support.odd import odd_ones


def event(**fields: object) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "up/stream"}
    return b"data: " + json.dumps(head | fields, separators=(",", ":")).encode() + b"\n\n"


def choice(text: str = "", finish: str | None = None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]


TRICKY = 'say "model":"up/stream" and "usage":{"x":1}'
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
STREAM = [
    event(choices=choice()),
    event(choices=choice("Ho")),
    event(choices=choice(TRICKY)),
    event(choices=choice("", "stop")),
    USAGE,
    b"data: [DONE]\n\n",
]


def relay(pieces: list[bytes], *, wants_usage: bool = False) -> tuple[bytes, Account, StreamEditor]:
    ticks = iter(range(10_000))
    account = Account(clock=lambda: float(next(ticks)), arrived_s=0.0)
    editor = StreamEditor(account, "ours", wants_usage, Told())
    out = b"".join(editor.feed(piece) for piece in pieces) + editor.close()
    return out, account, editor


@given(st.integers(1, 50))
def test_any_pieces_give_the_same_answer_and_account(size: int) -> None:
    whole = b"".join(STREAM)
    cut = [whole[i : i + size] for i in range(0, len(whole), size)]
    out, account, editor = relay(cut, wants_usage=False)
    assert out == relay(STREAM, wants_usage=False)[0]
    assert editor.whole
    assert account.content_events == 2
    assert account.usage == Usage(3, 2, 5)


CRLF = [event.replace(b"\n", b"\r\n") for event in STREAM]
LINES = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,\ndata: "model":"up/stream",'
)
LINES += b'"choices":[{"index":0,"delta":{"content":"two lines"},"finish_reason":null}]}\n\n'
BESIDE = [b": keep-alive\n\n", b": keep-alive\r\n\r\n", b"event: ping\nid: 1\nretry: 5\n\n", LINES]
ENDS = [
    b"".join(STREAM[3:]),
    b"".join(CRLF[3:]),
    b'data: {"error":{"message":"died"}}\n\n' + STREAM[5],
]
MIXED = st.builds(
    lambda middle, end: STREAM[0] + b"".join(middle) + end,
    st.lists(st.sampled_from([*STREAM[1:3], *CRLF[1:3], *BESIDE]), max_size=8),
    st.sampled_from(ENDS),
)


@given(MIXED, st.data())
def test_a_stream_of_all_kinds_of_events_is_the_same_wherever_the_network_splits_it(
    whole: bytes, data: st.DataObject
) -> None:
    at_once, account, editor = relay([whole], wants_usage=True)
    ways = [[whole[at : at + 1] for at in range(len(whole))]]  # at every byte
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=9)))
    ways.append([whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)])
    for pieces in ways:
        out, again, its = relay(pieces, wants_usage=True)
        assert out == at_once
        assert (again.content_events, again.usage) == (account.content_events, account.usage)
        assert (its.whole, its.events) == (editor.whole, editor.events)
        assert str(its.failure) == str(editor.failure)
    assert editor.whole is (b'"error"' not in whole)


def test_usage_is_stripped_unless_asked_for_and_the_name_is_ours() -> None:
    out, _, _ = relay(STREAM, wants_usage=False)
    assert b'"usage":{"prompt' not in out
    assert b'"model":"ours"' in out
    assert b'"model":"up/stream"' not in out
    kept, _, _ = relay(STREAM, wants_usage=True)
    assert kept.count(b'"usage":{"prompt') == 1
    texts = [json.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")]
    assert texts[2]["choices"][0]["delta"]["content"] == TRICKY


def test_usage_that_the_engine_owes_is_made_from_what_was_counted() -> None:
    out, account, _ = relay([e for e in STREAM if e is not USAGE], wants_usage=True)
    assert b'"completion_tokens":2' in out
    assert account.completion_tokens == 2


def test_a_usage_event_of_another_kind_is_written_anew_with_all_that_it_tells() -> None:
    """mlx_lm.server calls it a `chat.completion`."""
    details = b'"usage":{"prompt_tokens_details":{"cached_tokens":1},'
    odd = USAGE.replace(b".chunk", b"").replace(b'"usage":{', details)
    out, _, _ = relay([*STREAM[:4], odd, STREAM[5]], wants_usage=True)
    told = json.loads(out.split(b"\n\n")[-3][6:])
    assert told["object"] == "chat.completion.chunk"
    assert told["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert told["usage"]["total_tokens"] == 5


def test_a_usage_event_without_a_list_of_choices_is_one() -> None:
    odd = USAGE.replace(b'"choices":[]', b'"choices":null')
    out, account, _ = relay([*STREAM[:4], odd, STREAM[5]])
    assert b'"usage":{"prompt' not in out
    assert account.usage is not None


def test_a_cut_stream_is_not_whole() -> None:
    _, _, editor = relay(STREAM[:3], wants_usage=False)
    assert not editor.whole


def test_a_missing_done_after_the_last_choice_is_forgiven() -> None:
    out, _, editor = relay(STREAM[:4], wants_usage=False)
    assert editor.whole
    assert out.endswith(b"data: [DONE]\n\n")


ERRORS = {
    b'data: {"error":{"message":"EngineCore died","code":500}}\n\n': "EngineCore died",
    b'data: {"object":"error","message":"EngineCore died"}\n\n': "EngineCore died",
    b'event: error\ndata: {"detail":"EngineCore died"}\n\n': "EngineCore died",
    b'data: {"choices":[{"index":0,"del\n\n': "no JSON",
    b'data: {"error":{"code":502,"message":"EngineCore died"},"choices":[{"index":0,'
    b'"delta":{"content":""},"finish_reason":"error"}]}\n\n': "EngineCore died",
}


@pytest.mark.parametrize("bad", ERRORS)
def test_an_error_or_nonsense_in_a_stream_is_a_failure_and_the_rest_is_dropped(bad: bytes) -> None:
    out, _, editor = relay([*STREAM[:2], bad + STREAM[2], *STREAM[3:]])
    assert out == relay(STREAM[:2])[0]
    assert not editor.whole
    assert editor.failure is not None
    assert editor.failure.code == "engine_error"
    assert ERRORS[bad] in editor.failure.message


def test_comments_pass_once_the_answer_has_begun_and_never_count_as_events() -> None:
    comment = b": keep-alive\n\n"
    out, _, editor = relay([comment, STREAM[0], comment, *STREAM[1:]])
    assert out == relay([STREAM[0], comment, *STREAM[1:]])[0]
    assert out.count(comment) == 1
    assert editor.events == len(STREAM) - 1


@pytest.mark.parametrize("created", ["1795463024.25", "null", '"now"'])
def test_a_name_is_ours_whatever_else_of_the_head_is_odd(created: str) -> None:
    odd = [e.replace(b'"created":7', b'"created":' + created.encode()) for e in STREAM]
    out, _, _ = relay(odd)
    assert b'"model":"up/stream"' not in out
    assert out.count(b'"model":"ours"') == 4


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ('{"prompt_tokens":3,"completion_tokens":null,"total_tokens":null}', (3, 2)),
        ('{"prompt_tokens":3.0,"completion_tokens":5.0,"total_tokens":8.0}', (3, 5)),
        ('{"prompt_tokens":-1,"completion_tokens":-1}', (0, 2)),
        ('{"prompt_tokens":3,"completion_tokens":5,"prompt_tokens_details":[]}', (3, 5)),
        ("{}", (0, 2)),
    ],
)
def test_a_usage_of_another_shape_is_counted_and_stripped_and_hides_no_text(
    usage: str, expected: tuple[int, int]
) -> None:
    beside = [e.replace(b'"choices"', b'"usage":%b,"choices"' % usage.encode()) for e in STREAM[:4]]
    last = STREAM[4][: STREAM[4].index(b'"usage"')] + b'"usage":%b}\n\n' % usage.encode()
    for events in ([*STREAM[:4], last, STREAM[5]], [*beside, STREAM[5]]):
        out, account, _ = relay(events)
        assert b'"choices":[],' not in out
        assert account.usage is not None
        assert (account.usage.prompt_tokens, account.completion_tokens) == expected
        assert account.content_events == 2
        assert b'"model":"up/stream"' not in out.replace(json.dumps(TRICKY).encode(), b"")


def test_json_of_another_shape_passes_as_it_came() -> None:
    odd = b'data: {"choices":"none","model":"up/stream"}\n\n'
    out, _, editor = relay([STREAM[0], odd, *STREAM[1:]])
    assert odd.replace(b"up/stream", b"ours") in out
    assert editor.whole


@pytest.mark.parametrize("breaks", [0, 1])
def test_an_event_of_any_shape_ends_no_stream(breaks: int) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    delta = {"role": "assistant", "content": "Hi", "tool_calls": [call]}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {}}
    usual = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": usage}
    for odd in odd_ones(usual):
        told = Told(keeps=True)
        told.breaks = told.tokens_before = breaks
        told.head = Head("c0", 6, "ours") if breaks else None
        editor = StreamEditor(Account(lambda: 1.0, 0.0), "ours", True, told)
        out = b"".join(map(editor.feed, [STREAM[1], event(**odd), *STREAM[2:]]))
        assert editor.whole
        assert out.count(b"[DONE]") == 1


def test_a_name_is_found_however_the_engine_spaces_its_json() -> None:
    spaced = [e.replace(b'"model":', b'"model": ') for e in STREAM]
    out, _, _ = relay(spaced)
    assert out.count(b'"model": "ours"') == 4
