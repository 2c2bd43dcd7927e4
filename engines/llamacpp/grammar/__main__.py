"""The child that reads grammars before the worker does: `python -m engines.llamacpp.grammar`.

A line of JSON asks, a line of JSON answers. A grammar that takes too long, or too much memory, ends
this process; so `trial` knows.

Owns: the bounds of one reading.
Must not: import llama.cpp: it starts while a client waits.
"""

import contextlib
import resource
import signal
import sys

import msgspec
from llguidance import LLTokenizer

from engines.llamacpp.grammar.reading import flaw
from engines.llamacpp.grammar.tokens import tokenizer
from engines.llamacpp.grammar.trial import Asked, Told, Words

_MOST_MEMORY_BYTES = 2 * 1024**3


def tokenizer_of(words: Words) -> LLTokenizer:
    """Return a tokenizer with the model's marks in their places; of text it knows bytes."""
    taken = {*words.marks.values(), *words.ends}
    free = (token for token in range(words.size) if token not in taken)
    bytes_of = dict(zip(free, range(256), strict=False))
    pieces = [bytes([bytes_of[t]]) if t in bytes_of else b"" for t in range(words.size)]
    by_byte = {byte: token for token, byte in bytes_of.items()}
    return tokenizer(pieces, words.marks, words.ends, lambda text: [by_byte[b] for b in text])


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this
    with contextlib.suppress(OSError, ValueError):  # macOS knows the limit and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    words = msgspec.json.decode(sys.stdin.buffer.readline(), type=Words)
    reader = tokenizer_of(words)
    asking = msgspec.json.Decoder(Asked)
    for line in sys.stdin.buffer:
        asked = asking.decode(line)
        # Its default ends the process, whatever code runs then; it counts processor time, so that
        # a crowded machine condemns nobody.
        signal.setitimer(signal.ITIMER_PROF, words.most_cpu_s)
        found = flaw(asked.drafts, reader)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(msgspec.json.encode(Told(found)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
