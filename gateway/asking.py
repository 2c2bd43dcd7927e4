"""What a request asks of selection, read from its body and its headers.

Owns: which parts of a request count for the choice, beside what it weighs.
Must not: choose; keep anything of a request.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

import msgspec

from engines.protocol.decoding import AnyRequest
from engines.protocol.requests import ChatRequest
from gateway.domain import Asked, Endpoint
from gateway.errors import InvalidRequest
from gateway.selection import Selector, constraints_of

_OPENING_CHARS = 2_000
_PRIORITY = b"x-weighbridge-priority"
_WHOLE = re.compile(rb"-?\d{1,4}")
_TIERS = {"priority": -1, "flex": 1}  # OpenAI's `service_tier`; the others are in between


class Incoming(msgspec.Struct, frozen=True):
    """A request that was decoded: its bytes as they came, and what they say."""

    endpoint: Endpoint
    body: bytes
    request: AnyRequest
    headers: Sequence[tuple[bytes, bytes]]
    request_id: str
    arrived_s: float

    @property
    def streams(self) -> bool:
        """Whether the client asked for an event stream."""
        return bool(getattr(self.request, "stream", None))

    def priority(self) -> int:
        """Return how urgent it is, the lower the more: of its header, else its body, else 0.

        Raises:
            InvalidRequest: the header is no whole number.
        """
        told = next((value for name, value in self.headers if name == _PRIORITY), None)
        if told is not None:
            if not _WHOLE.fullmatch(told):
                raise InvalidRequest(
                    "The header 'x-weighbridge-priority' must be a whole number from -9999 to 9999."
                )
            return int(told)
        given: int | None = getattr(self.request, "priority", None)
        if given is not None:
            return given
        return _TIERS.get(getattr(self.request, "service_tier", None) or "", 0)


def asked_by(
    endpoint: Endpoint,
    request: AnyRequest,
    headers: Sequence[tuple[bytes, bytes]],
    selector: Selector,
    *,
    chance: float,
    seen: Mapping[str, float] | None = None,
) -> Asked:
    """Return what is asked; `chance` is a number from 0 to 1 drawn for this request.

    Raises:
        InvalidRequest: a constraint cannot be read.
        ModelNotFound: the asked name means nothing here.
    """
    constraints = constraints_of(headers, request.metadata)
    if selector.meaning(request.model).model is not None:
        return Asked(request.model, endpoint, constraints=constraints)
    looked_at = headers if selector.reads_headers else ()
    return Asked(
        request.model,
        endpoint,
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in looked_at),
        constraints,
        seen or {},
        user=request.user,
        conversation=_opening(request) if selector.splits else None,
        chance=chance,
    )


def _opening(request: AnyRequest) -> str | None:
    """Return a mark of how a conversation begins, which stays as it goes on.

    That is its first message and the first of the user.
    """
    if not isinstance(request, ChatRequest):
        return None
    first = request.messages[0]
    user = next((m for m in request.messages if m.role == "user"), first)
    text = f"{first.text()[:_OPENING_CHARS]}\0{user.text()[:_OPENING_CHARS]}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
