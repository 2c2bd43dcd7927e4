"""Sleep of a vLLM: what is asked of it, and what its answers mean."""

from collections.abc import Awaitable, Callable

import pytest

from engines.vllm.sleeping import SleepRefused, fall_asleep, wake_up


class Vllm:
    """Answers each post with the same; keeps what was asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self.answer = status, body
        self.asked: list[str] = []

    async def post(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        return self.answer


async def test_it_sleeps_when_what_runs_has_ended_and_wakes() -> None:
    vllm = Vllm(200, b'{"status":"sleeping","level":2}')
    await fall_asleep(vllm.post, 2)
    assert vllm.asked == ["/sleep?level=2&mode=wait"]
    vllm = Vllm(200, b'{"status":"awake","tags":null}')
    await wake_up(vllm.post)
    assert vllm.asked == ["/wake_up"]


@pytest.mark.parametrize("ask", [fall_asleep, wake_up])
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b'{"detail":"Not Found"}', "sleep_mode: true"),
        (500, b"{}", "status 500"),
        (0, b"", "does not answer"),
        (200, b'{"status":"dreaming"}', "dreaming"),
        (200, b"nonsense", "no state that is known"),
    ],
)
async def test_a_refusal_is_told_with_the_reason(
    ask: Callable[..., Awaitable[None]], status: int, body: bytes, why: str
) -> None:
    with pytest.raises(SleepRefused) as refused:
        await ask(Vllm(status, body).post)
    assert why in str(refused.value)
