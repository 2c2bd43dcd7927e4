"""The forms that a `weights:` value may have.

Owns: the grammar: `demo:NAME`, a path, `OWNER/REPO[@REVISION][:PICK]` on a model hub, an https URL
with a checksum.
Must not: look at any file; a path that looks like a hub's name is told by whoever looks.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from engines.weights.problems import WeightsProblem

MAIN = "main"
_DEMO = "demo:"
_WORD = r"[A-Za-z0-9_](?:[\w.-]*\w)?"
_HUB = re.compile(
    rf"(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>[\w./-]+))?(?::(?P<pick>[\w][\w./+ -]*))?",
    re.ASCII,
)
_HUB_PREFIXES = ("hf://", "hf.co/", "huggingface.co/")
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Demo:
    """A toy that comes with the package."""

    name: str


@dataclass(frozen=True, slots=True)
class Local:
    """A file or folder of this machine, as it was written."""

    path: str


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A repository on a model hub; `pick` is a quantisation or a file in it, None what there is."""

    repo: str
    revision: str = MAIN
    pick: str | None = None

    def __str__(self) -> str:
        """Return it as `weights:` has it."""
        revision = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{self.repo}{revision}{'' if self.pick is None else f':{self.pick}'}"


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file behind an https URL; `sha256` is what its bytes come to."""

    url: str
    sha256: str
    name: str

    def __str__(self) -> str:
        """Return it as `weights:` has it."""
        return f"{self.url}#sha256={self.sha256}"


Reference: TypeAlias = Demo | Local | HubRepo | WebFile


def read_reference(weights: str) -> Reference:
    """Return what a value means by its form alone.

    Raises:
        WeightsProblem: a URL that cannot be used: no https, no checksum, a password in it.
    """
    if weights.startswith(_DEMO):
        return Demo(weights.removeprefix(_DEMO))
    if re.match(r"https?://", weights, re.IGNORECASE):
        return _behind_url(weights)
    text = weights
    for prefix in _HUB_PREFIXES:
        text = text.removeprefix(prefix)
    found = _HUB.fullmatch(text)
    if found is None or found["repo"].lower().endswith((".gguf", ".safetensors")):
        return Local(weights)
    return HubRepo(found["repo"], found["revision"] or MAIN, found["pick"])


def _behind_url(weights: str) -> HubRepo | WebFile:
    try:
        parts = urlsplit(weights)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise WeightsProblem(f"{weights!r} is not a URL; write https://HOST/x.gguf") from None
    if parts.username or parts.password:
        raise WeightsProblem("a URL of weights must not contain a password")
    if host in _HUB_HOSTS and port is None:
        return _on_hub(weights, parts.path)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme.lower() != "https" or not host:
        raise WeightsProblem(f"{shown!r} is fetched over https only")
    name = unquote(PurePosixPath(parts.path).name)
    if not name.lower().endswith(".gguf") or "/" in name or not name.isprintable():
        raise WeightsProblem(f"{shown!r} names no GGUF file; a URL ends with the name of one")
    sha256 = parts.fragment.removeprefix("sha256=").lower()
    if _SHA256.fullmatch(sha256) is None:
        raise WeightsProblem(
            f"{shown!r} needs the file's checksum: write {shown}#sha256=DIGEST with the 64 "
            "hexadecimal digits of `sha256sum`"
        )
    return WebFile(parts._replace(fragment="").geturl(), sha256, name)


def _on_hub(weights: str, path: str) -> HubRepo:
    """Read a page or a file of the hub, as people copy it from a browser."""
    owner, _, rest = unquote(path).strip("/").partition("/")
    repo, _, rest = rest.partition("/")
    kind, _, rest = rest.partition("/")
    revision, _, file = rest.partition("/")
    pick = file or None
    if kind not in ("", "resolve", "blob", "tree") or _HUB.fullmatch(f"{owner}/{repo}") is None:
        raise WeightsProblem(f"{weights!r} is not a model's page; write OWNER/REPO:QUANTISATION")
    return HubRepo(f"{owner}/{repo}", revision or MAIN, None if kind == "tree" else pick)
