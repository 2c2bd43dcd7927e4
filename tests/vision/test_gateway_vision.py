"""A gateway with a model that sees: images find it, and texts need not."""

from pathlib import Path

import pytest

from tests.support.pixels import png, shown
from tests.support.serving import serving

CHAT = "/v1/chat/completions"
CONFIG = """
engines: {{cpu: {{kind: llamacpp, context: 512, parallel: 2}}}}
models:
  talker: {{engine: cpu, weights: "demo:qwen"}}
  seer: {{engine: cpu, weights: "{folder}/qwen2vl.gguf", mmproj: "{folder}/mmproj-qwen2vl.gguf"}}
routes:
  - {{name: rest, use: [talker, seer]}}
"""


@pytest.mark.usefixtures("eyes")
async def test_an_image_goes_to_the_model_that_sees_and_is_answered_there(toys: Path) -> None:
    body = {"messages": shown(png()), "max_tokens": 4}
    async with serving(CONFIG.format(folder=toys)) as served:
        await served.ready()
        seen = await served.http.post(CHAT, json=body)
        text = await served.http.post(
            CHAT, json={"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        )
        named = await served.http.post(CHAT, json=body | {"model": "talker"})
        rows = {row["id"]: row for row in (await served.http.get("/v1/models")).json()["data"]}
    assert (seen.status_code, seen.headers["x-weighbridge-model"]) == (200, "seer")
    assert seen.json()["usage"]["prompt_tokens"] > 60
    assert (text.status_code, text.headers["x-weighbridge-model"]) == (200, "talker")
    assert named.status_code == 400
    assert "reads text only" in named.json()["error"]["message"]
    assert "vision" in rows["seer"]["capabilities"]
    assert "vision" not in rows["talker"]["capabilities"]
