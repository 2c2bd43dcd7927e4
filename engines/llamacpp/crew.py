"""How many threads evaluate a step: fewer while other processes want the cores.

Owns: the number, and when it changes.
Must not: read a clock, or know llama.cpp.

After each operation of a step the threads wait for the slowest, and they wait spinning: on a quiet
machine that is the fastest way, but where one of them has no core, all the others spin for it. Then
fewer threads are faster. How many have none is seen in what the process used: threads that spin or
work use a whole core each, so what is missing to that was somebody else's.
"""

# As long as the steps of a window take, one judgement is made.
_WINDOW_S = 0.5
# So much of a thread may be absent, and of each: our own event loop needs a core at times.
_ABSENT, _ABSENT_OF_EACH = 0.25, 0.005
# Who gives up one of two threads gives up half: as long as all of them stand still for less than
# most of such a share, they stay (docs/decisions/0024 has what it gave).
_WORTH = 0.8
# For so long no thread is tried again; twice as long each time that it was too early.
_PATIENCE_S, _MOST_PATIENCE_S = 1.0, 30.0


class Crew:
    """The threads of one worker, at most `most`. Mutable; belongs to one thread.

    Prompts are read with others, `most_batch` at most, and as large a part of these.
    """

    def __init__(self, most: int, most_batch: int | None = None) -> None:
        self.threads = most
        self._most = most
        self._most_batch = most if most_batch is None else most_batch
        self._stepped_s = 0.0
        self._had_s = 0.0
        self._used_s = 0.0
        self._calm_s = 0.0
        self._patience_s = _PATIENCE_S
        self._trying = False

    @property
    def batch_threads(self) -> int:
        """How many threads read prompts."""
        return max(1, round(self._most_batch * self.threads / self._most))

    def after(self, step_s: float, used_s: float, *, reads: bool = False) -> bool:
        """Note a step that took `step_s` and in which the process used `used_s` of all cores.

        `reads`: it had the threads that read prompts. Returns whether the number of threads is
        another one now.
        """
        self._stepped_s += step_s
        self._had_s += step_s * (self.batch_threads if reads else self.threads)
        self._used_s += used_s
        if self._stepped_s < _WINDOW_S:
            return False
        stepped_s, absent = self._stepped_s, self.threads * (1 - self._used_s / self._had_s)
        self._stepped_s = self._had_s = self._used_s = 0.0
        before = self.threads
        bearable = max(_ABSENT + _ABSENT_OF_EACH * before, _WORTH / before)
        if absent > bearable and before > 1:
            self._shrink(max(1, round(absent)))
        else:
            self._grow(stepped_s)
        return self.threads != before

    def _shrink(self, absent: int) -> None:
        if self._trying:
            self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
        self.threads = max(1, self.threads - absent)
        self._calm_s, self._trying = 0.0, False

    def _grow(self, stepped_s: float) -> None:
        if self._trying:
            self._patience_s, self._trying = _PATIENCE_S, False
        self._calm_s += stepped_s
        if self.threads < self._most and self._calm_s >= self._patience_s:
            self.threads += 1
            self._calm_s, self._trying = 0.0, True
