"""A model server that does what files in a folder say: run as a child, in place of vLLM.

    python staged_server.py FOLDER serve WEIGHTS --served-model-name=NAME --uds=PATH ...

It loads until FOLDER/NAME.go is there; with FOLDER/NAME.fail it says the words in there and exits;
while FOLDER/NAME.hold is there, its answers do not end; with FOLDER/NAME.insomnia it neither sleeps
nor wakes; while FOLDER/NAME.dream is there, it finishes neither. Each load, sleep and wake-up adds
a line to FOLDER/log.
"""

import asyncio
import json
import sys
from pathlib import Path

LOOK_S = 0.01


class Server:
    """Answers chats, streamed or not, with its own name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    def is_there(self, what: str) -> bool:
        return (self.folder / f"{self.name}.{what}").exists()

    async def load(self) -> None:
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"load {self.name}\n")
        while not self.is_there("go"):
            if self.is_there("fail"):
                print((self.folder / f"{self.name}.fail").read_text(), flush=True)
                sys.exit(1)
            await asyncio.sleep(LOOK_S)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [x for x in head.lower().split("\r\n") if x.startswith("content-length")]
                size = int(lengths[0].split(":")[1]) if lengths else 0
                body = json.loads(await reader.readexactly(size) or b"{}")
                path = head.split(" ")[1]
                await self.one(path, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def one(self, path: str, body: dict, writer: asyncio.StreamWriter) -> None:  # type: ignore[type-arg]
        if path.startswith(("/sleep", "/wake_up")):
            await self.nap(path, writer)
            return
        if not path.startswith("/v1/chat"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"ask {self.name} {body['messages'][-1]['content']}\n")
        if self.is_there("refuse"):
            said = b'{"error": {"message": "not with me", "type": "BadRequestError", "code": 400}}'
            writer.write(b"HTTP/1.1 400 X\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
            return
        stream = body.get("stream")
        if stream:
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            self.chunk(writer, {"role": "assistant", "content": "I am "}, None)
        while self.is_there("hold"):  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(LOOK_S)
        if stream:
            self.chunk(writer, {"content": self.name}, None)
            self.chunk(writer, {}, "stop")
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            return
        message = {"role": "assistant", "content": f"I am {self.name}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": self.name}
        said = json.dumps(whole | {"choices": [choice], "usage": usage}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(said), said)
        )

    async def nap(self, path: str, writer: asyncio.StreamWriter) -> None:
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"{path[1:].partition('?')[0]} {self.name}\n")
        while self.is_there("dream"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(LOOK_S)
        status = 500 if self.is_there("insomnia") else 200
        said = b'{"status": "sleeping"}' if path.startswith("/sleep") else b'{"status": "awake"}'
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(said), said))

    def chunk(self, writer: asyncio.StreamWriter, delta: dict, finish: str | None) -> None:  # type: ignore[type-arg]
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": self.name}
        data = f"data: {json.dumps(whole | {'choices': [choice]})}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def main() -> None:
    """Load, then serve until killed."""
    options = dict(arg.split("=", 1) for arg in sys.argv if arg.startswith("--") and "=" in arg)
    server = Server(Path(sys.argv[1]), options["--served-model-name"])
    await server.load()
    await asyncio.start_unix_server(server.answer, options["--uds"])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
