"""One look at a replica: is it well, what does it list, what are its own figures.

Owns: what is asked and what the answers mean.
Must not: keep anything, or decide how a replica is doing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engines.kinds import Deadlines, ReplicaPlan
from engines.protocol.unreadable import UNREADABLE
from gateway.fleet.replica import Replica
from gateway.observe.engine_figures import read_engine_figures
from gateway.relay.client import NoFileLeft, Unreachable, UpstreamClient, UpstreamRequest
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed

_LOOK = Deadlines(connect_s=3, first_byte_s=5, idle_s=5)
_LOOK_AT_CHILD = Deadlines(connect_s=1, first_byte_s=1, idle_s=1)  # next door, and looked at often
_SCRAPE = Deadlines(connect_s=0.5, first_byte_s=1, idle_s=1)
_NOT_ASKED = -1


class _Listed(msgspec.Struct, frozen=True):
    id: str = ""
    tells_uses: bool = False


class _ModelList(msgspec.Struct, frozen=True):
    data: list[_Listed] = []


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a replica's health told. `late` means: no answer, but not refused either.

    Where it was not `asked`, for want of a file to do so with, nothing is known.
    """

    ok: bool
    reason: str = ""
    late: bool = False
    asked: bool = True
    models: tuple[str, ...] = ()
    tells_uses: bool = False


class Looker:
    """Asks replicas; it may be cancelled at any time."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client

    async def look(self, plan: ReplicaPlan) -> Look:
        """Ask a replica once whether it is well."""
        deadlines = _LOOK if plan.launch is None else _LOOK_AT_CHILD
        status, body = await self._get(plan, plan.health_path, deadlines)
        if status == 200:
            if body.lstrip()[:1] == b"<" and plan.health_path.endswith("/models"):
                where = f"{plan.health_path} is a web page there; check the engine's url"
                return Look(ok=False, reason=where)
            rows = _listed(body)
            told = any(row.tells_uses for row in rows)
            return Look(ok=True, models=tuple(row.id for row in rows), tells_uses=told)
        if status in (401, 403):
            return Look(ok=False, reason="it rejects the key; set the engine's api_key")
        if status == 404:
            where = f"there is no {plan.health_path} at this server; check the engine's url"
            return Look(ok=False, reason=where)
        if status > 0:
            moved = 300 <= status < 400
            hint = "; redirects are not followed: check the engine's url" if moved else ""
            what = f"it answers {plan.health_path} with status {status}{hint}"
            return Look(ok=False, reason=what)
        late, asked = body.startswith(b"no answer"), status != _NOT_ASKED
        return Look(ok=False, reason=body.decode(), late=late, asked=asked)

    async def fetch_figures(self, replica: Replica) -> None:
        """Ask a replica for its own figures; where it does not answer it shows none."""
        status, body = await self._get(replica.plan, replica.plan.metrics_path or "", _SCRAPE)
        text = body.decode("utf-8", "replace") if status == 200 else ""
        replica.figures = read_engine_figures(text)

    async def _get(self, plan: ReplicaPlan, path: str, deadlines: Deadlines) -> tuple[int, bytes]:
        """Return status and body; status 0 with the reason as its body when there is no answer.

        `_NOT_ASKED` where there was no file left to ask with.
        """
        try:
            return await self._client.fetch(plan.address, UpstreamRequest("GET", path), deadlines)
        except NoFileLeft as error:
            return _NOT_ASKED, f"cannot connect: {error}".encode()
        except Unreachable as error:
            return 0, f"cannot connect: {error}".encode()
        except (ConnectionLost, DeadlinePassed) as error:
            return 0, str(error).encode()


def _listed(body: bytes) -> Sequence[_Listed]:
    try:
        return msgspec.json.decode(body, type=_ModelList).data
    except UNREADABLE:
        return ()


def unlisted(plan: ReplicaPlan, seen: Look) -> str:
    """Return a warning when a server lists models, and ours is not among them."""
    wanted = plan.upstream_model
    if not seen.models or any(name in (wanted, f"{wanted}:latest") for name in seen.models):
        return ""
    # Sorted: the same list in another order is no news. Escaped: the names are the server's.
    shown = ", ".join(sorted(seen.models)[:5]).encode("unicode_escape").decode()
    return f"it does not list '{wanted}' but {shown}; check upstream_model"
