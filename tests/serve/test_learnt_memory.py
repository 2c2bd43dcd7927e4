"""What real workers take of memory: reckoned before, learnt from a load, and used from then on."""

import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from engines.memory import use_of
from tests.support.process import GatewayProcess, gateway_process, run_command
from tests.support.waiting import until
from tools.families.toy_files import write_toy
from tools.families.toys import Toy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")

_MIB = 1 << 20
_LIBRARIES = 24 * _MIB  # other processes may have their shares of these
_CONTEXT, _ANSWER = 1_024, 8
_PLAIN = Toy(
    "sized",
    "qwen2",
    "qwen2",
    frozenset({"biases"}),
    layers=16,
    heads=8,
    head=64,
    width=512,
    hidden=1_408,
)
_EXPERTS = Toy(
    "experts",
    "qwen3moe",
    "qwen2",
    frozenset({"qk-norms"}),
    {"expert_used_count": 2, "expert_feed_forward_length": 256},
    layers=8,
    heads=8,
    head=64,
    width=512,
    experts=8,
)


def planned(folder: Path) -> dict[str, Any]:
    told = run_command(folder, "plan", "--json")
    assert told.returncode == 0, told.stderr
    (row,) = msgspec.json.decode(told.stdout)["models"]
    return dict(row)


async def fill(http: httpx.AsyncClient) -> None:
    """Have a worker read until its cells are full and it keeps all that it may."""
    for turn in range(3):
        prompt = [(turn + place) % 200 + 3 for place in range(_CONTEXT - 2 * _ANSWER)]
        asked = {"model": "m", "prompt": prompt, "max_tokens": _ANSWER, "ignore_eos": True}
        (await http.post("/v1/completions", json=asked)).raise_for_status()
    held = {"model": "m", "prompt": "a", "max_tokens": 1}
    held |= {"response_format": {"type": "json_object"}}
    (await http.post("/v1/completions", json=held)).raise_for_status()


async def has_said(gateway: GatewayProcess, words: str) -> None:
    async def said() -> bool:
        return words in gateway.errors()

    await until(said)


async def reserved(http: httpx.AsyncClient) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    return next(
        float(line.split()[-1])
        for line in lines
        if line.startswith("weighbridge_memory_reserved_bytes{")
    )


@pytest.mark.parametrize(
    ("toy", "kind"),
    [(_PLAIN, "Q8_0"), (_PLAIN, "Q4_0"), (_EXPERTS, "F32")],
    ids=["q8_0", "q4_0", "experts"],
)
async def test_the_first_estimate_is_near_and_that_after_a_load_nearer(
    toy: Toy, kind: str, tmp_path: Path
) -> None:
    write_toy(toy, tmp_path / "m.gguf", kind=kind)
    (tmp_path / "routing.yaml").write_text(
        f"""
engines: {{cpu: {{kind: llamacpp, context: {_CONTEXT}, parallel: 1}}}}
residency: {{memory: 8GiB}}
models: {{m: {{engine: cpu, weights: m.gguf}}}}
""",
        encoding="utf-8",
    )
    first = planned(tmp_path)
    assert first["known_by"] == "reckoned"
    with gateway_process(tmp_path) as gateway:
        async with gateway.client() as http:
            await has_said(gateway, "m/cpu/0 is ready")
            second = planned(tmp_path)
            await fill(http)
            use = use_of(gateway.workers()["m"])
            assert await reserved(http) == second["total_bytes"]
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert "of file-backed pages at its end" in gateway.errors(), gateway.errors()[-1500:]
    third = planned(tmp_path)
    assert use is not None
    assert first["total_bytes"] == pytest.approx(use.total_bytes, rel=0.25)
    assert second["known_by"] == third["known_by"] == "measured"
    for later in (second, third):
        near = max(0.10 * use.total_bytes, _LIBRARIES)
        assert later["total_bytes"] == pytest.approx(use.total_bytes, abs=near)
        assert later["anonymous_bytes"] == pytest.approx(use.anonymous_bytes, rel=0.10)
        file_backed = use.file_backed_bytes
        assert abs(later["file_backed_bytes"] - file_backed) < _LIBRARIES
