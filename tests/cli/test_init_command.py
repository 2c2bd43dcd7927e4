"""`weighbridge init`: the demo's file, and a file for GGUF files."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from engines.demo import weights_path
from engines.weights.store import Store
from gateway.cli.check import check
from gateway.cli.init import init
from gateway.config.loading import load_config
from tests.support.gguf_files import GgufFile
from tests.support.hub_cache import cached
from tests.support.initializing import OLLAMA, config, is_empty, listing, lists, run
from tests.support.scripted import running

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_without_options_it_writes_the_demo_and_says_what_next(folder: Path) -> None:
    result = await run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert (folder / "routing.yaml").read_bytes() == (ROOT / "routing.yaml").read_bytes()
    assert "`weighbridge check`" in result.stdout
    assert "`weighbridge serve`" in result.stdout


async def test_a_file_of_another_name_is_named_in_what_comes_next() -> None:
    result = await run("other.yaml")
    assert "weighbridge serve --config other.yaml" in result.stdout


async def test_what_comes_next_can_be_pasted_where_a_name_has_spaces() -> None:
    result = await run("my file.yaml")
    assert "`weighbridge check --config 'my file.yaml'`" in result.stdout


async def test_a_file_that_is_there_is_kept_unless_forced(folder: Path) -> None:
    mine = folder / "routing.yaml"
    mine.write_text("mine")
    refused = await run()
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert mine.read_text() == "mine"
    assert (await run("--force")).exit_code == 0
    assert mine.read_text() != "mine"


async def test_a_file_that_cannot_be_written_whole_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = folder / "routing.yaml"
    mine.write_text("mine")
    (folder / "link.yaml").symlink_to("routing.yaml")
    assert (await run("link.yaml", "--force")).exit_code == 0
    assert (folder / "link.yaml").is_symlink()
    mine.write_text("mine")
    monkeypatch.setattr(Path, "replace", _full)
    refused = await run("--force")
    assert (refused.exit_code, mine.read_text()) == (1, "mine")
    assert "routing.yaml cannot be written: No space left on device" in refused.stderr
    assert names_in(folder) == ["link.yaml", "routing.yaml"]


async def test_a_path_that_cannot_be_looked_at_is_one_line() -> None:
    refused = await run("x" * 300)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "cannot be looked at: File name too long" in refused.stderr


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _full(*_: object) -> Path:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("arguments", [["-"], ["--output", "-"]])
async def test_a_dash_prints_the_file_and_nothing_else(arguments: list[str], folder: Path) -> None:
    result = await run(*arguments)
    assert result.stdout == (ROOT / "routing.yaml").read_text()
    assert is_empty(folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/routing.yaml"], "no folder"),
        (["."], "is a folder"),
        (["a.yaml", "--output", "b.yaml"], "give one"),
        (["--key-env", "KEY"], "--from"),
        (["--from", "http://h", "--key-env", "sk-12 3"], "not a key"),
        (["--from", "http://h", "--key-env", "UNSET_KEY"], "not set"),
        (["--from", "http://h", "--key-env", "A", "--key-env", "B"], "once for all"),
        (["--from", "http://u:secret@h"], "password"),
        (["--from", "u:secret@h:99999"], "password"),
        (["--from", ""], "http://host:port"),
        (["--from", "ftp://h"], "http://host:port"),
        (["--from", "http://h:99999"], "ort"),
        (["--from", "a b"], "is not a URL"),
        (["--gguf", "none.gguf"], "no file"),
    ],
)
async def test_what_cannot_be_done_is_one_line(arguments: list[str], words: str) -> None:
    result = await run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr
    assert "sk-12" not in result.stderr


async def test_a_file_beside_servers_is_served_by_a_worker(folder: Path) -> None:
    (folder / "models").mkdir()
    toy = (ROOT / "engines/demo/qwen.gguf").read_bytes()
    (folder / "models" / "mine.gguf").write_bytes(toy)
    async with running(server := lists(OLLAMA)):
        result = await run("--from", server.address, "--gguf", "models/mine.gguf")
    assert result.exit_code == 0
    assert "3 models on 2 engines" in result.stdout
    file = config((folder / "routing.yaml").read_text())
    model = file.models["demo-qwen"]
    assert (model.engine, model.weights) == ("cpu", "./models/mine.gguf")
    assert model.catalogue == "demo-qwen"  # its header says so; its path does not
    assert model.embeddings is None  # it makes them and answers too; its header says so


async def test_a_file_whose_name_a_server_has_taken_gets_a_tidy_name(folder: Path) -> None:
    for name in ("house", "house-q8_0"):
        (folder / f"{name}.gguf").write_bytes(GgufFile().bytes())
    async with running(server := lists(listing("house", "house-q8-0"))):
        weights = ("--gguf", "house.gguf", "--gguf", "house-q8_0.gguf")
        assert (await run("--from", server.address, *weights)).exit_code == 0
    file = config((folder / "routing.yaml").read_text())
    assert list(file.models) == ["house", "house-q8-0", "house-local", "house-q8-0-local"]


async def test_paths_are_written_so_that_the_file_finds_them(folder: Path) -> None:
    toy = ROOT / "engines/demo/coder.gguf"
    (folder / "conf").mkdir()
    (folder / "toy.gguf").write_bytes(toy.read_bytes())
    await run("conf/routing.yaml", "--gguf", "toy.gguf")
    file = config((folder / "conf/routing.yaml").read_text())
    assert file.models["demo-coder"].weights == str(folder / "toy.gguf")
    absolute = str(folder / "toy.gguf")
    assert "weights: ./toy.gguf" in (await run("-", "--gguf", absolute)).stdout


async def test_a_file_that_is_no_gguf_is_one_line_and_nobody_is_asked(folder: Path) -> None:
    (folder / "x.gguf").write_bytes(b"PK\x03\x04")
    async with running(server := lists(OLLAMA)):
        result = await run("--from", server.address, "--gguf", "x.gguf")
        assert server.asked == []
    assert result.exit_code == 2
    assert result.stderr == "--gguf x.gguf: x.gguf is not a GGUF file\n"


def test_what_was_pulled_is_served_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "hub", tmp_path / "cache" / "weights")
    nothing = CliRunner().invoke(init, ["--pulled"])
    assert (nothing.exit_code, nothing.output.count("\n")) == (1, 1)
    assert "fetch a model with `weighbridge pull NAME`" in nothing.output
    toy = weights_path("qwen").read_bytes()
    cached(store, "Qwen/Qwen2.5-0.5B-Instruct-GGUF", {"q-q4_0.gguf": toy})
    hinted = CliRunner().invoke(init, ["demo.yaml"])
    assert (
        "`weighbridge init --pulled` writes one for the weights that you have pulled."
        in hinted.output
    )
    assert CliRunner().invoke(init, ["--pulled"]).exit_code == 0
    file = load_config(tmp_path / "routing.yaml", {}).file
    assert file.models["qwen2.5-0.5b"].weights == "Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_0"
    assert CliRunner().invoke(check, []).output.startswith("Nothing is wrong")
