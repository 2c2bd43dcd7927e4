"""`weighbridge check`: what it says of a file, and with which exit code it ends."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import check
from gateway.cli.route import route

REMOTE = """\
engines:
  lab: {kind: remote, url: "http://lab/v1"}
models:
  big: {engine: lab, aliases: [gpt]}
routes:
  - {name: rest, use: big}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without a variable that names a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIGHBRIDGE_CONFIG", raising=False)
    return tmp_path


def ran(text: str | None = None, *arguments: str) -> Result:
    if text is not None:
        Path("routing.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(check, arguments)


def test_of_many_models_the_first_are_named_and_the_others_counted() -> None:
    many = "".join(f"  m{n}: {{engine: lab, aliases: [a{n}]}}\n" for n in range(300))
    told = ran(REMOTE.replace("routes:\n", f"{many}routes:\n")).output
    assert "It serves 301 models (big, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10 and 289 " in told
    assert "and 301 aliases (gpt, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 and 289 more)" in told


def test_a_right_file_is_one_line_that_says_what_it_serves() -> None:
    result = ran(REMOTE)
    assert result.exit_code == 0
    assert result.output == (
        "Nothing is wrong with ./routing.yaml. It serves 1 model (big) and 1 alias (gpt); "
        "1 rule chooses for auto.\n"
    )


def test_without_a_file_the_packaged_demo_is_checked() -> None:
    result = ran()
    assert result.exit_code == 0
    assert "the packaged demo" in result.output
    assert "3 models (demo-qwen, demo-coder, demo-llama)" in result.output


def test_the_file_may_be_the_only_argument_as_it_is_for_init() -> None:
    Path("mine.yaml").write_text(REMOTE, encoding="utf-8")
    by_argument, by_option = ran(None, "mine.yaml"), ran(None, "--config", "mine.yaml")
    assert by_argument.exit_code == by_option.exit_code == 0
    assert by_argument.output == by_option.output
    assert ran(None, "mine.yaml", "--config", "mine.yaml").exit_code == 0
    both = ran(None, "mine.yaml", "--config", "other.yaml")
    assert (both.exit_code, both.stderr) == (
        2,
        "FILE and --config name different files; give one.\n",
    )


def test_a_folder_is_not_said_to_be_missing() -> None:
    Path("conf").mkdir()
    assert (
        ran(None, "conf").stderr
        == "conf:1:1: this is not a regular file (named on the command line)\n"
    )


def test_every_problem_is_a_line_with_its_place_and_the_code_is_2() -> None:
    result = ran(REMOTE.replace("use: big", "use: bigg").replace("engine: lab", "engine: labb"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "routing.yaml:4:9: there is no engine 'labb'; did you mean 'lab'?",
        "routing.yaml:6:18: there is no model or alias 'bigg'; did you mean 'big'?",
    ]


def test_the_option_wins_over_the_variable_and_the_variable_over_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text(REMOTE.replace("big", name), encoding="utf-8")
    monkeypatch.setenv("WEIGHBRIDGE_CONFIG", "two.yaml")
    assert "(two)" in ran(REMOTE).output
    assert "(one)" in ran(REMOTE, "--config", "one.yaml").output


def test_a_named_file_that_is_not_there_is_said_with_who_named_it() -> None:
    result = ran(None, "--config", "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml:1:1: there is no such file (named on the command line)" in result.stderr


def test_what_is_not_meant_is_a_warning_and_no_failure() -> None:
    result = ran(
        REMOTE.replace("models:", '  spare: {kind: remote, url: "http://x/v1"}\nmodels:')
        + "  - {name: late, when: {task: code}, use: big}\n"
    )
    assert result.exit_code == 0
    assert result.output.splitlines()[:-1] == [
        "routing.yaml:3:3: warning: no model uses the engine 'spare'",
        "routing.yaml:8:5: warning: the rule 'late' is never reached: the rule 'rest' before it, "
        "which has no conditions, takes every request that it matches; move it up, or remove it",
    ]


def test_a_host_at_which_serve_does_not_listen_without_a_key_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEIGHBRIDGE_API_KEY", raising=False)
    result = ran(f"{REMOTE}gateway: {{host: 0.0.0.0}}\n")
    assert result.exit_code == 0
    assert "routing.yaml:7:11: warning: `serve` does not listen on 0.0.0.0 without a key" in (
        result.output
    )
    monkeypatch.setenv("WEIGHBRIDGE_API_KEY", "k")
    assert "Nothing is wrong" in ran().output


def test_weights_that_are_not_there_are_warned_of_at_their_key() -> None:
    Path("no.gguf").write_bytes(b"not a model")
    result = ran(
        "engines:\n  cpu: {kind: llamacpp}\nmodels:\n"
        "  gone: {engine: cpu, weights: ./gone.gguf}\n"
        "  fake: {engine: cpu, weights: ./no.gguf}\n"
        "  toy: {engine: cpu, weights: 'demo:qwan'}\n"
    )
    assert result.exit_code == 0
    *lines, verdict = result.output.splitlines()
    assert verdict.startswith(
        "It can be served, with 3 warnings: ./routing.yaml. It serves 3 models"
    )
    assert len(lines) == 3
    assert lines[0].startswith("routing.yaml:4:23: warning: 'gone' cannot start here: ")
    assert lines[1].startswith("routing.yaml:5:23: warning: 'fake' cannot start here: ")
    assert lines[2].startswith("routing.yaml:6:22: warning: 'toy' cannot start here: ")


def test_an_extra_that_is_not_installed_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)  # as if it could not be found
    lines = ran().output.splitlines()
    assert len(lines) == 2
    assert "warning: kind: llamacpp needs an extra; run: pip install" in lines[0]
    assert lines[1].startswith("It can be served, with 1 warning: the packaged demo")


def test_a_rule_whose_models_never_meet_its_requirements_is_warned_of() -> None:
    long = "routes:\n  - {name: long, require: {context: 9000}, use: gpt}"
    result = ran(REMOTE.replace("routes:", long))
    assert result.exit_code == 0
    assert result.output.splitlines()[:-1] == [
        "routing.yaml:6:18: warning: the rule 'long' never decides: big is left out: "
        "its context is unknown, less than 9000"
    ]


def test_a_variable_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_LOG_LEVEL", "loud")
    result = ran(REMOTE)
    assert result.exit_code == 2
    assert "WEIGHBRIDGE_LOG_LEVEL must be one of" in result.stderr


def test_route_says_which_models_there_are_without_naming_a_gateway() -> None:
    Path("routing.yaml").write_text(REMOTE, encoding="utf-8")
    result = CliRunner().invoke(route, ["hola", "--model", "bigg"])
    assert result.exit_code == 1
    assert result.stderr == (
        "The model 'bigg' is not served here. Did you mean 'big'? "
        "routing.yaml serves big, gpt, auto.\n"
    )


def test_route_finds_its_file_as_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "demo-qwen" in CliRunner().invoke(route, ["hola"]).output
    Path("named.yaml").write_text(REMOTE, encoding="utf-8")
    monkeypatch.setenv("WEIGHBRIDGE_CONFIG", "named.yaml")
    assert "Decided by rest: big" in CliRunner().invoke(route, ["hola"]).output


def test_route_knows_what_the_catalogue_knows() -> None:
    models = "  qwen2.5-0.5b: {engine: lab}\n  qwen2.5-7b: {engine: lab}\nroutes:"
    rule = "  - name: rest\n    require: {family: qwen2.5}\n"
    rule += "    use: [qwen2.5-7b, qwen2.5-0.5b, big]\n"
    text = REMOTE.partition("routes:")[0] + models + "\n" + rule
    Path("routing.yaml").write_text(text, encoding="utf-8")
    output = CliRunner().invoke(route, ["hola", "--model", "auto:fast"]).output
    assert "Decided by rest: qwen2.5-0.5b, qwen2.5-7b" in output
    assert "big is left out: its family is unknown" in output


def test_what_pins_and_groups_leave_no_room_for_is_said_where_it_stands() -> None:
    model = 'engine: cpu, weights: "demo:qwen", memory: 6GiB'
    text = (
        "engines: {cpu: {kind: llamacpp}}\n"
        "residency: {memory: 10GiB, groups: [{models: [c, d], live: together}]}\n"
        f"models:\n  a: {{{model}, pin: true}}\n  b: {{{model}, pin: true}}\n"
        f"  c: {{{model}}}\n  d: {{{model}}}\n"
    )
    lines = ran(text).output.splitlines()
    assert [line.partition(" warning: ")[0] for line in lines[:-1]] == [
        f"routing.yaml:{row}:3:" for row in (4, 5, 6)
    ]
    assert "'a' can never be loaded: it needs 6.0 GiB of ram" in lines[0]
    assert "of which 6.0 GiB are pinned" in lines[1]
    assert "'c' and 'd' can never be loaded: it needs 12.0 GiB of ram" in lines[2]
    assert "warning" not in ran(text.replace("10GiB", "30GiB")).output
