"""A model's eyes: from the bytes of images to what the model sees, through llama.cpp's mtmd.

Owns: the projector (`mmproj`), its thread, and what it keeps of images that were seen.
Must not: evaluate the model itself, or choose where in a prompt an image stands.
"""

import asyncio
import ctypes
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp as native
import numpy as np

from engines.llamacpp.beforehand import KEPT_PICTURES_BYTES
from engines.llamacpp.binding import Runtime
from engines.llamacpp.complaints import ON_LOG, LoadFailed, complaints, first_reason
from engines.llamacpp.images import BadImage, bytes_of, urls_in
from engines.llamacpp.pictures import Part, Picture, Seen, ids_of
from engines.protocol.errors import ContextLengthExceeded, InvalidRequest
from engines.protocol.requests import Message

_TEXT = 0  # kinds of what stands for an image; llama.cpp's headers do not reach Python
# mtmd would have a file that is no image read by ffmpeg, where it was built to and finds one here.
_NO_FFMPEG = b"/nonexistent"
# Where a context is small, pictures are made smaller, so that some of it is left for text.
_SMALL_CONTEXT = 8_192


class Sight:
    """The projector of one model. Mutable; `see` may be called from the event loop.

    Raises:
        LoadFailed: llama.cpp was built without mtmd, or the projector is none of this model.
    """

    def __init__(self, projector: Path, runtime: Runtime) -> None:
        self._mtmd = library()
        self._limits = runtime.limits
        self._width: int = native.llama_model_n_embd_inp(runtime.model)
        self._context = self._load(projector, runtime)
        self._four = bool(self._mtmd.mtmd_decode_use_mrope(self._context))
        self._kept: OrderedDict[bytes, tuple[Part, ...]] = OrderedDict()
        self._kept_bytes = 0
        # One at a time: an image takes all threads, and the context has one place for results.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sight")

    async def see(self, messages: Sequence[Message]) -> Seen:
        """Return what the model sees of each image of a conversation, by its URL.

        Raises:
            InvalidRequest: one cannot be read, or together they do not fit the context.
        """
        urls = {url: param for param, url in urls_in(messages)}
        loop = asyncio.get_running_loop()
        seen: dict[str, tuple[Part, ...]] = {}
        tokens = 0
        for url, param in urls.items():
            room = self._limits.context - tokens
            seen[url] = await loop.run_in_executor(self._thread, self._look, url, param, room)
            tokens += sum(map(_count, seen[url]))
        return seen

    def close(self) -> None:
        """Free the projector; before the model."""
        self._thread.shutdown(cancel_futures=True)
        self._mtmd.mtmd_free(self._context)

    def _look(self, url: str, param: str, room: int) -> tuple[Part, ...]:
        image = bytes_of(url, param)
        name = _name(image)
        parts = self._kept.get(name)
        if parts is None:
            parts = self._kept[name] = tuple(self._parts(image, param, room))
            self._kept_bytes += _size(parts)
        elif sum(map(_count, parts)) > room:
            raise _too_large(param)
        self._kept.move_to_end(name)
        while self._kept_bytes > KEPT_PICTURES_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _size(self._kept.popitem(last=False)[1])
        return parts

    def _parts(self, image: bytes, param: str, room: int) -> Iterator[Part]:
        """Yield what stands for an image: tokens around it, and what is seen of it."""
        mtmd = self._mtmd
        with self._bitmap(image, param) as bitmap, self._chunks(bitmap, param) as chunks:
            found = [mtmd.mtmd_input_chunks_get(chunks, n) for n in range(_length(mtmd, chunks))]
            if sum(mtmd.mtmd_input_chunk_get_n_tokens(chunk) for chunk in found) > room:
                raise _too_large(param)
            for at, chunk in enumerate(found):
                kind = mtmd.mtmd_input_chunk_get_type(chunk)
                yield self._text(chunk) if kind == _TEXT else self._picture(image, at, chunk, param)

    @contextmanager
    def _bitmap(self, image: bytes, param: str) -> Iterator[Any]:
        options = self._mtmd.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = _NO_FFMPEG
        data = (ctypes.c_uint8 * len(image)).from_buffer_copy(image)
        made = self._mtmd.mtmd_helper_bitmap_init_from_buf_wrapper(
            self._context, data, len(image), False, options
        )
        if made.video_ctx:
            self._mtmd.mtmd_helper_video_free(made.video_ctx)
        if not made.bitmap or made.video_ctx:
            raise BadImage("The image is broken.", param=param)
        try:
            yield made.bitmap
        finally:
            self._mtmd.mtmd_bitmap_free(made.bitmap)

    @contextmanager
    def _chunks(self, bitmap: Any, param: str) -> Iterator[Any]:
        part = self._mtmd.mtmd_input_part(bitmap=bitmap)
        parts = (ctypes.POINTER(self._mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
        chunks = self._mtmd.mtmd_input_chunks_init()
        try:
            if self._mtmd.mtmd_tokenize_from_parts(self._context, chunks, parts, 1, False) != 0:
                raise BadImage("The model cannot process this image.", param=param)
            yield chunks
        finally:
            self._mtmd.mtmd_input_chunks_free(chunks)

    def _text(self, chunk: Any) -> tuple[int, ...]:
        count = ctypes.c_size_t()
        tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
        return tuple(tokens[: count.value])

    def _picture(self, image: bytes, at: int, chunk: Any, param: str) -> Picture:
        mtmd = self._mtmd
        count: int = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        whole = bool(mtmd.mtmd_decode_use_non_causal(self._context, chunk))
        if whole and count > self._limits.batch_tokens:
            raise InvalidRequest(
                f"The model processes the {count} tokens of an image at once, but a step has only "
                f"{self._limits.batch_tokens}; raise batch_tokens.",
                param=param,
            )
        if mtmd.mtmd_encode_chunk(self._context, chunk) != 0:
            raise BadImage("The model cannot process this image.", param=param)
        told = mtmd.mtmd_get_output_embd(self._context)
        vectors = np.ctypeslib.as_array(told, shape=(count, self._width)).copy()
        steps: int = mtmd.mtmd_input_chunk_get_n_pos(chunk)
        return Picture(ids_of(image, at, count), vectors, self._places(chunk, count), steps, whole)

    def _places(self, chunk: Any, count: int) -> Any:
        """Return the places of a picture's tokens; in four dimensions where the model has them."""
        if not self._four:
            return np.arange(count, dtype=np.int32)[None]
        tokens = self._mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        told = (self._mtmd.mtmd_image_tokens_get_decoder_pos(tokens, 0, n) for n in range(count))
        return np.array([(at.t, at.y, at.x, at.z) for at in told], dtype=np.int32).T

    def _load(self, projector: Path, runtime: Runtime) -> Any:
        mtmd = self._mtmd
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = not runtime.apart
        params.n_threads = self._limits.threads
        params.print_timings = False
        params.warmup = False
        if self._limits.context < _SMALL_CONTEXT:
            params.image_max_tokens = self._limits.context // 2
        with complaints(mtmd.mtmd_log_set, mtmd.mtmd_helper_log_set) as heard:
            context = mtmd.mtmd_init_from_file(str(projector).encode(), runtime.model, params)
        if not context:
            said = first_reason(heard, ": ")
            raise LoadFailed(f"llama.cpp cannot load {projector.name} for this model: {said}")
        if not mtmd.mtmd_support_vision(context):
            mtmd.mtmd_free(context)
            raise LoadFailed(f"{projector.name} has no encoder for images")
        return context


def library() -> Any:
    """Return the binding of mtmd.

    Raises:
        LoadFailed: this llama-cpp-python was built without it.
    """
    try:
        from llama_cpp import mtmd_cpp  # noqa: PLC0415 - it loads a library that may be missing
    except (OSError, RuntimeError):
        raise LoadFailed(
            "images need libmtmd, and llama-cpp-python was built without it here: run `make vision`"
            " in a checkout, or rebuild it without -DLLAVA_BUILD=OFF"
        ) from None
    mtmd_cpp.mtmd_log_set(ON_LOG, ctypes.c_void_p(0))
    mtmd_cpp.mtmd_helper_log_set(ON_LOG, ctypes.c_void_p(0))
    return mtmd_cpp


def _length(mtmd: Any, chunks: Any) -> int:
    length: int = mtmd.mtmd_input_chunks_size(chunks)
    return length


def _count(part: Part) -> int:
    return len(part.ids) if isinstance(part, Picture) else len(part)


def _size(parts: Sequence[Part]) -> int:
    return sum(part.vectors.nbytes for part in parts if isinstance(part, Picture))


def _name(image: bytes) -> bytes:
    return hashlib.sha256(image).digest()


def _too_large(param: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        "The images take more tokens than this model's context has; send fewer or smaller ones.",
        param=param,
    )
