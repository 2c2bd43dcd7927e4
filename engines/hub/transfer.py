"""One file over HTTP: gone on with where it stopped, and checked before anybody may use it.

Owns: ranges, tries, the digest, the lock against a second pull of the same file.
Must not: know hubs or caches; print.

What has come stays on the disk whatever happens (Ctrl-C, a cut line, a full disk, `kill -9`), and
the next pull goes on behind it. Only bytes that proved wrong are thrown away.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx2

from engines.hub.checks import Check
from engines.hub.problems import PullProblem

_TRIES = 5  # in a row without a new byte
_LONGEST_PAUSE_S = 60.0
_PIECE = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-")


class Teller(Protocol):
    """Whoever is told how it goes."""

    def begins(self, name: str, size_bytes: int | None, here_bytes: int) -> None:
        """A file begins, of which some bytes are here already."""

    def here(self, here_bytes: int) -> None:
        """So many bytes of the file are here now."""

    def says(self, text: str) -> None:
        """Something is worth a line."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file somewhere. `size_bytes` None: nobody has said; `headers` may hold a token."""

    name: str
    url: str
    size_bytes: int | None
    check: Check
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Refused(Exception):
    """The server refuses the file; the status and the hub's own code for why."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"HTTP {status} {code}")
        self.status = status
        self.code = code


class _Broken(Exception):
    """Trying again may help; perhaps after so many seconds."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def fetch(
    source: Source,
    partial: Path,
    target: Path,
    *,
    client: httpx2.Client,
    teller: Teller,
    pause: Callable[[float], None],
) -> None:
    """Fetch a file into `partial`; move it to `target` when all of it is there and right.

    Both lie on one disk. `pause` is called between tries, with seconds.

    Raises:
        PullProblem: it could not be had whole, the disk is full, or its bytes are wrong.
        Refused: the server does not give it.
    """
    try:
        with partial.open("ab+", buffering=0) as file:
            _lock(file, source.name, teller)
            if target.exists():  # another pull has fetched it meanwhile
                partial.unlink(missing_ok=True)
                return
            begun_with = os.fstat(file.fileno()).st_size
            landing = _Landing(file, source, teller)
            _fetch_all(landing, client, pause)
            if not landing.is_right() and begun_with:
                teller.says(f"{source.name}: the part fetched earlier is wrong; fetching it again")
                landing.restart()
                _fetch_all(landing, client, pause)
            if not landing.is_right():
                found = landing.digest
                landing.restart()
                raise PullProblem(
                    f"{source.name} is not what it should be: its digest is {found}, expected is "
                    f"{source.check.wanted}. Nothing of it is kept; if pulling again does not "
                    "help, its source is damaged"
                )
            os.fsync(file.fileno())
            partial.replace(target)
    except OSError as error:
        if error.errno in _FULL:
            raise PullProblem(
                f"the disk is full while {source.name} is written; what has come is kept: make "
                "room and pull again, or throw it away with `weighbridge rm`"
            ) from None
        raise PullProblem(f"{source.name} cannot be written: {error.strerror or error}") from None


def _lock(file: BinaryIO, name: str, teller: Teller) -> None:
    """Wait until no other pull writes this file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        teller.says(f"{name}: another pull is fetching it; waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)


class _Landing:
    """The file as it lands: bytes and digest go together."""

    def __init__(self, file: BinaryIO, source: Source, teller: Teller) -> None:
        self.source = source
        self.teller = teller
        self._file = file
        self.size_bytes = source.size_bytes
        self.here_bytes = 0
        self._digest = source.check.begin(source.size_bytes or 0)
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        while data := file.read(min(_PIECE, size - self.here_bytes)):
            self._digest.update(data)
            self.here_bytes += len(data)
        if self.size_bytes is not None and self.here_bytes > self.size_bytes:
            self.restart()
        teller.begins(source.name, self.size_bytes, self.here_bytes)

    def is_whole(self) -> bool:
        return self.size_bytes is not None and self.here_bytes >= self.size_bytes

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def is_right(self) -> bool:
        return self.digest == self.source.check.wanted

    def restart(self) -> None:
        """Throw away what is there."""
        self._file.truncate(0)
        self._file.seek(0)
        self.here_bytes = 0
        self._digest = self.source.check.begin(self.source.size_bytes or 0)
        self.teller.here(0)

    def take(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._digest.update(view[:written])
            self.here_bytes += written
            view = view[written:]
        self.teller.here(self.here_bytes)


def _fetch_all(landing: _Landing, client: httpx2.Client, pause: Callable[[float], None]) -> None:
    name, tries = landing.source.name, 0
    while not landing.is_whole():
        before = landing.here_bytes
        try:
            _fetch_rest(landing, client)
            if landing.is_whole() or landing.size_bytes is None:
                return
            raise _Broken("it ended too early")
        except (_Broken, httpx2.TransportError) as error:
            tries = 1 if landing.here_bytes > before else tries + 1
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if tries >= _TRIES:
                raise PullProblem(
                    f"{name} keeps breaking off ({reason}); what has been fetched is kept: pull "
                    "again to resume"
                ) from None
            asked_s = error.after_s if isinstance(error, _Broken) else None
            landing.teller.says(f"{name}: {reason}; resuming")
            pause(min(2.0**tries / 2 if asked_s is None else asked_s, _LONGEST_PAUSE_S))


def _fetch_rest(landing: _Landing, client: httpx2.Client) -> None:
    headers = dict(landing.source.headers) | {"accept-encoding": "identity"}
    if landing.here_bytes:
        headers["range"] = f"bytes={landing.here_bytes}-"
    with client.stream("GET", landing.source.url, headers=headers) as answer:
        if not _begin(landing, answer):
            return
        for data in answer.iter_raw():  # in larger pieces the last one would be lost with the line
            landing.take(data)


def _begin(landing: _Landing, answer: httpx2.Response) -> bool:
    """Decide by the head of an answer where its bytes belong; say whether any are needed.

    Raises:
        _Broken: nowhere, but another try may help.
        Refused: nowhere.
    """
    status, headers = answer.status_code, answer.headers
    if status in _AGAIN:
        after = headers.get("retry-after", "")
        raise _Broken(f"HTTP {status}", float(after) if after.isdigit() else None)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and landing.here_bytes:
        if landing.size_bytes is None and _total(headers) == landing.here_bytes:
            landing.size_bytes = landing.here_bytes
            return False
        landing.restart()
        raise _Broken("it is shorter than what was here")
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise Refused(status, headers.get("x-error-code", ""))
    if headers.get("content-encoding", "identity") != "identity":
        raise PullProblem(
            f"{landing.source.name} is sent compressed, though that was not asked for"
        )
    if status == HTTPStatus.PARTIAL_CONTENT:
        found = _RANGE.match(headers.get("content-range", ""))
        if found is None or int(found[1]) != landing.here_bytes:
            landing.restart()
            raise _Broken("another part than was asked for is sent")
    elif landing.here_bytes:
        landing.restart()  # the server knows no ranges
    if landing.size_bytes is None and (total := _total(headers)) is not None:
        landing.size_bytes = total
        landing.teller.begins(landing.source.name, total, landing.here_bytes)
    return True


def _total(headers: httpx2.Headers) -> int | None:
    """Return the whole file's size, None where the answer does not tell it."""
    _, slash, total = headers.get("content-range", "").rpartition("/")
    text = total if slash else headers.get("content-length", "")
    return int(text) if text.isdigit() else None
