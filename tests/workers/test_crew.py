"""Workers that do not start: tried again, and given up when none ever does."""

import asyncio
import socket
import sys
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from gateway.config.loading import parse_config
from gateway.known import gather_facts
from gateway.middleware import DoorRules
from gateway.observe.processes import ProcessMetrics
from gateway.parts import Live, build_gateway
from gateway.workers import words
from gateway.workers.crew import Crew, Terms
from gateway.workers.line import framed
from gateway.workers.office import Office
from gateway.workers.picture import House, settings_in
from tests.support.waiting import until

FILE = """
engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1", api_key: hidden}}
models:
  m: {engine: lab, upstream_model: toy, max_concurrent: 2, aliases: [gpt]}
  n: {engine: lab}
routes:
  - {name: code, when: {task: code, language: {not: [de]}}, use: {any: [m, n]}}
  - {name: rest, use: [n]}
"""


def live_of(folder: Path) -> Live:
    config = parse_config(FILE, "test.yaml", {}, folder)
    return Live(build_gateway(config, gather_facts(config), runtime_folder=folder, cores=2))


def house_of(folder: Path) -> House:
    rules = DoorRules(key=SecretStr("secret"))
    return House(2, rules, folder / "inside", "info", "text", access_log=True)


async def test_the_gateway_ends_when_no_worker_can_start(tmp_path: Path) -> None:
    live, failed = live_of(tmp_path), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What says 2 would say it again.
        argv = (sys.executable, "-c", "raise SystemExit(2)")
        terms = Terms(2, argv, listener, drain_timeout_s=1)
        office = Office(live, house_of(tmp_path))
        figures = ProcessMetrics(live.gateway.metrics.registry)
        crew = Crew(office, terms, figures, failed.set)
        await asyncio.wait_for(crew.start(failed.is_set), 20)
        assert failed.is_set()
        assert crew.ready == 0
        await crew.end()


async def test_who_is_given_up_neither_holds_the_start_up_nor_ends_the_others(
    tmp_path: Path,
) -> None:
    live, failed = live_of(tmp_path), asyncio.Event()
    ready = framed(msgspec.msgpack.encode(words.Ready()))
    script = (
        "import os, sys\n"
        "number, line = int(sys.argv[1]), int(sys.argv[3])\n"
        "if number == 0: raise SystemExit(2)\n"
        f"os.write(line, {ready!r})\n"
        "while os.read(line, 65536): pass\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        terms = Terms(2, (sys.executable, "-c", script), listener, drain_timeout_s=1)
        figures = ProcessMetrics(live.gateway.metrics.registry)
        crew = Crew(Office(live, house_of(tmp_path)), terms, figures, failed.set)
        await asyncio.wait_for(crew.start(failed.is_set), 20)
        assert (crew.ready, failed.is_set()) == (1, False)
        await crew.end()


async def test_a_worker_that_was_ready_is_not_given_up_for_how_its_lives_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.process.restarts.FIRST_PAUSE_S", 0.001)
    live, failed = live_of(tmp_path), asyncio.Event()
    ready, log = framed(msgspec.msgpack.encode(words.Ready())), tmp_path / "lives"
    script = (
        "import os, sys\n"
        f"with open({str(log)!r}, 'a+') as file:\n"
        "    print('life', file=file, flush=True)\n"
        "    file.seek(0)\n"
        "    lives = len(file.readlines())\n"
        "if lives == 5: raise SystemExit(1)\n"
        f"os.write(int(sys.argv[3]), {ready!r})\n"
        "if lives < 5: raise SystemExit(1)\n"
        "while os.read(int(sys.argv[3]), 65536): pass\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        terms = Terms(1, (sys.executable, "-I", "-c", script), listener, drain_timeout_s=1)
        figures = ProcessMetrics(live.gateway.metrics.registry)
        crew = Crew(Office(live, house_of(tmp_path)), terms, figures, failed.set)
        await asyncio.wait_for(crew.start(failed.is_set), 20)

        async def lives_on() -> bool:
            return failed.is_set() or (crew.ready == 1 and log.read_text().count("life") == 6)

        await until(lives_on)
        assert not failed.is_set()
        await crew.end()


async def test_a_worker_is_told_all_that_is_in_force(tmp_path: Path) -> None:
    live, house = live_of(tmp_path), house_of(tmp_path)
    gateway = live.gateway
    told = settings_in(Office(live, house).settings())
    assert told.config == gateway.config
    assert dict(told.facts) == dict(gateway.facts)
    assert told.plans == tuple(replica.plan for replica in gateway.fleet)
    assert told.house == house
    assert told.plans[0].address.authorization == "Bearer hidden"
