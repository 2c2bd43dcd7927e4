"""Small vocabularies for toys: byte-level BPE, SentencePiece and WordPiece, as families use them.

Owns: tokens, their kinds, merges and scores.
Must not: know architectures.
"""

from typing import Any

_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_WORDS = ("the", "weigh", "bridge", "one", "two", "three")
_SPACE = "\u2581"  # SentencePiece writes a space as this


def write_byte_level(writer: Any, pre: str) -> None:
    """Write one token for each byte, words merged from them, and three control tokens.

    `pre` names how the family cuts a text into words before it merges.
    """
    letters = _letters()
    tokens = list(letters.values())
    merges: list[str] = []
    for word in _WORDS:
        for at in range(1, len(word)):
            merge = f"{word[:at]} {word[at]}"
            if merge not in merges:
                merges.append(merge)
                tokens.append(word[: at + 1])
    kinds = [_NORMAL] * len(tokens) + [_CONTROL] * 3
    tokens += ["<|begin|>", "<|end|>", "<|turn|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens) - 3)
    writer.add_eos_token_id(len(tokens) - 2)
    writer.add_vocab_size(len(tokens))


def write_sentencepiece(writer: Any, *, space_first: bool) -> None:
    """Write control tokens, all bytes, letters and a few words; the words score best.

    `space_first`: a text is read as if a space stood before it, as Llama 2 does and Gemma does not.
    """
    tokens = ["<unk>", "<s>", "</s>"]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    kinds += [_BYTE] * 256
    pieces = [word[:end] for word in _WORDS for end in range(2, len(word) + 1)]
    letters = sorted({*map(chr, range(33, 127)), _SPACE})
    words = list(dict.fromkeys([*pieces, *(_SPACE + piece for piece in pieces)]))
    spaced = [_SPACE + letter for letter in letters if letter.isalpha()]
    rest = list(dict.fromkeys([*words, *spaced, *letters]))
    tokens += rest
    kinds += [_NORMAL] * len(rest)
    scores = [0.0] * 259 + [-1.0 - at for at in range(len(rest))]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(space_first)
    writer.add_vocab_size(len(tokens))


def write_wordpiece(writer: Any) -> None:
    """Write BERT's special tokens, letters that begin a word and letters that go on, and words."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    kinds = [_CONTROL, _UNKNOWN, _CONTROL, _CONTROL, _CONTROL]
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    ordinary = [*(_SPACE + word for word in _WORDS), *(_SPACE + one for one in letters), *letters]
    tokens += ordinary
    kinds += [_NORMAL] * len(ordinary)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    writer.add_vocab_size(len(tokens))


def write_vocabulary(writer: Any, pre: str | None, *, space_first: bool = True) -> None:
    """Write the vocabulary that `pre` means: None is SentencePiece, `bert` is WordPiece."""
    if pre is None:
        write_sentencepiece(writer, space_first=space_first)
    elif pre == "bert":
        write_wordpiece(writer)
    else:
        write_byte_level(writer, pre)


def size_of(pre: str | None) -> int:
    """Return how many tokens the vocabulary has that `pre` means."""
    counted = _Counted()
    write_vocabulary(counted, pre)
    return counted.tokens


class _Counted:
    """Takes what a GGUF writer takes, and only counts."""

    tokens = 0

    def add_token_list(self, tokens: list[str]) -> None:
        self.tokens = len(tokens)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_values, **_named: None


def _letters() -> dict[int, str]:
    """Return the letter that stands for each byte in byte-level BPE."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown}
    letters |= {byte: chr(256 + at) for at, byte in enumerate(hidden)}
    return dict(sorted(letters.items()))
