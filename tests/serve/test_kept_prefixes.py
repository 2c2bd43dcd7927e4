"""What a model has read of prompts outlives the gateway, where the file names a folder for it."""

from pathlib import Path

from tests.support.contract import CHAT, user
from tests.support.serving import serving

CONFIG = """
engines: {{cpu: {{kind: llamacpp, context: 512, parallel: 2, prefix_cache_dir: "{folder}"}}}}
models: {{toy: {{engine: cpu, weights: "demo:qwen"}}}}
"""
LONG = "Tell me of the house, its rooms, its garden and who has lived there. " * 3


async def test_a_prompt_is_read_once_whatever_was_started_again_in_between(tmp_path: Path) -> None:
    cached, said = [], []
    for _ in range(2):
        async with serving(CONFIG.format(folder=tmp_path)) as served:
            await served.ready()
            body = {"model": "toy", "messages": user(LONG), "max_tokens": 4, "temperature": 0}
            told = (await served.http.post(CHAT, json=body)).json()
        cached.append(told["usage"]["prompt_tokens_details"]["cached_tokens"])
        said.append(told["choices"][0]["message"]["content"])
    assert cached[0] == 0
    assert cached[1] > 50
    assert said[0] == said[1]
