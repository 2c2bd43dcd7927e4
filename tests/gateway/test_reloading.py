"""A file that changes under a gateway: looked at, read, put in force or refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.blueprint import Blueprint
from gateway.fleet.difference import Difference
from gateway.known import gather_facts
from gateway.reloading import Ground, Reloader, mark_of, said_of
from tests.support.answers import as_vllm
from tests.support.contract import CHAT, user
from tests.support.fleets import figure
from tests.support.names import Names, naming
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

LOOK_S = 0.01
HERE = "routing.yaml"


def text_of(engine: ScriptedEngine, *models: str, head: str = "") -> str:
    rows = "".join(f"  {name}: {{engine: lab, upstream_model: toy}}\n" for name in models)
    return f"{head}engines: {{lab: {{kind: remote, url: '{engine.url}'}}}}\nmodels:\n{rows}"


@dataclass(frozen=True)
class Reloading:
    """A gateway whose file lies at `path`; `reloader` looks at it as often as the test says."""

    served: Served
    path: Path
    reloader: Reloader

    async def until(self, *models: str) -> None:
        """Wait until the gateway serves just these."""

        async def serves() -> bool:
            return tuple(self.served.live.gateway.config.file.models) == models

        await until(serves)

    async def until_refused(self) -> str:
        async def refused() -> bool:
            return bool(self.served.live.refused)

        await until(refused)
        return "\n".join(self.served.live.refused)

    async def ask(self, model: str) -> httpx.Response:
        body = {"model": model, "messages": user("Hi")}
        return await self.served.http.post(CHAT, json=body)


@asynccontextmanager
async def reloading(
    text: str, folder: Path, look_s: float | None = LOOK_S
) -> AsyncIterator[Reloading]:
    path = folder / HERE
    path.write_text(text)
    async with serving(text) as served:
        await served.ready()
        ground = Ground(path, {}, gather_facts, folder, 1)
        reloader = Reloader(served.live, ground, mark_of(path), look_s)
        task = asyncio.create_task(reloader.run())
        try:
            yield Reloading(served, path, reloader)
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with running(ScriptedEngine(answer=as_vllm)) as one:
        yield one


async def test_a_file_that_an_editor_renames_over_the_old_one_is_put_in_force(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        (kept,) = it.served.gateway.fleet
        other = tmp_path / ".routing.yaml.swp"
        other.write_text(text_of(engine, "m", "n"))
        other.replace(it.path)
        await it.until("m", "n")
        await it.served.ready("m", "n")
        assert (await it.ask("n")).json()["model"] == "n"
        assert next(iter(it.served.gateway.fleet)) is kept
        assert figure(it.served.gateway.metrics, "weighbridge_config_reloads_total") == 1


async def test_a_file_that_is_away_for_a_moment_changes_nothing(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        it.path.unlink()
        asked = await asyncio.gather(*(it.ask("m") for _ in range(20)))
        assert {answer.status_code for answer in asked} == {200}
        it.path.write_text(text_of(engine, "n"))
        await it.until("n")
        assert not it.served.live.refused
        assert figure(it.served.gateway.metrics, "weighbridge_config_reloads_total") == 1


async def test_a_link_that_is_turned_is_a_change(engine: ScriptedEngine, tmp_path: Path) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        (tmp_path / "next.yaml").write_text(text_of(engine, "k"))
        (tmp_path / "link").symlink_to("next.yaml")
        (tmp_path / "link").replace(it.path)
        await it.until("k")
        assert (await it.ask("k")).status_code == 200


async def test_a_bad_file_changes_nothing_and_says_where_it_is_wrong(
    engine: ScriptedEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        it.path.write_text(text_of(engine, "m").replace("engine: lab", "engine: lap"))
        problem = await it.until_refused()
        assert problem.startswith(f"{it.path}:3:")
        assert "lap" in problem
        assert problem in caplog.text
        assert (await it.ask("m")).status_code == 200
        told = (await it.served.http.get("/ready")).json()["config"]
        assert (told["current"], told["problems"]) == (False, [problem])
        metrics = it.served.gateway.metrics
        refused = [("result", "refused")]
        assert figure(metrics, "weighbridge_config_reloads_total", refused) == 1
        assert figure(metrics, "weighbridge_config_current") == 0
        it.path.write_text(text_of(engine, "m", "n"))
        await it.until("m", "n")
        assert not it.served.live.refused
        assert figure(metrics, "weighbridge_config_current") == 1


def _becomes_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _becomes_a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_text(""), "should be a mapping"),
    "a list": (lambda path: path.write_text("- m\n"), ":1:1:"),
    "no YAML": (lambda path: path.write_text("models: {"), "not YAML"),
    "a control character": (lambda path: path.write_text("models: \x01"), "not readable YAML"),
    "no UTF-8": (lambda path: path.write_bytes(b"models: \xff\xfe"), "not UTF-8"),
    "an unknown key": (lambda path: path.write_text("modles: {}\n"), "modles"),
    "a variable that is not set": (
        lambda path: path.write_text(path.read_text().replace("toy", "'${NO_SUCH}'")),
        "NO_SUCH is not set",
    ),
    "a key twice": (
        lambda path: path.write_text(path.read_text() + "models: {}\n"),
        "appears twice",
    ),
    "aliases of aliases": (lambda path: path.write_text(ALIASES), "too many values"),
    "nested deeply": (lambda path: path.write_text("[" * 100_000), "YAML"),
    "a folder": (_becomes_a_folder, "cannot read the file"),
    "a link to itself": (_becomes_a_circle, "cannot read the file"),
    "a date": (lambda path: path.write_text("models: 2026-13-45\n"), ":1:"),
}


@pytest.mark.parametrize("how", BAD)
async def test_whatever_is_wrong_with_a_file_requests_go_on_by_the_one_before(
    how: str, engine: ScriptedEngine, tmp_path: Path
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path, look_s=None) as it:
        spoil, words = BAD[how]
        asked = [asyncio.create_task(it.ask("m")) for _ in range(4)]
        spoil(it.path)
        it.reloader.ask()
        assert words in await it.until_refused()
        asked.append(asyncio.create_task(it.ask("m")))
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}


@pytest.mark.parametrize("where", ["blueprint_of", "changed_gateway"])
async def test_what_nobody_foresaw_in_a_file_leaves_the_old_one_in_force(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        with monkeypatch.context() as patched:
            patched.setattr(f"gateway.reloading.{where}", None)
            it.path.write_text(text_of(engine, "m", "n"))
            assert "cannot take effect" in await it.until_refused()
        assert (await it.ask("m")).status_code == 200
        it.reloader.ask()
        await it.until("m", "n")


async def test_weights_that_have_come_and_cannot_be_used_are_waited_for_no_more(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        resident = it.served.gateway.resident
        monkeypatch.setattr(resident, "not_taken", told.append)
        with monkeypatch.context() as patched:
            patched.setattr("gateway.reloading.blueprint_of", None)
            resident.on_pulled()

            async def have_heard() -> bool:
                return bool(told)

            await until(have_heard)
        assert "were fetched and cannot be used" in told[0]


async def test_of_many_changes_at_once_the_last_one_wins(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        for number in range(30):
            it.path.write_text(text_of(engine, "m", f"n{number}"))
            it.reloader.ask()
            assert (await it.ask("m")).status_code == 200
        await it.until("m", "n29")
        await it.served.ready("m", "n29")
        assert {r.plan.model for r in it.served.gateway.fleet} == {"m", "n29"}


async def test_a_file_that_is_not_watched_is_read_when_asked(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path, look_s=None) as it:
        it.path.write_text(text_of(engine, "n"))
        assert (await it.ask("m")).status_code == 200
        it.reloader.ask()
        await it.until("n")
        assert (await it.ask("m")).status_code == 404


async def test_what_needs_a_restart_is_said_and_the_rest_is_in_force(
    engine: ScriptedEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with reloading(text_of(engine, "m"), tmp_path) as it:
        head = "gateway: {port: 1, body_limit_bytes: 10}\n"
        it.path.write_text(text_of(engine, "n", head=head))
        await it.until("n")
        assert "gateway.port has changed in the file, which takes effect after a" in caplog.text
        assert (await it.served.http.get("/ready")).json()["config"]["needs_restart"] == [
            "gateway.port"
        ]
        assert (await it.ask("n")).status_code == 413


def test_what_becomes_of_the_replicas_is_said_in_a_line() -> None:
    assert said_of(Difference(("a",))) == "1 replica as before"
    change = Difference((), added=("b", "c"), removed=("c", "d"))
    assert said_of(change) == "starts b; ends d; replaces c; 0 replicas as before"


async def test_servers_that_dns_names_while_a_file_is_read_are_those_in_force(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    name = ("pods.lab.test", "A")
    names = Names({name: ["127.0.0.1"]})
    async with naming(names) as nameserver:
        found = f"discover: a, nameserver: '{nameserver}'"
        url = f"http://pods.lab.test:{engine.port}/v1"

        def text(*models: str) -> str:
            rows = "".join(f"  {model}: {{engine: lab}}\n" for model in models)
            return f"engines: {{lab: {{kind: remote, url: '{url}', {found}}}}}\nmodels:\n{rows}"

        async with reloading(text("m"), tmp_path) as it:
            live, fleet = it.served.live, it.served.gateway.fleet

            async def two_come(_: Blueprint) -> None:
                names.records[name] = ["127.0.0.1", "127.0.0.2"]
                await it.served.until(lambda: len(fleet.views("m")) == 2)

            live.prepare = two_come
            it.path.write_text(text("m", "n"))
            await it.until("m", "n")
            await it.served.until(lambda: len(fleet.views("m")) == len(fleet.views("n")) == 2)
