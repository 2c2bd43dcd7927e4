"""A prompt with images ends with text: nothing is drawn from what is seen of an image."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.model import Model
from engines.llamacpp.pictures import Picture, ids_of
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest
from engines.weights import Abilities, resolve

URL = "data:image/png;base64,"


class Bare(Runtime):
    """A model whose template writes what was said and nothing else."""

    def meta(self, key: str) -> str | None:
        if key == "tokenizer.chat_template":
            return "{% for message in messages %}{{ message.content }}{% endfor %}"
        return super().meta(key)


def asked(*parts: str) -> ChatRequest:
    content = [
        {"type": "image_url", "image_url": {"url": part}}
        if part == URL
        else {"type": "text", "text": part}
        for part in parts
    ]
    body = {"messages": [{"role": "user", "content": content}], "n": 2}
    return msgspec.convert(body, ChatRequest)


def test_a_prompt_that_ends_with_an_image_is_refused() -> None:
    weights = resolve("demo:qwen", Path())
    runtime = Bare(weights, Limits(64, 64, 2, 16, threads=1, batch_threads=1), 0)
    try:
        abilities = Abilities(generates=True, embeds=False, reranks=False, pooling="mean")
        model = Model("toy", weights, runtime, abilities)
        vectors = np.zeros((4, 1), dtype=np.float32)
        places = np.arange(4, dtype=np.int32)[None]
        seen = {URL: (Picture(ids_of(b"a", 0, 4), vectors, places, 4, whole=False),)}
        first, second = model.chat_orders(asked(URL, "what is it?"), seen)
        assert first.layout
        assert first.prompt is second.prompt  # however long it is, it is held once
        with pytest.raises(InvalidRequest, match="ends with an image") as refused:
            model.chat_orders(asked("what is it?", URL), seen)
        assert refused.value.param == "messages"
    finally:
        runtime.close()
