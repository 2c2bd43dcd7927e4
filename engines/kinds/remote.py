"""`kind: remote`: any OpenAI-compatible server that somebody else runs.

Owns: its section of the file, and the replicas that its URLs are.
Must not: connect.
"""

from dataclasses import replace
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from engines.door import LOOPBACK_NAMES
from engines.kinds.address import ReplicaAddress
from engines.kinds.deadlines import Deadlines
from engines.kinds.plan import ModelOrder, ReplicaPlan, Room
from engines.kinds.section import OneOrMore, Seconds, Section, several
from engines.memory import MemoryNeed


class RemoteEngine(Section):
    """An entry of `engines:` with `kind: remote`: any OpenAI-compatible server."""

    managed: ClassVar[bool] = False
    reads_images: ClassVar[bool] = True  # where the model does
    gives_tools: ClassVar[bool] = False  # to those models alone that know them

    kind: Literal["remote"] = Field(description="A server that somebody else runs.")
    url: OneOrMore = Field(
        description="Base URL (`http://gpu1:8000/v1`); several are replicas of each other."
    )
    api_key: SecretStr | None = Field(
        None, description="Sent as a bearer token; write `${NAME}` to take it from the environment."
    )
    takes_priority: bool = Field(
        False,
        description="Whether it gets the `priority` of requests as well: vLLM takes it with "
        "`--scheduling-policy priority` and refuses it without.",
    )
    connect_timeout_s: Seconds = Field(5, description="Seconds to connect.")
    first_byte_timeout_s: Seconds = Field(
        600, description="Seconds until an answer begins (the engine's queue and prefill included)."
    )
    idle_timeout_s: Seconds = Field(
        120, description="Seconds between two events of a stream; comments are no sign of life."
    )
    total_timeout_s: Seconds = Field(
        7_200, description="Seconds from a request's arrival to the end of its answer."
    )
    health_interval_s: Seconds = Field(5, description="Seconds between two looks at `/v1/models`.")

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, given: OneOrMore) -> OneOrMore:
        addresses = [_place(address_of(url, None)) for url in several(given)]
        if len(set(addresses)) < len(addresses):
            raise ValueError("the same server stands here twice; replicas have URLs of their own")
        return given

    @field_validator("api_key")
    @classmethod
    def _key_can_be_sent(cls, given: SecretStr | None) -> SecretStr | None:
        """Read an empty key as none: `${NAME:-}` is a key that may be left out."""
        key = given.get_secret_value() if given is not None else ""
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("a key is printable ASCII without spaces; is there a line end in it?")
        return given if key else None

    def missing_extra(self) -> str | None:
        """Return None: nothing has to be installed to reach a server."""
        return None

    def context_for(self, trained_tokens: int | None) -> int | None:
        """Return what the model was trained for: a server that gives less is told in the file."""
        return trained_tokens

    def plan(self, order: ModelOrder, room: Room) -> tuple[ReplicaPlan, ...]:  # noqa: ARG002 - one signature for all kinds
        """Return one replica for each URL, named by host and port."""
        key = None if self.api_key is None else self.api_key.get_secret_value()
        return tuple(self._replica(order, address_of(url, key)) for url in several(self.url))

    def need(self, order: ModelOrder) -> MemoryNeed:  # noqa: ARG002 - one signature for all kinds
        """Return that nothing of this machine is needed."""
        return MemoryNeed()

    def _replica(self, order: ModelOrder, address: ReplicaAddress) -> ReplicaPlan:
        root = address.base_path.removesuffix("/v1")
        return ReplicaPlan(
            model=order.name,
            engine=order.engine,
            replica=f"{address.host}:{address.port}{root}",
            address=address,
            upstream_model=order.upstream_model or order.name,
            health_path=f"{address.base_path}/models",
            health_interval_s=self.health_interval_s,
            metrics_path=f"{root}/metrics",
            tokenize_path=f"{root}/tokenize",
            uses_path=f"{root}/uses/",
            takes_priority=self.takes_priority,
            deadlines=Deadlines(
                self.connect_timeout_s,
                self.first_byte_timeout_s,
                self.idle_timeout_s,
                self.total_timeout_s,
            ),
        )


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
        raise ValueError("a URL must not carry a password; put the key into api_key")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is no URL: spaces and letters beyond ASCII are written as %20")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that do not match, or a port beyond 65535
        raise ValueError(f"{url!r} is no URL of a server; write http://host:port/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a server; write http://host:port/v1")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no ? and no #; write http://host:port/v1")
    tls = parts.scheme == "https"
    return ReplicaAddress(
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        base_path=parts.path.rstrip("/") or "/v1",
        authorization=None if key is None else f"Bearer {key}",
    )
