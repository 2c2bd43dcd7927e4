"""`kind: remote`: any OpenAI-compatible server that somebody else runs.

Owns: its section of the file, and the replicas that its URLs are.
Must not: connect.
"""

import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from engines.door import LOOPBACK_NAMES
from engines.kinds.address import ReplicaAddress, Trust
from engines.kinds.deadlines import Deadlines
from engines.kinds.lookup import By, Found, Lookup
from engines.kinds.plan import ModelOrder, ReplicaPlan, Room
from engines.kinds.section import OneOrMore, Seconds, Section, several
from engines.memory import MemoryNeed

# Ends of an address that was copied from a request.
REQUESTED = ("/chat/completions", "/completions", "/embeddings")


class RemoteEngine(Section):
    """An entry of `engines:` with `kind: remote`: any OpenAI-compatible server."""

    managed: ClassVar[bool] = False
    reads_images: ClassVar[bool] = True  # where the model does
    gives_tools: ClassVar[bool] = False  # to those models alone that know them

    kind: Literal["remote"] = Field(description="A server that Weighbridge does not run.")
    url: OneOrMore = Field(
        description="Base URL (`http://gpu1:8000/v1`); several are replicas of each other."
    )
    api_key: SecretStr | None = Field(
        None, description="Sent as a bearer token; write `${NAME}` to take it from the environment."
    )
    takes_priority: bool = Field(
        False,
        description="Whether the `priority` of requests is forwarded: vLLM accepts it with "
        "`--scheduling-policy priority` and rejects it without.",
    )
    connect_timeout_s: Seconds = Field(5, description="Seconds to connect.")
    first_byte_timeout_s: Seconds = Field(
        600,
        description="Seconds until an answer begins, including queueing and prefill in the engine.",
    )
    idle_timeout_s: Seconds = Field(
        120, description="Seconds between two events of a stream; comments do not count as events."
    )
    total_timeout_s: Seconds = Field(
        7_200, description="Seconds from a request's arrival to the end of its answer."
    )
    health_interval_s: Seconds = Field(5, description="Seconds between two health checks.")
    health_path: str | None = Field(
        None,
        pattern="^/",
        description="Path of the health check (`/health`); when absent `models` below the URL, "
        "which also shows whether it serves the model.",
    )
    metrics_path: str | None = Field(
        None, pattern="^/", description="Path of its metrics; when absent `/metrics`."
    )
    ca: str | None = Field(
        None,
        description="PEM file of the CA certificates for an `https` server (relative to this "
        "file); when absent the system's.",
    )
    verify: bool = Field(
        True, description="Whether its certificate is checked; `false` for this machine only."
    )
    discover: By | None = Field(
        None,
        description="`a`: every address of the URL's host is a replica (a headless Kubernetes "
        "service); `srv`: the host is a name with SRV records, which provide the ports. Resolved "
        "again when the records expire.",
    )
    nameserver: str | None = Field(
        None, description="`IP:PORT` of the nameserver for `discover`; when absent the system's."
    )

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, given: OneOrMore) -> OneOrMore:
        addresses = [_place(address_of(url, None)) for url in several(given)]
        if len(set(addresses)) < len(addresses):
            raise ValueError("the same server is listed twice; each replica needs a URL of its own")
        return given

    @field_validator("api_key")
    @classmethod
    def _key_can_be_sent(cls, given: SecretStr | None) -> SecretStr | None:
        """Read an empty key as none: `${NAME:-}` is a key that may be left out."""
        key = given.get_secret_value() if given is not None else ""
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("a key is printable ASCII without spaces; is there a line end in it?")
        return given if key else None

    @field_validator("nameserver")
    @classmethod
    def _nameserver_is_one(cls, given: str | None) -> str | None:
        if given is not None:
            _nameserver(given)
        return given

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "RemoteEngine":
        addresses = [address_of(url, None) for url in several(self.url)]
        if not self.verify and any(one.host not in LOOPBACK_NAMES for one in addresses):
            raise ValueError(
                "'verify: false' would send the key to anyone who answers; for other machines "
                "give their CA certificate with 'ca'"
            )
        if self.discover is None:
            if self.nameserver is not None:
                raise ValueError("'nameserver' has no effect without 'discover'; remove it")
        elif any(_is_ip(one.host) for one in addresses):
            raise ValueError("'discover' needs a name in the URL, not an IP address")
        return self

    def lookups(self) -> tuple[Lookup, ...]:
        """Return the names that its servers are found by; none where the URLs are the servers."""
        if self.discover is None:
            return ()
        asked = None if self.nameserver is None else _nameserver(self.nameserver)
        addresses = (address_of(url, None) for url in several(self.url))
        return tuple(Lookup(self.discover, one.host, one.port, asked) for one in addresses)

    def missing_extra(self) -> str | None:
        """Return None: nothing has to be installed to reach a server."""
        return None

    def context_for(self, trained_tokens: int | None) -> int | None:
        """Return what the model was trained for: a server that gives less is told in the file."""
        return trained_tokens

    def plan(self, order: ModelOrder, room: Room) -> tuple[ReplicaPlan, ...]:
        """Return one replica for each URL, or for each server found, named by host and port.

        An engine whose servers have not been found has one replica, which cannot serve.
        """
        key = None if self.api_key is None else self.api_key.get_secret_value()
        trust = Trust(None if self.ca is None else order.base / self.ca, self.verify)
        problem = None if trust.authorities is None else _wrong_authorities(trust.authorities)
        given = [replace(address_of(url, key), trust=trust) for url in several(self.url)]
        if self.discover is None:
            return tuple(self._replica(order, address, problem) for address in given)
        found = [room.found.get(lookup, Found()) for lookup in self.lookups()]
        addresses = [
            replace(one, host=place.host, port=place.port, trust=replace(trust, name=place.name))
            for one, places in zip(given, found, strict=True)
            for place in places.places
        ]
        if addresses:
            return tuple(self._replica(order, one, problem) for one in dict.fromkeys(addresses))
        why = "; ".join(filter(None, (one.reason for one in found))) or "DNS has not answered yet"
        return (self._replica(order, given[0], problem or why),)

    def need(self, order: ModelOrder) -> MemoryNeed:  # noqa: ARG002 - one signature for all kinds
        """Return that nothing of this machine is needed."""
        return MemoryNeed()

    def _replica(
        self, order: ModelOrder, address: ReplicaAddress, problem: str | None
    ) -> ReplicaPlan:
        root = address.base_path.removesuffix("/v1")
        return ReplicaPlan(
            model=order.name,
            engine=order.engine,
            replica=f"{address.host}:{address.port}{root}",
            address=address,
            upstream_model=order.upstream_model or order.name,
            health_path=self.health_path or f"{address.base_path}/models",
            health_interval_s=self.health_interval_s,
            metrics_path=self.metrics_path or f"{root}/metrics",
            tokenize_path=f"{root}/tokenize",
            uses_path=f"{root}/uses/",
            takes_priority=self.takes_priority,
            deadlines=Deadlines(
                self.connect_timeout_s,
                self.first_byte_timeout_s,
                self.idle_timeout_s,
                self.total_timeout_s,
            ),
            problem=problem,
        )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _nameserver(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`.

    Raises:
        ValueError: it is none.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (_is_ip(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError(f"{text!r} is not a nameserver; write IP:PORT, such as 10.0.0.2:53")
    return host, int(port)


def _wrong_authorities(path: Path) -> str | None:
    """Return why a file vouches for nobody, None where it does."""
    try:
        ssl.create_default_context(cafile=path)
    except FileNotFoundError:
        return f"there is no file {path.name!r}, which 'ca' names"
    except (OSError, ssl.SSLError):
        return f"{path.name!r}, which 'ca' names, has no certificates in PEM form"
    return None


def _place(address: ReplicaAddress) -> ReplicaAddress:
    """Return an address under one name for this machine, which has three."""
    return replace(address, host="localhost") if address.host in LOOPBACK_NAMES else address


def address_of(url: str, key: str | None) -> ReplicaAddress:
    """Read a base URL; one without a path gets `/v1`.

    Raises:
        ValueError: no http(s) URL, no host, or parts that a base URL cannot have.
    """
    # Before any message that repeats the URL.
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("a URL must not contain a password; put the key into api_key")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is not a URL: write spaces and letters beyond ASCII as %20")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that do not match, or a port beyond 65535
        raise ValueError(f"{url!r} is not the URL of a server; write http://host:port/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the URL of a server; write http://host:port/v1")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise ValueError(f"{url!r} has a host that is no name: two dots, or too long") from None
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no ? and no #; write http://host:port/v1")
    path = parts.path.rstrip("/")
    if copied := next((end for end in REQUESTED if path.endswith(end)), None):
        raise ValueError(
            f"a base URL ends before {copied!r}; write {url.rstrip('/').removesuffix(copied)}"
        )
    tls = parts.scheme == "https"
    return ReplicaAddress(
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        base_path=path or "/v1",
        authorization=None if key is None else f"Bearer {key}",
    )
