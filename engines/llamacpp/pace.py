"""How many tokens of prompts a step takes beside sequences that decode.

Owns: what steps cost, as learned from those before, and the bound that follows.
Must not: share the bound among prompts (`scheduler` does), or read a clock.

A step with a piece of a prompt is one in which everybody else waits longer for the next token, and
a piece of a few tokens costs more for each than a large one. So a long prompt beside eight that
decode, or more, gets as much of a step as they do, and no more: at most half their speed is lost
while it is read. Beside fewer it gets more, as fewer are held up, and with each other prompt
that waits as much again, up to a gap that is bounded; behind a long piece they take several steps,
so that prompts get three quarters of the time at most. A short prompt is read in one step
(docs/decisions/0024, 0049).
"""

from collections.abc import Sequence

from engines.llamacpp.scheduler import WHOLE

# Before anything is known: some steps of a small model, one of a large one.
_FIRST = 64
# Less would not be faster: a step reads all weights whatever it evaluates.
_LEAST = 4
# Matrix products go in blocks of so many tokens; what is left of one costs most of a whole one.
_BLOCK, _SMALL_BLOCK = 16, 4
# A prompt among so many that decode gets as long as they do.
_MANY = 8
# So much longer at most: a stream goes on at two tokens a second while others wait for their first.
_GAP_S = 0.4
# Who decodes gets this part of the time that a piece took, before the next one is read; a batch
# that was read before anybody decoded counts for no more than such a piece.
_DECODE_SHARE, _MOST_OWED_S = 1 / 3, 0.2
# Attention goes by so many tokens; over fewer it reads the cache anew for each, and costs twice.
_TILE = 64
# Who comes at the same time comes within milliseconds, however slow the model is.
_PATIENCE, _MOST_PATIENCE_S = 0.02, 0.03
# What a step tells counts for so much against all those before it.
_NEWEST = 0.2


class Pace:
    """What steps of one worker cost. Mutable; belongs to one thread."""

    def __init__(self) -> None:
        self._alone_s: dict[int, float] = {}  # steps without prompts, by how many decoded
        self._token_s: float | None = None
        self._owed_s = 0.0  # to those who decode, for the pieces that they waited for

    def after(self, decoding: int, prompt_tokens: int, step_s: float) -> None:
        """Learn from a step in which so many sequences decoded beside so many tokens of prompts."""
        if not prompt_tokens:
            self._alone_s[decoding] = _mixed(self._alone_s.get(decoding), step_s)
            self._owed_s = max(0.0, self._owed_s - step_s)
            return
        alone_s = self._alone(decoding) if decoding else 0.0
        piece_s = max(0.0, step_s - (alone_s or 0.0))
        self._owed_s = min(max(self._owed_s, piece_s * _DECODE_SHARE), _MOST_OWED_S)
        if alone_s is not None and prompt_tokens >= _LEAST:
            self._token_s = _mixed(self._token_s, piece_s / prompt_tokens)

    def prompts_wait(self, decoding: int, reading: Sequence[int]) -> bool:
        """Say whether the next step is for those alone who decode: they waited for long pieces.

        `reading` are how many tokens each prompt has still to be read; a short one never waits.
        """
        if not decoding:
            self._owed_s = 0.0
            return False
        alone_s = self._alone(decoding)
        return alone_s is not None and self._owed_s > alone_s and min(reading, default=0) > WHOLE

    def prompt_tokens(self, decoding: int, reading: Sequence[int], batch_tokens: int) -> int:
        """Return how many tokens of prompts the next step may take, up to a batch.

        `reading` are how many tokens each of them has still to be read.
        """
        if not decoding or not reading:
            return batch_tokens
        short = WHOLE if min(reading) <= WHOLE else 0
        alone_s = self._alone(decoding)
        if alone_s is None or not self._token_s:
            return min(_FIRST, batch_tokens)
        each = len(reading) / decoding
        wanted_s = max(alone_s, each * alone_s, min(_MANY * each * alone_s, _GAP_S))
        tokens = max(_LEAST, short, int(wanted_s / self._token_s))
        if decoding < _MANY and tokens > _TILE // 2:
            return min(_TILE * round(tokens / _TILE), batch_tokens)
        return min(_in_blocks(decoding, tokens), batch_tokens)

    def patience_s(self, prompt_tokens: int, batch_tokens: int) -> float:
        """Return how long it pays to wait for who comes with such prompts: a fiftieth of them.

        Who fills a step waits for nobody: others begin in the next one as well.
        """
        if prompt_tokens >= batch_tokens:
            return 0.0
        return min(_PATIENCE * prompt_tokens * (self._token_s or 0.0), _MOST_PATIENCE_S)

    def _alone(self, decoding: int) -> float | None:
        """Return what a step of these alone takes, or of the nearest number that is known."""
        if not self._alone_s:
            return None
        return self._alone_s[min(self._alone_s, key=lambda known: abs(known - decoding))]


def together(decoding: int, prompt_tokens: int) -> bool:
    """Say whether a CPU evaluates a piece sooner in one batch with those who decode than alone.

    A small one shares their last block of the matrix products; a large one goes by tiles of
    attention, which others' cells would make as dear as its own.
    """
    return decoding % _BLOCK != 0 and prompt_tokens <= 2 * _BLOCK + _SMALL_BLOCK


def _in_blocks(decoding: int, tokens: int) -> int:
    """Return about so many tokens of a piece, none of which costs as much as several.

    A small piece fills the last block of those who decode beside it, and no more: what is learned
    of that says nothing of another one.
    """
    if tokens < 2 * _BLOCK and together(decoding, tokens):
        full = -decoding % _BLOCK
        full += _BLOCK * (full < _LEAST)
        return full if full <= tokens + 1 else tokens - tokens % _SMALL_BLOCK
    block = _TILE if tokens >= _TILE else _BLOCK if tokens >= 2 * _BLOCK else _SMALL_BLOCK
    return tokens - tokens % block


def _mixed(before: float | None, newest: float) -> float:
    return newest if before is None else before + _NEWEST * (newest - before)
