"""How much may be asked of a worker at once: what waits holds its prompt in memory.

Owns: counting what runs and waits, and the refusals.
Must not: know what is asked; decide who is first (`batcher`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from engines.protocol.errors import ApiError, InvalidRequest

MOST_WAITING = 4_096
_RETRY_AFTER_S = 5


class Overloaded(ApiError):
    """More wait here already than can be kept: 503."""

    status = 503
    default_code = "engine_overloaded"
    fault = "engine"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.retry_after_s = _RETRY_AFTER_S


class Crowd:
    """Answers that are written and texts that are read, or wait for it; at most so many."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def with_these(self, count: int, param: str | None = None) -> Iterator[None]:
        """Count so many more until the block is left.

        Raises:
            InvalidRequest: they alone, told of in `param`, are more than may ever be here.
            Overloaded: they are too many beside those that are here.
        """
        if count > self._most:
            raise InvalidRequest(
                f"{count} at once are more than this engine accepts, which is {self._most} "
                "(--max-waiting); send them in several requests.",
                param=param,
            )
        if self._inside + count > self._most:
            raise Overloaded(
                f"{self._inside} answers and texts run or wait, of at most {self._most} "
                "(--max-waiting); try again later."
            )
        self._inside += count
        try:
            yield
        finally:
            self._inside -= count
