"""Names for models and engines: friendly, unique, and never a claim.

Owns: how a served id becomes a name that people type, and an address the name of an engine.
Must not: judge which model an id means.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Container, Iterator, Sequence
from ipaddress import ip_address
from itertools import count
from urllib.parse import urlsplit

from engines.families.names import take_apart, without_extension, without_quantisation
from gateway.config.names import is_reserved

_LONGEST = 60
_UNFIT = re.compile(r"[^a-z0-9.]+")
# What servers call themselves in `owned_by`, for those on this machine: their host says nothing.
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama-server",
    "library": "ollama",
    "organization_owner": "lm-studio",
}


def model_name(
    served: str,
    matched: str | None,
    taken: Container[str],
    misread: Callable[[str], bool],
    *,
    local: bool = False,
) -> str:
    """Return a name for a served id: the catalogue's where it matched, else a tidy form of the id.

    A `local` file says that it is one where its name is another model's. Passed over are names that
    are `taken`, and those of which `misread` says that the catalogue would read another model in
    them.
    """
    for name in _names_for(served, matched, local=local):
        if name and name not in taken and not is_reserved(name) and not misread(name):
            return name
    raise AssertionError("the numbers have come to an end")


def engine_name(urls: Sequence[str], owner: str, taken: Container[str]) -> str:
    """Return a name for the engine at these base URLs, by their hosts."""
    hosts = [_host_name(url, owner) for url in urls]
    name = hosts[0]
    if len(set(hosts)) > 1:
        shared = os.path.commonprefix(hosts)  # noqa: RUF071 - by characters: gpu1, gpu2 are gpu
        shared = shared.rstrip("0123456789-.")
        name = shared if len(shared) > 1 else name
    return next(one for one in _numbered(name) if one not in taken)


def _names_for(served: str, matched: str | None, *, local: bool) -> Iterator[str]:
    written = take_apart(served)
    tag = "" if written.tag == "latest" else written.tag
    stem = without_extension(written.stem)
    whole = _tidy(f"{stem}-{tag}")
    if matched is not None:
        yield matched
    else:
        yield _tidy(f"{without_quantisation(written.stem)}-{without_quantisation(tag)}")
    yield whole
    if written.owner:
        yield _tidy(f"{written.owner}-{stem}-{tag}")
    if local and whole:
        yield f"{whole}-local"
    yield from _numbered(matched or whole or "model")


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def _tidy(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _UNFIT.sub("-", ascii_only.lower()).strip("-.")[:_LONGEST].strip("-.")


def _host_name(url: str, owner: str) -> str:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return _OWNERS.get(owner, "local")
    try:
        address = ip_address(host)
    except ValueError:
        return _tidy(host.partition(".")[0]) or "server"
    if address.is_loopback:
        return _OWNERS.get(owner, "local")
    return f"host-{_tidy(host).replace('.', '-')}"
