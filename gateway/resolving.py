"""Asks DNS which servers stand behind a name.

Owns: what records mean, and for how long they hold.
Must not: know who asks, or keep what was found.
"""

import asyncio
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver

from engines.kinds.lookup import Found, Lookup, Place

# However short a record's life is, or long: a server that has gone is noticed otherwise too.
_SHORTEST_S, _LONGEST_S = 1.0, 300.0
_AFTER_FAILURE_S = 5.0
_PATIENCE_S = 4.0
_EMPTY = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What DNS said, and how long that holds; `failed` when it said nothing."""

    found: Found
    holds_s: float
    failed: bool = False


async def resolve(lookup: Lookup) -> Resolved:
    """Ask. A name that is not there, or has no such records, stands for no server."""
    try:
        resolver = _resolver(lookup)
        if lookup.by == "a":
            places, ttl_s = await _addresses(resolver, lookup.name, lookup.port)
        else:
            places, ttl_s = await _services(resolver, lookup.name)
    except (dns.exception.DNSException, OSError) as error:
        why = f"DNS does not answer for '{lookup.name}': {type(error).__name__}"
        return Resolved(Found(reason=why), _AFTER_FAILURE_S, failed=True)
    holds_s = max(_SHORTEST_S, min(_LONGEST_S, ttl_s))
    kind = "SRV records" if lookup.by == "srv" else "addresses"
    reason = "" if places else f"DNS knows no {kind} for '{lookup.name}'"
    return Resolved(Found(tuple(sorted(set(places))), reason), holds_s)


def _resolver(lookup: Lookup) -> dns.asyncresolver.Resolver:
    """Return a resolver; each time a new one, for the system's own file may have changed."""
    if lookup.nameserver is None:
        resolver = dns.asyncresolver.Resolver()
    else:
        resolver = dns.asyncresolver.Resolver(configure=False)
        host, port = lookup.nameserver
        resolver.nameservers, resolver.port = [host], port
    resolver.lifetime = _PATIENCE_S
    return resolver


async def _addresses(
    resolver: dns.asyncresolver.Resolver, name: str, port: int
) -> tuple[list[Place], float]:
    answers = await asyncio.gather(*(_ask(resolver, name, kind) for kind in ("A", "AAAA")))
    told = [answer for answer in answers if answer is not None]
    places = [Place(str(record.address), port, name) for answer in told for record in answer]
    return places, _shortest(told)


async def _services(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[list[Place], float]:
    """Return the places of the SRV records that come first; their weights are not looked at."""
    answer = await _ask(resolver, name, "SRV")
    if answer is None:
        return [], _AFTER_FAILURE_S
    first = min(record.priority for record in answer)
    targets = [
        (str(record.target).rstrip("."), record.port)
        for record in answer
        if record.priority == first
    ]
    found = await asyncio.gather(
        *(_addresses(resolver, target, port) for target, port in targets if target)
    )
    places = [place for places, _ in found for place in places]
    return places, min([_shortest([answer]), *(ttl_s for _, ttl_s in found)])


async def _ask(
    resolver: dns.asyncresolver.Resolver, name: str, kind: str
) -> dns.resolver.Answer | None:
    """Return the records, None where there are none.

    Raises:
        dns.exception.DNSException: nobody could say.
    """
    try:
        return await resolver.resolve(name, kind, search=True)
    except _EMPTY:
        return None


def _shortest(answers: list[dns.resolver.Answer]) -> float:
    ttls = [float(answer.rrset.ttl) for answer in answers if answer.rrset is not None]
    return min(ttls, default=_AFTER_FAILURE_S)
