"""The child that reads grammars before the worker does: `python -m engines.llamacpp.grammar`.

A line of JSON asks, a line of JSON answers. A part that takes too long, or too much memory, ends
this process; so `trial` knows.

Owns: the bounds of one reading.
Must not: import llama.cpp: it starts while a client waits.
"""

import contextlib
import resource
import signal
import sys

import msgspec
from llguidance import LLTokenizer, TokenizerWrapper

from engines.llamacpp.grammar.reading import flaw
from engines.llamacpp.grammar.trial import MOST_CPU_S, Asked, Told, Words

_MOST_MEMORY_BYTES = 2 * 1024**3


class _Tokens:
    """The model's special tokens in their places, and a token for each byte in what is left."""

    def __init__(self, words: Words) -> None:
        self.eos_token_id = words.ends[0]
        self.bos_token_id = None
        self.special_token_ids = list(words.specials.values())
        self.tokens = [b""] * words.size
        for text, token in words.specials.items():
            self.tokens[token] = text.encode()
        taken = {*words.specials.values(), *words.ends}
        free = (token for token in range(words.size) if token not in taken)
        self._bytes = [token for token, _ in zip(free, range(256), strict=False)]
        for byte, token in enumerate(self._bytes):
            self.tokens[token] = bytes([byte])

    def __call__(self, text: bytes | str) -> list[int]:
        raw = text if isinstance(text, bytes) else text.encode()
        return [self._bytes[byte] for byte in raw if byte < len(self._bytes)]


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this
    with contextlib.suppress(OSError, ValueError):  # macOS knows the limit and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    words = msgspec.json.decode(sys.stdin.buffer.readline(), type=Words)
    tokenizer = LLTokenizer(TokenizerWrapper(_Tokens(words)), eos_token=list(words.ends))
    asking = msgspec.json.Decoder(Asked)
    for line in sys.stdin.buffer:
        asked = asking.decode(line)
        # Its default ends the process, whatever code runs then; it counts processor time, so that
        # a crowded machine condemns nobody.
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        found = flaw(asked.kind, asked.text, tokenizer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(msgspec.json.encode(Told(found)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
