"""The headers of GGUF files that are not here yet, read over HTTP a piece at a time.

Owns: which bytes are asked for; what a worker of ours would need for such a file.
Must not: fetch tensors, or keep anything.
"""

import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, cast

import httpx2

from engines.hub.choice import need_bytes
from engines.hub.listing import Listing
from engines.hub.pulling import source_of
from engines.hub.settings import HubSettings
from engines.kinds import LlamacppEngine, ModelOrder
from engines.weights import Description, WeightsProblem, describe_open
from engines.weights.variants import Variant

# The first piece has the header of a part, the next ones a vocabulary.
_FIRST = 256 * 1024
_NEXT = 4 * 1024 * 1024
_MOST = 64 * 1024 * 1024


class FarNeeds:
    """What the variants of a repository take in memory, each asked for once.

    Where a header cannot be read from afar the size of the files has to do.
    """

    def __init__(self, settings: HubSettings, listing: Listing, client: httpx2.Client) -> None:
        self._settings = settings
        self._listing = listing
        self._client = client
        self._known: dict[str, int] = {}

    def __call__(self, variant: Variant) -> int:
        """Return the bytes that a worker takes whose cells are full."""
        if variant.first not in self._known:
            self._known[variant.first] = self._need(variant)
        return self._known[variant.first]

    def _need(self, variant: Variant) -> int:
        with contextlib.suppress(WeightsProblem, OSError, httpx2.HTTPError):
            parts = [self._describe(file.path, file.size_bytes) for file in variant.files]
            order = ModelOrder(self._listing.repo, "", Path())
            engine = LlamacppEngine(kind="llamacpp")
            return engine.need_of(order, parts, Path(variant.first).name).total_bytes
        return need_bytes(variant.size_bytes)

    def _describe(self, path: str, size_bytes: int) -> Description:
        url, headers = source_of(self._settings, self._listing, path)
        far = _FarFile(self._client, url, headers, size_bytes)
        return describe_open(cast(BinaryIO, far), Path(path).name, size_bytes)


class _FarFile:
    """As much of a binary file as reading a header takes."""

    def __init__(
        self, client: httpx2.Client, url: str, headers: Mapping[str, str], size_bytes: int
    ) -> None:
        self._client = client
        self._url = url
        self._headers = headers
        self._size_bytes = size_bytes
        self._here = bytearray()
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._at if whence == 1 else 0)
        return self._at

    def read(self, size: int) -> bytes:
        end = min(self._at + size, self._size_bytes)
        while len(self._here) < end:
            self._more(end)
        data = bytes(self._here[self._at : end])
        self._at = end
        return data

    def _more(self, end: int) -> None:
        """Fetch the next piece, up to `end` at least.

        Raises:
            OSError: the server gives no pieces, or the header is longer than any.
        """
        start = len(self._here)
        last = min(max(end, start + (_NEXT if start else _FIRST)), self._size_bytes) - 1
        if last > _MOST:
            raise OSError("the header does not end")
        asked = dict(self._headers) | {
            "range": f"bytes={start}-{last}",
            "accept-encoding": "identity",
        }
        with self._client.stream("GET", self._url, headers=asked) as answer:
            if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise OSError("no pieces are given")
            self._here += answer.read()
        if len(self._here) <= start:
            raise OSError("nothing comes")
