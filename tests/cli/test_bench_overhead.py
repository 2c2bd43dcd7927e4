"""`weighbridge bench overhead`: both ways, from real processes, and what can go wrong."""

import json
import socket
import sys

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.overhead.machine import cpu_s

QUICK = ("--seconds", "0.1", "--runs", "2", "--connections", "2")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "overhead", *arguments])


@pytest.mark.parametrize("asked", [(), ("--auto",)], ids=["named", "auto"])
def test_both_ways_are_measured_in_one_run(asked: tuple[str, ...]) -> None:
    told = json.loads(run(*QUICK, *asked, "--json").output)
    assert (told["asked"], told["runs"]) == ("auto" if asked else "measured", 2)
    assert [cell["cell"]["stream"] for cell in told["cells"]] == [False, True]
    for cell in told["cells"]:
        assert cell["ratio"] > 1
        for side in (cell["direct"], cell["through"]):
            assert side["requests_per_s"] > 0
            assert 0 < side["p50_ms"] <= side["p95_ms"] <= side["p99_ms"]
            assert (side["events_per_s"] is not None) is cell["cell"]["stream"]
        assert cell["direct"]["cpu_us"] is None
        assert (cell["through"]["cpu_us"] is not None) is (cpu_s(1) is not None)


def test_the_table_names_machine_and_commit() -> None:
    said = run(*QUICK).output
    assert "cores" in said
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in said
    assert said.count("direct") == said.count("through") == 2


def test_an_engine_that_is_not_there_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(*QUICK, "--engine", f"http://127.0.0.1:{port}/v1", "--model", "m")
    assert done.exit_code == 1
    assert done.stderr.strip().count("\n") == 0
    assert f"http://127.0.0.1:{port}/v1 cannot be reached" in done.stderr


def test_a_real_engine_needs_its_model() -> None:
    done = run("--engine", "http://127.0.0.1:1/v1")
    assert done.exit_code == 2
    assert "--engine and --model belong together" in done.stderr
