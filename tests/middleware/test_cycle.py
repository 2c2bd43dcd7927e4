"""What an application sends becomes HTTP/1.1 of one piece, or an error, never half a lie."""

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from engines.asgi import Head
from gateway.wire.cycle import Cycle


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Line:
    """A connection without a socket."""

    common_headers = b"date: today\r\n"

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport = Transport()
        self.flow = FlowControl(self.transport)
        self.answered = 0

    def on_response_complete(self) -> None:
        self.answered += 1

    def read_on(self) -> None:
        self.flow.resume_reading()

    def part(self) -> None:
        self.transport.close()

    @property
    def sent(self) -> list[bytes]:
        assert isinstance(self.transport, Transport)
        return self.transport.written


def cycle_on(line: Line, *, head_only: bool = False, keep_alive: bool = True) -> Cycle:
    return Cycle(line, head_only=head_only, keep_alive=keep_alive, expects_continue=False)


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_head_and_body_are_one_write() -> None:
    line = Line()
    cycle = cycle_on(line)
    await cycle.send(start((b"content-length", b"2"), (b"x-a", b"b")))
    assert line.sent == []
    await cycle.send(part(b"ok"))
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\ndate: today\r\n\r\n"
    assert line.sent == [head + b"ok"]
    assert (line.answered, cycle.response_complete) == (1, True)


async def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    line = Line()
    cycle = cycle_on(line)
    for message in (start(), part(b"one", more=True), part(b"", more=True), part(b"two")):
        await cycle.send(message)
    head, rest = b"".join(line.sent).split(b"\r\n\r\n", 1)
    assert head.endswith(b"transfer-encoding: chunked\r\ndate: today")
    assert rest == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_a_body_that_comes_in_one_part_says_how_long_it_is() -> None:
    for headers in (Head([(b"x-a", b"b")]), ((b"x-a", b"b"),)):
        line = Line()
        cycle = cycle_on(line)
        cycle.more_headers = ((b"x-request-id", b"1"),)
        await cycle.start(200, headers)
        await cycle.write(b"body", more=False)
        head = b"HTTP/1.1 200 OK\r\nx-a: b\r\nx-request-id: 1\r\ncontent-length: 4\r\n"
        assert line.sent == [head + b"date: today\r\n\r\nbody"]


@pytest.mark.parametrize(
    "header", [(b"x-a", b"b\r\nc: d"), (b"x\na", b"b"), (b"x-a", b"\0"), (b"connection", b"close")]
)
def test_headers_that_not_every_answer_may_have_are_put_together_for_none(
    header: tuple[bytes, bytes],
) -> None:
    with pytest.raises(ValueError, match="every answer"):
        Head([(b"x-b", b"c"), header])


@pytest.mark.parametrize("bad", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_cannot_begin_another_line(bad: bytes) -> None:
    for header in ((b"x-a", bad), (bad, b"a")):
        line = Line()
        with pytest.raises(RuntimeError, match="line's end"):
            await cycle_on(line).send(start(header))
        assert line.sent == []


@pytest.mark.parametrize("body", [b"too long", b"s"])
async def test_a_body_is_as_long_as_its_head_says(body: bytes) -> None:
    line = Line()
    cycle = cycle_on(line)
    await cycle.send(start((b"content-length", b"2")))
    with pytest.raises(RuntimeError, match="content-length"):
        await cycle.send(part(body))


async def test_messages_out_of_turn_are_refused() -> None:
    cycle = cycle_on(Line())
    with pytest.raises(RuntimeError, match="turn"):
        await cycle.send(part(b"no head"))
    await cycle.send(start())
    with pytest.raises(RuntimeError, match="turn"):
        await cycle.send(start())


async def test_an_answer_without_a_body_has_none() -> None:
    for line, head_only, status in ((Line(), True, 200), (Line(), False, 204)):
        cycle = cycle_on(line, head_only=head_only)
        await cycle.send(start(status=status))
        await cycle.send(part(b"gone" if head_only else b""))
        assert b"".join(line.sent).endswith(b"\r\ndate: today\r\n\r\n")
        assert b"chunked" not in b"".join(line.sent)


async def test_a_connection_that_is_not_kept_says_so_and_closes() -> None:
    for kept, headers in ((False, ()), (True, ((b"connection", b"close"),))):
        line = Line()
        cycle = cycle_on(line, keep_alive=kept)
        await cycle.send(start((b"content-length", b"0"), *headers))
        await cycle.send(part(b""))
        assert line.sent[0].count(b"connection: close\r\n") == 1
        assert line.transport.is_closing()


async def test_an_application_that_fails_or_leaves_early_ends_its_connection() -> None:
    async def fails(*_: Any) -> None:
        raise ValueError("ours")

    async def leaves(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start())

    for app in (fails, leaves):
        line = Line()
        await cycle_on(line).run(app, {"type": "http"}, set())
        assert line.transport.is_closing()


async def test_a_request_that_has_come_whole_is_read_at_once_and_once() -> None:
    cycle = cycle_on(Line())
    assert cycle.whole_request() is None
    cycle.came(b"one ")
    assert cycle.whole_request() is None
    cycle.came(b"two")
    cycle.ended()
    assert cycle.whole_request() == b"one two"
    assert cycle.whole_request() is None


async def test_what_was_asked_for_in_parts_does_not_come_whole_as_well() -> None:
    cycle = cycle_on(Line())
    cycle.came(b"one")
    await cycle.receive()
    cycle.came(b" two")
    cycle.ended()
    assert (await cycle.receive())["body"] == b" two"
    assert cycle.whole_request() is None


async def test_a_request_is_read_in_parts_and_then_only_its_clients_going_is_left() -> None:
    line = Line()
    cycle = cycle_on(line)
    cycle.came(b"one ")
    cycle.came(b"two")
    first = await cycle.receive()
    assert (first["body"], first["more_body"]) == (b"one two", True)
    cycle.ended()
    assert (await cycle.receive())["more_body"] is False
    left: list[bool] = []
    cycle.on_departure(lambda: left.append(True))
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    cycle.gone()
    assert (await waiting)["type"] == "http.disconnect"
    assert left == [True]
    await cycle.send(start())  # nobody hears it
    assert line.sent == []


async def test_a_further_part_goes_at_once_only_where_nothing_is_to_be_waited_for() -> None:
    line = Line()
    cycle = cycle_on(line)
    assert not cycle.at_once(b"early")
    await cycle.start(200, ())
    assert not cycle.at_once(b"before the head has gone")
    await cycle.write(b"one", more=True)
    assert cycle.at_once(b"two")
    assert line.sent[1:] == [b"3\r\ntwo\r\n"]
    line.flow.pause_writing()
    assert not cycle.at_once(b"three")
    line.flow.resume_writing()
    assert cycle.at_once(b"three")
    cycle.gone()
    assert not cycle.at_once(b"nobody is there")
    assert len(line.sent) == 3


@pytest.mark.parametrize("ended", [True, False])
async def test_nothing_goes_at_once_behind_an_end_or_into_a_body_of_a_known_length(
    ended: bool,
) -> None:
    line = Line()
    cycle = cycle_on(line)
    await cycle.start(200, () if ended else ((b"content-length", b"9"),))
    await cycle.write(b"one", more=not ended)
    assert not cycle.at_once(b"two")
    assert len(line.sent) == 1
