"""`serve`, `check` and `route` say the same of one file."""

from pathlib import Path

from tests.support.process import gateway_process, run_command
from tests.support.waiting import until

UNMEANT = """\
engines:
  lab: {kind: remote, url: "http://127.0.0.1:9/v1"}
  spare: {kind: remote, url: "http://127.0.0.1:9/v1"}
models:
  m: {engine: lab}
"""
WARNED = "routing.yaml:3:3: {}no model uses the engine 'spare'"


def test_each_of_them_refuses_a_wrong_file_in_the_same_words(tmp_path: Path) -> None:
    wrong = UNMEANT.replace("engine: lab", "engine: lap")
    (tmp_path / "routing.yaml").write_text(wrong, encoding="utf-8")
    for command in (["check"], ["serve", "--port", "0"], ["route", "hola"]):
        ended = run_command(tmp_path, *command)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr == ("routing.yaml:5:7: there is no engine 'lap'; did you mean 'lab'?\n")


async def test_check_shows_the_warnings_that_serve_logs(tmp_path: Path) -> None:
    with gateway_process(tmp_path, config=UNMEANT) as gateway:

        async def logged() -> bool:
            return WARNED.format("") in gateway.errors()

        await until(logged)
        assert "WARNING weighbridge" in gateway.errors()
    assert WARNED.format("warning: ") in run_command(tmp_path, "check").stdout


def test_the_banner_names_aliases_of_all_kinds(tmp_path: Path) -> None:
    more = "aliases: {gpt: m, gpt-4: gpt, any: auto}\nroutes: [{name: all, use: gpt}]\n"
    with gateway_process(tmp_path, config=UNMEANT + more) as gateway:
        assert "m on lab  (also: gpt, gpt-4)\n" in gateway.banner()
        assert "chosen by 1 rule  (also: any)\n" in gateway.banner()
