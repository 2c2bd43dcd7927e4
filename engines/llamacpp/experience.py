"""What the steps of one worker have cost, and what follows for the next ones.

Owns: telling `pace`, `crew` and `filling` of each step, and the threads that llama.cpp is given.
Must not: evaluate, or decide anything itself.
"""

from collections.abc import Sequence

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Runtime
from engines.llamacpp.counts import Counts
from engines.llamacpp.crew import Crew
from engines.llamacpp.filling import Filling
from engines.llamacpp.pace import Pace


class Experience:
    """How long pieces, how many threads, how many rows. Mutable; belongs to one thread."""

    def __init__(self, runtime: Runtime, counts: Counts) -> None:
        self.pace = Pace()
        self._runtime = runtime
        self._counts = counts
        self._crew = Crew(runtime.limits.threads, runtime.limits.batch_threads)
        self._filling = Filling()

    def added(self, pieces: Sequence[Piece], free_cells: int) -> int:
        """Return how many rows that stand for nobody go with a step in which all decode."""
        rows = len(pieces)
        if not self._runtime.fills or any(len(piece.tokens) > 1 for piece in pieces):
            return 0
        added = self._filling.added(rows)
        return added if rows + added <= min(self._runtime.limits.batch_tokens, free_cells) else 0

    def after(self, decoding: int, tokens: int, added: int, step_s: float, used_s: float) -> None:
        """Learn from a step in which so many of the tokens were decoding sequences'.

        It took `step_s`, and the process used `used_s` of all cores.
        """
        self.pace.after(decoding, tokens - decoding, step_s)
        if decoding == tokens:
            self._filling.after(tokens, added, step_s)
        self._yield(step_s, used_s, reads=decoding < tokens)

    def after_texts(self, step_s: float, used_s: float) -> None:
        """Learn from a batch of texts, which are read as prompts are."""
        self._yield(step_s, used_s, reads=True)

    def _yield(self, step_s: float, used_s: float, *, reads: bool) -> None:
        if not self._runtime.limits.yields or self._runtime.on_gpu:
            return  # who waits for a GPU uses no core, and nobody else need have it
        if self._crew.after(step_s, used_s, reads=reads):
            self._runtime.use_threads(self._crew.threads, self._crew.batch_threads)
            self._counts.threads = self._crew.threads
