"""A vocabulary as llguidance wants it.

Owns: the shape.
Must not: know llama.cpp: `llguidance.llamacpp` does, in the words of an older one.
"""

from collections.abc import Callable, Mapping, Sequence

from llguidance import LLTokenizer, TokenizerWrapper


class _Tokens:
    """What `TokenizerWrapper` looks for."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        marks: Mapping[str, int],
        end: int,
        tokens_of: Callable[[bytes], list[int]],
    ) -> None:
        self.eos_token_id = end
        self.bos_token_id = None
        self.special_token_ids = list(marks.values())
        self.tokens = list(pieces)
        for name, token in marks.items():
            self.tokens[token] = name.encode()
        self._tokens_of = tokens_of

    def __call__(self, text: bytes) -> list[int]:
        return self._tokens_of(text)


def tokenizer(
    pieces: Sequence[bytes],
    marks: Mapping[str, int],
    ends: Sequence[int],
    tokens_of: Callable[[bytes], list[int]],
) -> LLTokenizer:
    """Return llguidance's tokenizer; about a second for the largest vocabularies.

    `pieces` are the bytes of each token; `marks` are tokens that no text is made of, by name;
    `ends` end an answer, the usual one first.
    """
    wrapped = TokenizerWrapper(_Tokens(pieces, marks, ends[0], tokens_of))
    return LLTokenizer(wrapped, eos_token=list(ends))
