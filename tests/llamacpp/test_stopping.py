"""A worker that is told to end before it serves, or while it reads prompts, is soon gone."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.contract import COMPLETIONS
from tests.support.waiting import until
from tests.support.worker import END_S, command, figures, working

if sys.platform != "linux":
    pytest.skip("looks at what a process has loaded", allow_module_level=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_loads_ends_it_at_once(number: signal.Signals) -> None:
    argv = command("--weights", "demo:qwen", "--port", "0")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        maps = Path(f"/proc/{worker.pid}/maps")
        while "libllama" not in maps.read_text(encoding="utf-8"):
            assert worker.poll() is None
        worker.send_signal(number)
        _, said = worker.communicate(timeout=END_S)
        # 0 where it was quicker than the signal, and served already.
        assert worker.returncode in (-number, 0)
        assert said == b""


async def test_a_signal_while_it_reads_a_prompt_ends_it_after_the_drain_time() -> None:
    options = ["--batch-tokens", "8", "--context", "16384", "--drain-timeout-s", "0.1"]
    with working(options=options) as worker:
        async with worker.client() as http, worker.client() as other:

            async def reads() -> bool:
                return (await figures(other))["prompt_tokens"] > 0

            async def ask() -> int:
                body = {"prompt": [7 + at % 900 for at in range(16_000)], "max_tokens": 1}
                try:
                    return (await http.post(COMPLETIONS, json=body)).status_code
                except httpx.TransportError:
                    return 0

            asked = asyncio.create_task(ask())
            await until(reads)
            worker.process.terminate()
            assert await asked == 503
        assert worker.process.wait(END_S) == 0
        assert "Traceback" not in worker.stderr()


async def test_who_reads_the_text_of_a_request_that_is_cut_off_is_waited_for() -> None:
    texts = [f"{'hello wörld 12 ' * 6_000}{at}" for at in range(40)]
    options = ["--context", "16384", "--drain-timeout-s", "0.1"]
    with working(options=options) as worker:
        async with worker.client() as http, worker.client() as other:
            sent = asyncio.Event()

            async def note(what: str, _about: object) -> None:
                if what == "http11.send_request_body.complete":
                    sent.set()

            asked = asyncio.create_task(
                http.post(COMPLETIONS, json={"prompt": texts}, extensions={"trace": note})
            )
            await sent.wait()
            await figures(other)
            worker.process.terminate()
            answer = await asked
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert worker.process.wait(END_S) == 0
        assert worker.stderr() == ""


async def test_who_has_sent_half_a_request_is_told_so_after_the_drain_time() -> None:
    with working(options=["--drain-timeout-s", "0.1"]) as worker:
        host, port = worker.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 99"
        writer.write(f"POST {COMPLETIONS} HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
        await writer.drain()
        async with worker.client() as other:
            await figures(other)
        worker.process.terminate()
        told = (await reader.read()).decode()
        writer.close()
        assert told.startswith("HTTP/1.1 503")
        assert '"code":"draining"' in told
        assert worker.process.wait(END_S) == 0
        assert worker.stderr() == ""
