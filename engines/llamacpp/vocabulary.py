"""The tokens of a model: their bytes, their texts, what they mean.

Owns: reading llama.cpp's vocabulary. Must not: evaluate; it only reads, from any thread.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp as native

# Kinds of vocabulary whose tokens stand for all bytes of a text; others drop some or merge many.
_WHOLE = (
    native.LLAMA_VOCAB_TYPE_SPM,
    native.LLAMA_VOCAB_TYPE_BPE,
    native.LLAMA_VOCAB_TYPE_RWKV,
)
# llama.cpp says with the least number there is that they are too many to count.
_MOST_TOKENS = (1 << 31) - 1
_NO_TEXT = (
    native.LLAMA_TOKEN_ATTR_CONTROL
    | native.LLAMA_TOKEN_ATTR_UNKNOWN
    | native.LLAMA_TOKEN_ATTR_UNUSED
)


class Vocabulary:
    """The tokens of a model; the bytes of each are read once."""

    def __init__(self, model: Any) -> None:
        self._vocab = native.llama_model_get_vocab(model)
        self.size: int = native.llama_vocab_n_tokens(self._vocab)
        self.bos: int = native.llama_vocab_bos(self._vocab)
        self.adds_bos: bool = native.llama_vocab_get_add_bos(self._vocab)
        self.eos: int = native.llama_vocab_eos(self._vocab)
        self.ends = frozenset(
            token for token in range(self.size) if native.llama_vocab_is_eog(self._vocab, token)
        )
        self._visible = [self._piece(token, special=False) for token in range(self.size)]
        self._longest = self._longest_piece()
        # SentencePiece reads most texts as if a space stood before them.
        first = self.tokens("a", add_special=False, parse_special=False)
        self._adds_space = bool(first) and self._visible[first[0]].startswith(b" ")

    def marks(self) -> dict[str, int]:
        """Return the tokens that stand for themselves and for no text, by name (`<|im_end|>`).

        Those that a model's makers added for a purpose, such as `<tool_call>`, are among them.
        """
        found: dict[str, int] = {}
        for token in range(self.size):
            kind: int = native.llama_vocab_get_attr(self._vocab, token)
            if kind & (_NO_TEXT | native.LLAMA_TOKEN_ATTR_USER_DEFINED):
                name = self._piece(token, special=True).decode("utf-8", "replace")
                if kind & _NO_TEXT or (name[:1], name[-1:]) == ("<", ">"):
                    found[name] = token
        return found

    def gap_marks(self) -> tuple[int, int, int] | None:
        """Return the tokens before a text, before what follows its gap, and before the filling.

        None: the model knows nothing of gaps.
        """
        found = (
            native.llama_vocab_fim_pre(self._vocab),
            native.llama_vocab_fim_suf(self._vocab),
            native.llama_vocab_fim_mid(self._vocab),
        )
        return found if min(found) >= 0 else None

    def frame(self) -> tuple[list[int], list[int], list[int]]:
        """Return what stands before a text, behind it, and between it and a second one."""
        bare = self.tokens("a", add_special=False, parse_special=False)
        framed = self.tokens("a", add_special=True, parse_special=False)
        start = next(at for at in range(len(framed)) if framed[at : at + len(bare)] == bare)
        opening, ending = framed[:start], framed[start + len(bare) :]
        between = list(ending)
        # BERT's one separator ends a text too; RoBERTa's stands behind the end of the first.
        separate = not ending or native.llama_vocab_get_add_eos(self._vocab)
        if separate and native.llama_vocab_get_add_sep(self._vocab):
            between.append(native.llama_vocab_sep(self._vocab))
        return opening, ending, between

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for; none for a control token."""
        return self._visible[token]

    def written(self, token: int) -> bytes:
        """Return the bytes of a token; of a control token those of its name."""
        return (token >= 0 and self._visible[token]) or self._piece(token, special=True)

    def text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """Return the text that tokens were made of; with `special`, control tokens are written out.

        The space that some vocabularies put before a text is taken off again.
        """
        pieces = [self.written(t) if special else self._visible[t] for t in tokens]
        begins = next((at for at, token in enumerate(tokens) if self._visible[token]), None)
        if self._adds_space and begins is not None:
            pieces[begins] = pieces[begins].removeprefix(b" ")
        return b"".join(pieces).decode("utf-8", "replace")

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the tokens of a text.

        `add_special` puts BOS before it where the model wants that; `parse_special` reads
        `<|im_start|>` as one token, which is for templates, never for what a client wrote alone.
        """
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        while True:
            found = (native.llama_token * room)()
            count: int = native.llama_tokenize(
                self._vocab, raw, len(raw), found, room, add_special, parse_special
            )
            if count >= 0:
                return list(found[:count])
            # Some vocabularies write a sign out first: one of Arabic's three bytes as four words.
            if not room < -count <= _MOST_TOKENS:
                raise ValueError("the text cannot be tokenized")
            room = -count

    def fewest(self, text: str) -> int:
        """Return how many tokens a text has at least, without reading it; 0 where none can tell."""
        return -(-len(text.encode("utf-8", "replace")) // self._longest) if self._longest else 0

    def beginning(self, text: str, tokens: int) -> str:
        """Return what holds a text's first so many tokens, without reading it."""
        raw, most = text.encode("utf-8", "replace"), tokens * self._longest
        return raw[:most].decode("utf-8", "ignore") if 0 < most < len(raw) else text

    def continued(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Return the tokens of a text that goes on from another: no space is put before it."""
        mark = "\x02" if self._adds_space else ""  # no token has it and more
        before = self.tokens(mark, add_special=False, parse_special=False)
        tokens = self.tokens(mark + text, add_special=False, parse_special=parse_special)
        return tokens[len(before) :]

    def _longest_piece(self) -> int:
        if native.llama_vocab_type(self._vocab) not in _WHOLE:
            return 0
        return max(
            len(visible or self._piece(token, special=True))
            for token, visible in enumerate(self._visible)
        )

    def _piece(self, token: int, *, special: bool) -> bytes:
        if token < 0:  # how llama.cpp says that there is no such token, BERT's end of a text, say
            return b""
        buffer = ctypes.create_string_buffer(256)
        size: int = native.llama_token_to_piece(self._vocab, token, buffer, 256, 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = native.llama_token_to_piece(self._vocab, token, buffer, -size, 0, special)
        return buffer.raw[: max(0, size)]


def meta_of(model: Any, key: str) -> str | None:
    """Return a value of the GGUF header of a loaded model, or of a vocabulary alone, as text."""
    for size in (256, 1 << 20):
        buffer = ctypes.create_string_buffer(size)
        found: int = native.llama_model_meta_val_str(model, key.encode(), buffer, size)
        if 0 <= found < size:
            return buffer.value.decode("utf-8", "replace")
    return None
