"""The relay's client against a real server on loopback and on a unix socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from engines.kinds import Deadlines, ReplicaAddress
from gateway.relay.client import Unreachable, UpstreamClient
from gateway.relay.client import UpstreamRequest as Request
from gateway.relay.connection import BUFFER_LIMIT_BYTES, Connection, ConnectionLost
from gateway.relay.watch import DeadlinePassed, TotalPassed

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ASK = Request("POST", "/chat/completions", b'{"a":1}', (("x-request-id", "r1"),))
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@asynccontextmanager
async def listening(peer: Peer, folder: Path) -> AsyncIterator[ReplicaAddress]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away; some tests want just that
        finally:
            writer.close()

    path = folder / "s"
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield ReplicaAddress(socket_path=path, authorization="Bearer k")
    finally:
        server.close()
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(ASK.body))


async def test_pieces_arrive_and_the_connection_is_used_again(tmp_path: Path) -> None:
    connections = 0
    heads: list[bytes] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            heads.append(await read_request(reader))
            writer.write(CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        for _ in range(3):
            answer = await client.send(address, ASK, Deadlines())
            assert await answer.read(100) == b"abc"
            answer.release()
            answer.release()
        client.close()
    assert connections == 1
    assert heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"authorization: Bearer k\r\n" in heads[0]
    assert b"user-agent: weighbridge\r\n" in heads[0]


class StillTransport(asyncio.Transport):
    """A transport that only notes whether it reads."""

    paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_behind_a_large_answer_that_came_at_once_the_connection_reads_on() -> None:
    """TLS may hand over more at once than a read of a socket does."""
    transport, link = StillTransport(), Connection()
    link.connection_made(transport)
    link.begin(b"GET / HTTP/1.1\r\n\r\n")
    body = b"x" * (BUFFER_LIMIT_BYTES + 1)
    link.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert transport.paused
    assert link.whole() == body
    assert not transport.paused
    assert link.reusable


async def test_what_passes_by_wakes_no_reader_and_the_rest_is_read(tmp_path: Path) -> None:
    steps: asyncio.Queue[bytes] = asyncio.Queue()
    passed: asyncio.Queue[bytes] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        while True:
            writer.write(await steps.get())

    def take(piece: bytes) -> bool:
        passed.put_nowait(piece)
        return piece != b"d"

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        answer = await client.send(address, ASK, Deadlines())
        answer.pass_by(take)
        reading = asyncio.ensure_future(answer.next_piece())
        for sent, came in ((b"1\r\na\r\n", b"a"), (b"1\r\nb\r\n1\r\nc\r\n", b"bc")):
            steps.put_nowait(sent)
            assert await passed.get() == came
            assert not reading.done()
        steps.put_nowait(b"1\r\nd\r\n")
        assert await reading == b"d"
        answer.pass_by(None)
        reading = asyncio.ensure_future(answer.next_piece())
        steps.put_nowait(b"1\r\ne\r\n")
        assert await reading == b"e"
        answer.pass_by(take)
        steps.put_nowait(b"1\r\nf\r\n0\r\n\r\n")  # with the answer's end: the reader gets both
        assert await answer.next_piece() == b"f"
        assert await answer.next_piece() == b""
        assert [await passed.get()] == [b"d"]
        assert passed.empty()
        answer.release()
        client.close()


async def test_a_kept_connection_that_closed_is_replaced(tmp_path: Path) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        for _ in range(2):
            answer = await client.send(address, ASK, Deadlines())
            assert await answer.read(10) == b"ok"
            answer.release()
        client.close()


async def test_an_answer_behind_the_asked_one_is_taken_for_none(tmp_path: Path) -> None:
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        late = b"HTTP/1.1 408 Request Timeout\r\nx-late: 1\r\ncontent-length: 4\r\n\r\nlate"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + late)
        await reader.read()

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        for _ in range(2):
            answer = await client.send(address, ASK, Deadlines())
            assert (answer.status, answer.header(b"x-late")) == (200, None)
            assert await answer.read(10) == b"ok"
            answer.release()
        client.close()
    assert connections == 2


async def test_a_release_in_the_middle_hangs_up_on_the_engine(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"2\r\nab\r\n")
        try:
            await reader.read()
        finally:
            hung_up.set()

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        answer = await client.send(address, ASK, Deadlines())
        assert await anext(answer.pieces()) == b"ab"
        answer.release()
        await asyncio.wait_for(hung_up.wait(), 10)


async def test_a_cut_answer_is_an_error_and_not_an_end(tmp_path: Path) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"2\r\nab\r\n")

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        answer = await client.send(address, ASK, Deadlines())
        with pytest.raises(ConnectionLost) as caught:
            await answer.read(100)
        answer.release()
    assert caught.value.answered


async def test_silence_beyond_a_deadline_says_which(tmp_path: Path) -> None:
    async def peer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        with pytest.raises(DeadlinePassed, match="no answer within"):
            await client.send(address, ASK, Deadlines(first_byte_s=0.01))
        with pytest.raises(TotalPassed, match="no end of the answer within 5 s"):
            await client.send(address, ASK, Deadlines(total_s=5), spent_s=5)


async def test_an_answer_that_has_begun_may_be_silent_for_as_long_as_idle_says(
    tmp_path: Path,
) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await reader.read()

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        answer = await client.send(address, ASK, Deadlines(first_byte_s=60, idle_s=0.02))
        with pytest.raises(DeadlinePassed, match="no more of the answer"):
            await answer.read(100)
        answer.release()


async def test_a_reader_that_is_behind_is_not_taken_for_a_silent_engine(tmp_path: Path) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"2\r\nab\r\n0\r\n\r\n")

    client = UpstreamClient()
    async with listening(peer, tmp_path) as address:
        limits = Deadlines(idle_s=0.01)
        answer = await client.send(address, ASK, limits)
        answer.heard()
        with suppress(TimeoutError):  # the reader does something else meanwhile
            await asyncio.wait_for(asyncio.Event().wait(), 5 * limits.idle_s)
        assert await answer.read(100) == b"ab"
        answer.release()
        client.close()


async def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        await UpstreamClient().send(ReplicaAddress(socket_path=tmp_path / "none"), ASK, Deadlines())


async def test_what_is_no_name_of_a_host_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"'gpu\.\.box' is no name of a host"):
        await UpstreamClient().send(ReplicaAddress("gpu..box", 80), ASK, Deadlines())


def test_an_address_hides_its_key_and_names_its_host() -> None:
    address = ReplicaAddress("gpu1", 443, tls=True, authorization="Bearer secret")
    assert "secret" not in repr(address)
    assert address.host_header == "gpu1"
    assert ReplicaAddress("::1", 8000).host_header == "[::1]:8000"
