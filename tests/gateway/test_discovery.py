"""Replicas that are found by name: a real DNS server on loopback, real connections."""

from typing import Any

import pytest

from engines.kinds.lookup import Lookup, Place
from gateway.resolving import resolve
from tests.support.answers import as_vllm
from tests.support.names import Names, naming
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


def config(url: str, by: str, nameserver: str) -> str:
    return f"""
engines:
  lab: {{kind: remote, url: "{url}", discover: {by}, nameserver: "{nameserver}"}}
models: {{big: {{engine: lab, upstream_model: toy}}}}
"""


def engine() -> ScriptedEngine:
    return ScriptedEngine(answer=as_vllm)


def replicas(served: Served) -> list[str]:
    return sorted(view.replica for view in served.gateway.fleet.views("big"))


async def ready(served: Served, *names: str) -> None:
    """Wait until these replicas, and no others, are there and ready."""
    fleet = served.gateway.fleet

    def are() -> bool:
        views = fleet.views("big")
        return {v.replica for v in views} == set(names) and all(v.state == "ready" for v in views)

    await served.until(are)


async def test_srv_records_are_replicas_and_those_that_come_and_go_are_followed() -> None:
    names = Names()
    async with (
        running(engine()) as one,
        running(engine()) as two,
        running(engine()) as three,
        naming(names) as nameserver,
    ):
        names.records[("_llm._tcp.lab.test", "SRV")] = [
            f"0 5 {one.port} a.lab.test.",
            f"0 5 {two.port} a.lab.test.",
            f"9 5 {three.port} a.lab.test.",  # only where the first ones are not
        ]
        names.records[("a.lab.test", "A")] = ["127.0.0.1"]
        async with serving(config("http://_llm._tcp.lab.test/v1", "srv", nameserver)) as served:
            await ready(served, f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}")
            answers = [await served.http.post("/v1/chat/completions", json=ASK) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert one.heard or two.heard
            assert not three.heard
            names.records[("_llm._tcp.lab.test", "SRV")] = [f"0 5 {three.port} a.lab.test."]
            await ready(served, f"127.0.0.1:{three.port}")
            answer = await served.http.post("/v1/chat/completions", json=ASK)
            assert answer.headers["x-weighbridge-replica"] == f"lab/127.0.0.1:{three.port}"


async def test_each_address_of_a_name_is_a_replica_and_the_name_is_its_host() -> None:
    names = Names({("pods.lab.test", "A"): ["127.0.0.1", "127.0.0.2"]})
    async with (
        running(engine()) as one,
        running(engine(), one.port, "127.0.0.2") as two,
        naming(names) as nameserver,
        serving(config(f"http://pods.lab.test:{one.port}/v1", "a", nameserver)) as served,
    ):
        await ready(served, f"127.0.0.1:{one.port}", f"127.0.0.2:{one.port}")
        for _ in range(4):
            assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 200
        asked = [heard for found in (one, two) for heard in found.heard]
        assert {heard.headers["host"] for heard in asked} == {f"pods.lab.test:{one.port}"}


async def test_a_name_that_stands_for_nothing_is_told_and_served_when_it_does() -> None:
    names = Names()
    async with (
        running(engine()) as one,
        naming(names) as nameserver,
        serving(config(f"http://late.lab.test:{one.port}/v1", "a", nameserver)) as served,
    ):
        # Else the next request could use this connection just when it has been idle for too long.
        last = {"connection": "close"}
        answer = await served.http.post("/v1/chat/completions", json=ASK, headers=last)
        assert answer.status_code == 503
        assert "DNS knows no addresses for 'late.lab.test'" in answer.json()["error"]["message"]
        names.records[("late.lab.test", "A")] = ["127.0.0.1"]
        await ready(served, f"127.0.0.1:{one.port}")
        assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 200


async def test_servers_stay_as_they_were_while_dns_is_silent() -> None:
    names = Names({("pods.lab.test", "A"): ["127.0.0.1"]})
    async with (
        running(engine()) as one,
        naming(names) as nameserver,
        serving(config(f"http://pods.lab.test:{one.port}/v1", "a", nameserver)) as served,
    ):
        await ready(served, f"127.0.0.1:{one.port}")
        names.silent, before = True, names.asked

        async def has_asked() -> bool:
            return names.asked > before + 1

        await until(has_asked)
        assert replicas(served) == [f"127.0.0.1:{one.port}"]
        assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 200


@pytest.mark.parametrize("ttl_s", [1, 77])
async def test_an_answer_holds_for_as_long_as_its_shortest_record(ttl_s: int) -> None:
    names = Names({("x.lab.test", "A"): ["127.0.0.9"], ("x.lab.test", "AAAA"): ["::9"]}, ttl_s)
    async with naming(names) as nameserver:
        host, _, port = nameserver.rpartition(":")
        answer = await resolve(Lookup("a", "x.lab.test", 80, (host, int(port))))
    assert answer.found.places == (
        Place("127.0.0.9", 80, "x.lab.test"),
        Place("::9", 80, "x.lab.test"),
    )
    assert answer.holds_s == ttl_s
