"""Asking a server which models it serves.

Owns: what an address as people write it may mean, the one question, the words for each failure.
Must not: read what the list says; send a key anywhere but to the address given.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from engines.kinds import RemoteEngine
from engines.kinds.remote import REQUESTED
from engines.words import on_one_line
from gateway.setup.listing import NoList, read_list
from gateway.setup.sources import Server, Silent

_CONNECT_S = 3.0
_ANSWER_S = 10.0
_LIMIT_BYTES = 8 * 1024 * 1024
_MOST_MODELS = 1_000


class AddressProblem(ValueError):
    """What was given is no address of a server; the message says why."""


class _Elsewhere(Exception):
    """No list of models stands at this path; it may stand at another."""


class _Failed(Exception):
    """The server cannot be asked at any path; the message says why and how to mend it."""


def base_urls(given: str) -> tuple[str, ...]:
    """Return the base URLs that an address may mean, in the order in which to try them.

    Raises:
        AddressProblem: it is no http address, or carries a password or a query.
    """
    text = given.strip()
    base = (text if "://" in text else f"http://{text}").rstrip("/")
    for end in (*REQUESTED, "/models"):  # copied from a request rather than from a base URL
        base = base.removesuffix(end)
    try:
        RemoteEngine(kind="remote", url=base)
    except ValidationError as error:
        raise AddressProblem(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    if base.endswith("/v1"):
        return (base,)
    if not urlsplit(base).path:  # an engine's URL without a path means /v1 as well
        return (f"{base}/v1",)
    return (base, f"{base}/v1")


def ask(given: str, key_env: str | None, key: str | None) -> Server | Silent:
    """Return the server with its models, or why it could not be asked.

    `key` is the value of the variable `key_env`; it is sent to the address and nowhere else.

    Raises:
        AddressProblem: as for `base_urls`.
    """
    bases = base_urls(given)
    headers = {"accept-encoding": "identity"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    limits = httpx.Timeout(_ANSWER_S, connect=_CONNECT_S)
    reason = ""
    # No proxies and no redirects: both would carry the key to somebody else.
    with httpx.Client(timeout=limits, trust_env=False, headers=headers) as client:
        for base in bases:
            try:
                return replace(_asked(client, base, key_env), key_env=key_env)
            except _Elsewhere as problem:
                reason = reason or str(problem)
            except _Failed as problem:
                return Silent(bases[-1], str(problem), key_env)
    return Silent(bases[-1], reason, key_env)


def _asked(client: httpx.Client, base: str, key_env: str | None) -> Server:
    status, location, body = _fetch(client, f"{base}/models")
    if status in (401, 403):
        raise _Failed(
            f"it rejects the key in {key_env} (HTTP {status}); put the right one there"
            if key_env
            else f"it needs a key (HTTP {status}); put the key into an environment variable and "
            "name the variable with --key-env"
        )
    if status in (301, 302, 303, 307, 308) and location:
        raise _Failed(f"it redirects to {one_line(location)}; give that address")
    if status == 503:
        raise _Failed("it is not ready (HTTP 503); try again when it has loaded its model")
    try:
        if status != 200:
            raise NoList
        models, owner = read_list(body)
    except NoList:
        raise _Elsewhere(
            f"{urlsplit(base).path}/models answers with HTTP {status} and no list of models; is "
            "an OpenAI-compatible server there?"
        ) from None
    if not models:
        raise _Failed("it serves no model yet; load one there (Ollama: `ollama pull NAME`)")
    if len(models) > _MOST_MODELS:
        raise _Failed(f"it lists {len(models):,} models; {_MOST_MODELS:,} are read at most")
    return Server(base, models, owner=owner)


def _fetch(client: httpx.Client, url: str) -> tuple[int, str, bytes]:
    """Return status, Location and body.

    Raises:
        _Failed: nobody answers, or not within time and bounds.
    """
    try:
        with client.stream("GET", url) as answer:
            body = b"".join(_bounded(answer))
            return answer.status_code, answer.headers.get("location", ""), body
    except httpx.ConnectTimeout:
        raise _Failed(
            f"no connection within {_CONNECT_S:g} s; check the address and the network"
        ) from None
    except httpx.TimeoutException:
        raise _Failed(f"no answer within {_ANSWER_S:g} s; try again when it is less busy") from None
    except httpx.ConnectError as problem:
        raise _Failed(
            f"nothing listens there ({one_line(str(problem))}); start the server, or correct the "
            "address"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise _Failed(
            f"it does not speak proper HTTP ({one_line(str(problem))}); is the address right?"
        ) from None


def _bounded(answer: httpx.Response) -> Iterator[bytes]:
    """Yield the body's pieces within the bounds of size and time."""
    size, ends = 0, time.monotonic() + _ANSWER_S
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > _LIMIT_BYTES:
            raise _Failed(f"its list of models is longer than {_LIMIT_BYTES:,} bytes")
        if time.monotonic() > ends:  # each piece may be in time, and the whole never end
            raise _Failed(f"its list of models takes longer than {_ANSWER_S:g} s")
        yield piece


def one_line(text: str) -> str:
    """Return a stranger's words fit for one line of a terminal or a comment."""
    return " ".join(on_one_line(text, 300).split())
