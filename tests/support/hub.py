"""A model hub on loopback that speaks the Hugging Face HTTP protocol, and can be made to fail.

Two servers: the hub itself, and the one to which it sends callers for large files, under another
name, as the real one does.
"""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "1" * 40
HALT_S = 60
_HEADER = re.compile(r"bytes=\d+-\d")
_SMALL = 512  # larger files are in LFS, as weights are


@dataclass
class Repo:
    """A repository: `gate` is the token that opens it, `card` what its card says."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=dict)
    gate: str | None = None
    private: bool = False
    commit: str = COMMIT
    # What the hub says of each file in place of its digest.
    digests_said: str | None = None
    # What the hub says of a file against what it gives.
    damaged: set[str] = field(default_factory=set)

    def digest(self, path: str) -> str:
        return hashlib.sha256(self.files[path]).hexdigest()

    def is_large(self, path: str) -> bool:
        return len(self.files[path]) > _SMALL


@dataclass
class Fault:
    """What goes wrong with one answer of the server for large files."""

    cut_after: int | None = None
    status: int | None = None
    retry_after: str | None = None
    ignores_range: bool = False
    # Between both halves of the file nothing comes until this is set.
    halts: threading.Event | None = None
    shifts_range: bool = False


@dataclass
class Asked:
    """A request that came."""

    server: str
    method: str
    path: str
    token: str | None
    range: str | None


@dataclass
class Hub:
    """The running hub. `faults` are used up one by one, then all goes well."""

    repos: dict[str, Repo]
    url: str = ""
    store_url: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    refused_token: str | None = None
    down: bool = False
    page: bytes | None = None  # what stands in the way of every answer

    @property
    def fetched(self) -> list[str | None]:
        """The ranges of the requests for large files; those for a header alone left out."""
        return [
            one.range
            for one in self.asked
            if one.server == "store" and one.method == "GET" and not _HEADER.match(one.range or "")
        ]

    def file_url(self, repo: str, path: str) -> str:
        """Return a URL at which a file lies without any hub around it."""
        return f"{self.store_url}/{repo}/{path}"


@contextmanager
def running_hub(repos: Mapping[str, Repo]) -> Iterator[Hub]:
    """Run a hub until the block ends."""
    hub = Hub(dict(repos))
    with _server(_HubAnswer, hub) as url, _server(_StoreAnswer, hub) as store_url:
        hub.url = url
        hub.store_url = store_url.replace("127.0.0.1", "localhost")  # another origin
        yield hub


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave, or of lines that were cut on purpose."""


@contextmanager
def _server(handler: type["_Answer"], hub: Hub) -> Iterator[str]:
    bound = type(handler.__name__, (handler,), {"hub": hub})
    with _Quiet(("127.0.0.1", 0), bound) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Answer(BaseHTTPRequestHandler):
    hub: Hub
    kind = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._note()
        self.answer()

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _note(self) -> None:
        token = self.headers.get("authorization")
        self.hub.asked.append(
            Asked(self.kind, self.command, self.path, token, self.headers.get("range"))
        )


class _HubAnswer(_Answer):
    kind = "hub"

    def answer(self) -> None:
        if self.hub.down:
            self.send(503)
            return
        if self.hub.page is not None:
            self.send(200, self.hub.page, content_type="text/html")
            return
        if found := re.fullmatch(r"/api/models/(\w[^/]*/[^/]+)/revision/([^/]+)", self._path()):
            self._list(found[1], found[2])
        elif found := re.fullmatch(r"/(\w[^/]*/[^/]+)/resolve/([^/]+)/(.+)", self._path()):
            self._resolve(found[1], found[2], found[3])
        else:
            self.send(404)

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _repo(self, name: str, revision: str, *, reading: bool) -> Repo | None:
        """Return a repository that the caller may have, or answer why not."""
        repo, token = self.hub.repos.get(name), self._token()
        if token is not None and token == self.hub.refused_token:
            self.send(401, X_Error_Message="Invalid credentials in Authorization header")
        elif repo is None or (repo.private and token is None):
            self.send(401 if token is None else 404, X_Error_Code="RepoNotFound")
        elif reading and repo.gate is not None and repo.gate != token:
            self.send(401 if token is None else 403, X_Error_Code="GatedRepo")
        elif revision not in ("main", repo.commit):
            self.send(404, X_Error_Code="RevisionNotFound")
        else:
            return repo
        return None

    def _token(self) -> str | None:
        return (self.headers.get("authorization") or "").removeprefix("Bearer ") or None

    def _list(self, name: str, revision: str) -> None:
        repo = self._repo(name, revision, reading=False)
        if repo is None:
            return
        body = {
            "_id": "0",
            "id": name,
            "modelId": name,
            "sha": repo.commit,
            "private": repo.private,
            "gated": "manual" if repo.gate else False,
            "downloads": 0,
            "likes": 0,
            "cardData": repo.card,
            "tags": [f"license:{repo.card['license']}"] if "license" in repo.card else [],
            "siblings": [self._sibling(repo, path) for path in repo.files],
        }
        self.send(200, json.dumps(body).encode(), content_type="application/json")

    def _sibling(self, repo: Repo, path: str) -> dict[str, Any]:
        data = repo.files[path]
        git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        row: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git}
        if repo.is_large(path):
            row["lfs"] = {"sha256": repo.digest(path), "size": len(data), "pointerSize": 130}
        if repo.digests_said is not None:
            row = {"rfilename": path, "size": len(data), "blobId": repo.digests_said}
        return row

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name, revision, reading=True)
        if repo is None:
            return
        if path not in repo.files:
            self.send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=repo.commit)
        elif repo.is_large(path):
            self.send(
                302,
                Location=self.hub.file_url(name, path),
                X_Repo_Commit=repo.commit,
                X_Linked_Etag=f'"{repo.digest(path)}"',
                X_Linked_Size=str(len(repo.files[path])),
                X_Xet_Hash="2" * 64,  # the real hub offers another way too
            )
        else:
            self.send(200, repo.files[path], X_Repo_Commit=repo.commit, ETag='"small"')


class _StoreAnswer(_Answer):
    kind = "store"

    def answer(self) -> None:
        owner, _, rest = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        name, _, path = rest.partition("/")
        repo = self.hub.repos.get(f"{owner}/{name}")
        if repo is None or path not in repo.files:
            self.send(404)
            return
        data = repo.files[path]
        if path in repo.damaged:
            data = bytes(255 - byte for byte in data[:1]) + data[1:]
        getting = self.command == "GET"
        self._give(data, self.hub.faults.pop(0) if getting and self.hub.faults else Fault())

    def _give(self, data: bytes, fault: Fault) -> None:
        if fault.status is not None:
            self.send(fault.status, retry_after=fault.retry_after or "")
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        wanted = found if found and not fault.ignores_range else None
        start = int(wanted[1]) if wanted else 0
        if start and start >= len(data):
            self.send(416, content_range=f"bytes */{len(data)}")
            return
        shown = start + 1 if fault.shifts_range else start
        end = int(wanted[2]) + 1 if wanted and wanted[2] else len(data)
        part = data[start:end]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("content-range", f"bytes {shown}-{end - 1}/{len(data)}")
        self.send_header("content-length", str(len(part)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.halts is not None:
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            fault.halts.wait(HALT_S)
            part = part[len(part) // 2 :]
        self.wfile.write(part[: fault.cut_after])
        if fault.cut_after is not None:
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
