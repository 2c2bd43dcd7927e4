"""What is evaluated of an image is what llama.cpp's own helper evaluates of it."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp as native
import msgspec
import numpy as np
import pytest

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.complaints import LoadFailed
from engines.llamacpp.conversation import Conversations
from engines.llamacpp.images import BadImage
from engines.llamacpp.orders import Order
from engines.llamacpp.pictures import is_text, laid_out, pictures_in
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.sight import Sight, library
from engines.protocol.errors import ContextLengthExceeded, InvalidRequest
from engines.protocol.requests import ChatRequest
from tests.support.pixels import data_url, png, shown

NAMES = ("qwen2vl", "gemma3")
LIMITS = Limits(
    context=512, cells=1_024, parallel=2, batch_tokens=32, threads=1, batch_threads=1, yields=False
)
IMAGE = png(140, 60)
pytestmark = pytest.mark.usefixtures("eyes")


@pytest.fixture(params=NAMES)
def seeing(request: pytest.FixtureRequest, toys: Path) -> Iterator[tuple[Runtime, Sight]]:
    runtime = Runtime(toys / f"{request.param}.gguf", LIMITS, 0)
    sight = Sight(toys / f"mmproj-{request.param}.gguf", runtime)
    yield runtime, sight
    sight.close()
    runtime.close()


def chat(image: bytes, text: str = "what is it?") -> ChatRequest:
    return msgspec.convert({"messages": shown(image, text)}, ChatRequest)


async def test_an_image_in_pieces_gives_the_logits_of_llama_cpps_own_helper(
    seeing: tuple[Runtime, Sight],
) -> None:
    runtime, sight = seeing
    request = chat(IMAGE)
    seen = await sight.see(request.messages)
    tokens = Conversations(runtime).tokens(request, seen)
    ours = evaluated(runtime, tokens, seen)
    theirs = by_the_helper(runtime, sight)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()
    others = evaluated(runtime, *await read(runtime, sight, png(140, 60, seed=1)))
    assert np.abs(ours - others).max() > 1e-3 * np.abs(theirs).max()


async def read(runtime: Runtime, sight: Sight, image: bytes) -> tuple[list[int], Any]:
    seen = await sight.see(chat(image).messages)
    return Conversations(runtime).tokens(chat(image), seen), seen


def evaluated(runtime: Runtime, tokens: list[int], seen: Any) -> Any:
    """Return the logits behind a prompt, evaluated as the batcher does it: in pieces."""
    layout = laid_out(tokens, pictures_in(seen))
    sequence = SequenceState(Order(tuple(tokens), 1, layout=layout), lambda _progress: None)
    sequence.slot = 0
    logits: Any = None
    while sequence.pending:
        view = sequence.view(7 if runtime.cuts else LIMITS.batch_tokens)
        if view is not None:
            assert runtime.look(view)
            sequence.done += view.count
            continue
        count = min(sequence.readable, 20)
        last = count == sequence.pending
        piece = Piece(0, sequence.position, sequence.next_tokens(count), int(last))
        found = runtime.decode([piece])
        assert found is not None
        logits = np.array(found[0]) if last else None
        sequence.done += count
    runtime.forget(0)
    return logits


def by_the_helper(runtime: Runtime, sight: Sight) -> Any:
    """Return the logits that llama.cpp's helper gives for the same text and image."""
    mtmd, eyes = library(), sight._context
    marker = mtmd.mtmd_default_marker().decode()
    plain = msgspec.convert(
        {"messages": [{"role": "user", "content": f"look: {marker}what is it?"}]}, ChatRequest
    )
    conversations = Conversations(runtime)
    text = conversations._plain.template.render(plain.messages)
    raw = text.encode()
    data = (ctypes.c_uint8 * len(IMAGE)).from_buffer_copy(IMAGE)
    bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(eyes, data, len(IMAGE), False)
    given = mtmd.mtmd_input_text(raw, len(raw), runtime.vocabulary.adds_bos, True)
    chunks = mtmd.mtmd_input_chunks_init()
    bitmaps = (ctypes.c_void_p * 1)(bitmap)
    assert mtmd.mtmd_tokenize(eyes, chunks, ctypes.byref(given), bitmaps, 1) == 0
    context, past = runtime._context, native.llama_pos()
    rc = mtmd.mtmd_helper_eval_chunks(
        eyes, context, chunks, 0, 1, LIMITS.batch_tokens, True, ctypes.byref(past)
    )
    assert rc == 0
    found = native.llama_get_logits_ith(context, -1)
    logits = np.array(np.ctypeslib.as_array(found, shape=(runtime.vocabulary.size,)))
    runtime.forget(1)
    mtmd.mtmd_input_chunks_free(chunks)
    mtmd.mtmd_bitmap_free(bitmap)
    return logits


async def test_an_image_is_looked_at_once_however_often_it_is_sent(
    seeing: tuple[Runtime, Sight],
) -> None:
    _, sight = seeing
    first, again = [await sight.see(chat(IMAGE).messages) for _ in range(2)]
    other = await sight.see(chat(png(60, 60, seed=3)).messages)
    assert pictures_in(first) == pictures_in(again)  # the very same ones
    assert pictures_in(first)[0].ids[0] != pictures_in(other)[0].ids[0]


async def test_images_that_do_not_fit_the_context_are_not_looked_at(
    seeing: tuple[Runtime, Sight],
) -> None:
    _, sight = seeing
    many = [turn for seed in range(30) for turn in shown(png(224, 224, seed))]
    with pytest.raises(ContextLengthExceeded, match="fewer or smaller"):
        await sight.see(msgspec.convert({"messages": many}, ChatRequest).messages)


def test_an_image_that_did_not_fit_beside_others_is_still_known(
    seeing: tuple[Runtime, Sight],
) -> None:
    _, sight = seeing
    first = sight._look(data_url(IMAGE), "here", room=LIMITS.context)
    with pytest.raises(ContextLengthExceeded):
        sight._look(data_url(IMAGE), "here", room=1)
    assert sight._look(data_url(IMAGE), "here", room=LIMITS.context) is first


async def test_a_broken_image_is_refused(
    seeing: tuple[Runtime, Sight],
) -> None:
    _, sight = seeing
    with pytest.raises(BadImage, match="broken"):
        await sight.see(chat(png()[:40]).messages)


async def test_a_step_too_small_for_an_image_that_must_be_whole_says_what_to_raise(
    toys: Path,
) -> None:
    limits = Limits(512, 512, 1, 2, 1, 1)
    runtime = Runtime(toys / "gemma3.gguf", limits, 0)
    sight = Sight(toys / "mmproj-gemma3.gguf", runtime)
    with pytest.raises(InvalidRequest, match="batch_tokens"):
        await sight.see(chat(IMAGE).messages)
    sight.close()
    runtime.close()


@pytest.mark.parametrize("wrong", ["qwen2vl.gguf", "mmproj-none.gguf"])
def test_a_file_that_is_no_projector_is_named(toys: Path, wrong: str) -> None:
    runtime = Runtime(toys / "qwen2vl.gguf", LIMITS, 0)
    with pytest.raises(LoadFailed, match=wrong):
        Sight(toys / wrong, runtime)
    runtime.close()


async def test_tokens_of_images_are_below_nought_and_text_is_not(
    seeing: tuple[Runtime, Sight],
) -> None:
    runtime, sight = seeing
    tokens, seen = await read(runtime, sight, IMAGE)
    assert [t for t in tokens if not is_text(t)] == list(pictures_in(seen)[0].ids)
