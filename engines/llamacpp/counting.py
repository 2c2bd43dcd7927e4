"""Counts the tokens of a request's prompt with the vocabulary of weights, without loading these.

    python -m engines.llamacpp.counting x.gguf < request.json

Prints `{"count": 12}`. A chat goes through the weights' own template, as a worker would write it.

Owns: reading a vocabulary alone, for people at a command line.
Must not: evaluate.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as native
import msgspec

from engines.llamacpp.complaints import complaints
from engines.llamacpp.conversation import Conversations
from engines.llamacpp.vocabulary import Vocabulary, meta_of
from engines.protocol.decoding import decode_request
from engines.protocol.errors import ApiError
from engines.protocol.requests import ChatRequest, CompletionRequest

_CHAT = msgspec.json.Decoder(ChatRequest)
_TEXT = msgspec.json.Decoder(CompletionRequest)


@dataclass(frozen=True, slots=True)
class _Limits:
    context: int = 1 << 31  # no prompt is too long to be counted


class Words:
    """What conversations need of a runtime: the vocabulary and what the weights say."""

    limits = _Limits()

    def __init__(self, model: Any) -> None:
        self._model = model
        self.vocabulary = Vocabulary(model)

    def meta(self, key: str) -> str | None:
        """Return a value of the weights' header as text."""
        return meta_of(self._model, key)


@contextlib.contextmanager
def words_of(path: Path) -> Iterator[Words]:
    """Read the vocabulary of weights.

    Raises:
        ValueError: llama.cpp cannot read them.
    """
    params = native.llama_model_default_params()
    params.vocab_only = True
    native.llama_backend_init()
    with complaints():
        model = native.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ValueError(f"{path.name} has no vocabulary that can be read")
    try:
        yield Words(model)
    finally:
        native.llama_model_free(model)


def count(words: Words, body: bytes) -> int:
    """Return the tokens of the prompt of a chat, or of a completion's `prompt`, of all if several.

    Raises:
        ApiError: it is neither, or the template refuses it.
    """
    if b'"messages"' in body:
        return len(Conversations(words).tokens(decode_request(_CHAT, body)))
    prompt = decode_request(_TEXT, body).prompt
    each = [prompt] if isinstance(prompt, str) else prompt
    return sum(_length(words.vocabulary, one) for one in each)


def _length(vocabulary: Vocabulary, given: Any) -> int:
    """Return the tokens of a text, of a list of ids, or of one id."""
    if isinstance(given, str):
        return len(vocabulary.tokens(given, add_special=True, parse_special=True))
    return len(given) if isinstance(given, list) else 1


def main() -> None:
    """Count the tokens of the request on standard input."""
    try:
        with words_of(Path(sys.argv[1])) as words:
            told = {"count": count(words, sys.stdin.buffer.read())}
    except (ApiError, ValueError) as error:
        raise SystemExit(str(error)) from None
    sys.stdout.buffer.write(msgspec.json.encode(told))


if __name__ == "__main__":
    main()
