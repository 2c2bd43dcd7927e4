"""The table of commands: each row loads, and the help names it."""

from pathlib import Path

from click.testing import CliRunner

from gateway.cli import COMMANDS, main
from tests.support.process import run_command


def test_every_command_loads_and_is_in_the_help() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    for name in COMMANDS:
        assert name in text
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_every_line_of_the_help_is_whole() -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    assert "..." not in text.partition("Commands:")[2]


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["xyzzy"])
    assert result.exit_code == 2
    assert "No such command 'xyzzy'." in result.output


def test_a_misspelt_command_is_told_the_nearest() -> None:
    result = CliRunner().invoke(main, ["srve"])
    assert result.exit_code == 2
    assert "No such command 'srve'; did you mean 'serve'?" in result.output


def test_a_quantisation_of_nothing_is_refused() -> None:
    result = CliRunner().invoke(main, ["pull", "--quant", "Q8_0"])
    assert result.exit_code == 2
    assert "--quant is for a NAME" in result.output


def test_a_host_that_is_no_address_is_told_in_a_line(tmp_path: Path) -> None:
    ended = run_command(tmp_path, "serve", "--no-auth", "--host", "0.0.0..0")
    told = "Cannot listen on '0.0.0..0': this is no address. Check --host."
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, told)
