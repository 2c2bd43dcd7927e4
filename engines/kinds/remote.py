"""`kind: remote`: any OpenAI-compatible server that somebody else runs.

Owns: its section of the file, and the replicas that its URLs are.
Must not: connect.
"""

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from engines.kinds.address import ReplicaAddress
from engines.kinds.plan import ModelOrder, ReplicaPlan, Room
from engines.kinds.section import OneOrMore, Seconds, Section


class RemoteEngine(Section):
    """An entry of `engines:` with `kind: remote`: any OpenAI-compatible server."""

    managed: ClassVar[bool] = False

    kind: Literal["remote"]
    url: OneOrMore = Field(
        description="Base URL (`http://gpu1:8000/v1`); several are replicas of each other."
    )
    api_key: SecretStr | None = Field(
        None, description="Sent as a bearer token; write `${NAME}` to take it from the environment."
    )
    connect_timeout_s: Seconds = Field(5, description="Seconds to connect.")
    first_byte_timeout_s: Seconds = Field(
        600, description="Seconds until the answer's first byte (queueing and prefill included)."
    )
    idle_timeout_s: Seconds = Field(120, description="Seconds between two pieces of an answer.")
    health_interval_s: Seconds = Field(5, description="Seconds between two looks at `/v1/models`.")

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, given: OneOrMore) -> OneOrMore:
        for url in (given,) if isinstance(given, str) else given:
            _address(url, None)
        return given

    def missing_extra(self) -> str | None:
        """Return None: nothing has to be installed to reach a server."""
        return None

    def plan(self, order: ModelOrder, room: Room) -> tuple[ReplicaPlan, ...]:  # noqa: ARG002 - one signature for all kinds
        """Return one replica for each URL, named by host and port."""
        key = None if self.api_key is None else self.api_key.get_secret_value()
        urls = (self.url,) if isinstance(self.url, str) else self.url
        return tuple(self._replica(order, _address(url, key)) for url in urls)

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
            connect_timeout_s=self.connect_timeout_s,
            first_byte_timeout_s=self.first_byte_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
        )


def _address(url: str, key: str | None) -> ReplicaAddress:
    """Read a base URL; one without a path gets `/v1`.

    Raises:
        ValueError: no http(s) URL, no host, or parts that a base URL cannot have.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a server; write http://host:port/v1")
    if parts.username or parts.password:
        raise ValueError("a URL must not carry a password; put the key into api_key")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no ? and no #; write http://host:port/v1")
    tls = parts.scheme == "https"
    return ReplicaAddress(
        host=parts.hostname,
        port=parts.port or (443 if tls else 80),
        tls=tls,
        base_path=parts.path.rstrip("/") or "/v1",
        authorization=None if key is None else f"Bearer {key}",
    )
