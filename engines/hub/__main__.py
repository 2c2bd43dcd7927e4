"""One pull as a process of its own: `python -m engines.hub --format gguf OWNER/REPO:Q4_K_M`.

The gateway runs it, so that no hub's library, no digest of gigabytes and no slow line is in the
process that relays. Standard output has one JSON object a line (`engines.hub.telling`). It ends
when its standard input does: its gateway has gone. What has come stays, and the next one goes on.

Owns: the order of these steps, and what is told of them.
Must not: ask anybody; agree to a licence.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence

from engines.families import load_catalogue
from engines.hub.licences import is_agreed
from engines.hub.preparing import Ground, Prepared, prepare
from engines.hub.problems import LicenceProblem, PullProblem
from engines.hub.pulling import carry_out, web_client
from engines.hub.settings import hub_settings
from engines.hub.telling import Told, written
from engines.platform import memory_bytes
from engines.weights.problems import WeightsProblem
from engines.weights.references import HubRepo, WebFile, read_reference
from engines.weights.resolve import this_store

# For what else runs on the machine.
_SPARE_SHARE = 0.2
_TELL_S, _STEPS = 0.25, 50


class Telling:
    """Adds up the files of an order, and tells of it now and then (`transfer.Teller`)."""

    def __init__(self, prepared: Prepared) -> None:
        order = prepared.order
        self._size_bytes = order.size_bytes or None
        # What is here already counts from the beginning.
        self._done_bytes = sum(s.source.size_bytes or 0 for s in order.steps if s.is_done)
        self._here_bytes = self._file_bytes = 0
        self._told_s, self._told_bytes = 0.0, 0
        self._tell()

    def begins(self, _name: str, size_bytes: int | None, here_bytes: int) -> None:
        """Count a file."""
        self._done_bytes += self._file_bytes
        self._file_bytes, self._here_bytes = size_bytes or 0, here_bytes
        if self._size_bytes is None:
            self._size_bytes = size_bytes
        self._tell()

    def here(self, here_bytes: int) -> None:
        """Note how much of the file is here."""
        self._here_bytes = here_bytes
        step = abs(here_bytes - self._told_bytes) * _STEPS >= self._file_bytes
        if step or time.monotonic() - self._told_s >= _TELL_S:
            self._tell()

    def says(self, text: str) -> None:
        """Pass a line on."""
        tell(Told(says=text))

    def _tell(self) -> None:
        self._told_s, self._told_bytes = time.monotonic(), self._here_bytes
        tell(Told(size_bytes=self._size_bytes, here_bytes=self._done_bytes + self._here_bytes))


def tell(told: Told) -> None:
    """Write one line at once."""
    sys.stdout.buffer.write(written(told))
    sys.stdout.buffer.flush()


def main(argv: Sequence[str]) -> int:
    """Pull, and return the exit code: 0 when it is here."""
    parser = argparse.ArgumentParser(prog="python -m engines.hub", allow_abbrev=False)
    parser.add_argument("--format", choices=("gguf", "safetensors"), required=True)
    parser.add_argument("--room-bytes", type=int)
    parser.add_argument("--exit-with-stdin", action="store_true")
    parser.add_argument("weights")
    asked = parser.parse_args(argv)
    if asked.exit_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        reference = read_reference(asked.weights)
        if not isinstance(reference, HubRepo | WebFile):
            raise PullProblem(f"{asked.weights!r} names nothing that can be fetched")
        room = round(memory_bytes() * (1 - _SPARE_SHARE))
        with web_client() as client:
            ground = Ground(
                hub_settings(os.environ),
                this_store(),
                load_catalogue(),
                min(room, asked.room_bytes or room),
                client,
            )
            _pull(ground, prepare(ground, reference, asked.format))
    except (PullProblem, WeightsProblem) as problem:
        tell(Told(problem=str(problem)))
        return 1
    tell(Told(done=True))
    return 0


def _pull(ground: Ground, prepared: Prepared) -> None:
    terms = prepared.terms
    if terms is not None and not is_agreed(ground.store, terms):
        at = f" at {terms.url}" if terms.url else ""
        raise LicenceProblem(
            f"{prepared.order.named} is under {terms.name}, which is not open source, and the "
            f"licence was not accepted on this machine: read it{at}, then run "
            f"`weighbridge pull {prepared.order.named}`"
        )
    carry_out(
        ground.settings,
        prepared.order,
        client=ground.client,
        teller=Telling(prepared),
        pause=time.sleep,
    )


def _end_with_stdin() -> None:
    while os.read(0, 1_024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
