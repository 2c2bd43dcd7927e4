"""`weighbridge pull` as people run it: against a hub on loopback, then without any network."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.demo import weights_path
from tests.support.hub import Fault, Hub, Repo, running_hub
from tests.support.process import COMMAND, clean_environment, gateway_process, run_command
from tests.support.split_gguf import split
from tests.support.waiting import until

QWEN = "o/toy-GGUF"
LLAMA = "meta-llama/Llama-3.2-1B-Instruct-GGUF"
CONFIG = f"""\
engines: {{cpu: {{kind: llamacpp}}}}
models:
  toy: {{engine: cpu, weights: "{QWEN}:Q8_0", aliases: [small]}}
"""
BIG = bytes(range(256)) * 4_000


@pytest.fixture
def hub() -> Iterator[Hub]:
    parts = split(weights_path("qwen"), "toy-q8_0", 2)
    repos = {
        QWEN: Repo({**parts, "toy-q4_0.gguf": BIG}, {"license": "apache-2.0"}),
        LLAMA: Repo({"l-q4_0.gguf": BIG}, {"license": "llama3.2"}),
        "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF": Repo(
            {"q-q4_k_m.gguf": BIG, "q-q8_0.gguf": BIG + BIG, "q-fp16.gguf": BIG * 4},
            {"license": "apache-2.0"},
        ),
    }
    with running_hub(repos) as hub:
        yield hub


def environ(hub: Hub, folder: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "WEIGHBRIDGE_CACHE": str(folder / "cache"),
        "NO_PROXY": "*",
    }


def pull(hub: Hub, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return run_command(folder, "pull", *argv, environ=environ(hub, folder))


async def test_from_a_name_in_the_file_to_an_answer_without_a_network(
    hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "routing.yaml").write_text(CONFIG, encoding="utf-8")
    checked = run_command(tmp_path, "check", environ=environ(hub, tmp_path))
    assert "routing.yaml:3:22: warning: the weights of 'toy' are not here: " in checked.stdout
    assert "`weighbridge pull toy` fetches them now" in checked.stdout
    pulled = pull(hub, tmp_path)
    assert (pulled.returncode, pulled.stdout.splitlines()[-1]) == (
        0,
        f'{QWEN}:Q8_0 is here. In routing.yaml: weights: "{QWEN}:Q8_0"',
    ), pulled.stderr
    hub.down = True
    checked = run_command(tmp_path, "check", environ=environ(hub, tmp_path))
    assert checked.stdout.startswith("Nothing is wrong with ./routing.yaml.")
    asked = len(hub.asked)
    ask = {"model": "small", "messages": [{"role": "user", "content": "Hola"}]}
    with gateway_process(tmp_path, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            answer = await http.post("/v1/chat/completions", json=ask)
    assert answer.status_code == 200, answer.text + gateway.errors()
    assert "Hola" in answer.json()["choices"][0]["message"]["content"]
    assert len(hub.asked) == asked


def test_a_name_of_the_catalogue_gets_repository_quantisation_and_reason(
    hub: Hub, tmp_path: Path
) -> None:
    ended = pull(hub, tmp_path, "qwen2.5-coder-7b")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "qwen2.5-coder-7b: GGUF files of Qwen/Qwen2.5-Coder-7B-Instruct-GGUF"
    assert lines[1] == "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF:Q8_0: 1 file, 2.0 MB"
    assert "Q8_0: the largest there is below 16 bits a weight" in lines[2]
    assert "Apache License 2.0" in lines[3]
    assert lines[4].endswith('weights: "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF:Q8_0"')
    again = pull(hub, tmp_path, "qwen2.5-coder-7b")
    assert again.stdout.splitlines()[-1].endswith("is here (2.0 MB).")
    other = pull(hub, tmp_path, "qwen2.5-coder-7b", "--quant", "q4_k_m")
    assert "Instruct-GGUF:q4_k_m is here" in other.stdout


def test_a_licence_that_is_not_open_is_asked_for_once(hub: Hub, tmp_path: Path) -> None:
    refused = pull(hub, tmp_path, LLAMA)
    assert refused.returncode == 1
    assert "Llama 3.2 Community License" in refused.stdout
    assert "<= 700M users a month" in refused.stdout
    assert "pull again with --accept-licence" in refused.stderr
    assert hub.fetched == []
    assert pull(hub, tmp_path, LLAMA, "--accept-licence").returncode == 0
    note = tmp_path / "cache" / "weights" / "licences" / "llama-3.2.json"
    assert f'"for": "{LLAMA}"' in note.read_text(encoding="utf-8")
    hub.repos[LLAMA].files["l-q8_0.gguf"] = BIG + b"more"
    assert pull(hub, tmp_path, f"{LLAMA}:Q8_0").returncode == 0


def test_several_names_are_pulled_and_what_fails_is_said_at_the_end(
    hub: Hub, tmp_path: Path
) -> None:
    ended = pull(hub, tmp_path, f"{QWEN}:Q4_0", "o/none", "qwen2.5-codr-7b", "demo:qwen")
    assert ended.returncode == 1
    assert f"{QWEN}:Q4_0 is here." in ended.stdout
    assert "has no o/none: check the name" in ended.stderr
    assert "did you mean qwen2.5-coder-7b?" in ended.stderr
    assert "toy-q4_0.gguf: 100% of 1.0 MB" in ended.stderr


def test_offline_what_is_here_is_fine_and_what_is_not_is_said(hub: Hub, tmp_path: Path) -> None:
    assert pull(hub, tmp_path, f"{QWEN}:Q4_0").returncode == 0
    offline = environ(hub, tmp_path) | {"HF_HUB_OFFLINE": "1"}
    asked = len(hub.asked)
    here = run_command(tmp_path, "pull", f"{QWEN}:Q4_0", environ=offline)
    assert (here.returncode, here.stderr) == (0, "")
    assert "is here; the hub was not asked: HF_HUB_OFFLINE is set" in here.stdout
    missing = run_command(tmp_path, "pull", f"{QWEN}:Q8_0", environ=offline)
    assert missing.returncode == 1
    assert "unset it to pull" in missing.stderr
    assert len(hub.asked) == asked


def _heeds_ctrl_c() -> None:
    """Undo what a shell does to jobs in the background: they would not hear it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_keeps_what_has_come(hub: Hub, tmp_path: Path) -> None:
    # Nothing more comes after the first bytes: the next tries are refused for a minute each.
    hub.faults = [Fault(cut_after=300_000), *(Fault(status=503, retry_after="60") for _ in "abc")]
    command = [COMMAND, "pull", f"{QWEN}:Q4_0"]
    settings = clean_environment() | environ(hub, tmp_path)
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=settings,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_ctrl_c,  # noqa: PLW1509 - no thread of ours holds a lock here
    ) as process:
        assert process.stderr is not None
        while "HTTP 503" not in process.stderr.readline():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(20) == 130
    assert said.endswith("Stopped. What has been fetched is kept: pull again to resume.\n")
    hub.faults.clear()
    ended = pull(hub, tmp_path, f"{QWEN}:Q4_0")
    assert ended.returncode == 0
    assert "of which 300.0 kB are here" in ended.stdout
    assert hub.fetched[-1] == "bytes=300000-"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("toy", "is here"),
        ("small", "is here"),
        ("far", "is served by a remote engine"),
        ("mine", "needs no fetching"),
        ("nonesuch", "is neither a model of the file nor one of the catalogue"),
    ],
)
def test_names_of_the_file_come_first(name: str, words: str, hub: Hub, tmp_path: Path) -> None:
    config = CONFIG + '  far: {engine: lab}\n  mine: {engine: cpu, weights: "demo:qwen"}\n'
    config = config.replace("cpp}}", 'cpp}, lab: {kind: remote, url: "http://lab/v1"}}')
    (tmp_path / "routing.yaml").write_text(config, encoding="utf-8")
    ended = pull(hub, tmp_path, name)
    assert words in ended.stdout + ended.stderr


async def test_a_gateway_that_runs_serves_what_is_pulled_meanwhile(
    hub: Hub, tmp_path: Path
) -> None:
    config = CONFIG + '  demo: {engine: cpu, weights: "demo:coder"}\nresidency: {pull: never}\n'
    ask = {"model": "toy", "messages": [{"role": "user", "content": "Hola"}]}
    with gateway_process(tmp_path, config=config, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            refused = await http.post("/v1/chat/completions", json=ask)
            assert refused.status_code == 503
            assert f"run `weighbridge pull {QWEN}:Q8_0`" in refused.text
            assert pull(hub, tmp_path, "toy").returncode == 0

            async def answers() -> bool:
                answer = await http.post("/v1/chat/completions", json=ask)
                return answer.status_code == 200

            await until(answers)
        log = gateway.errors()
    assert log.count("weights were fetched") == 1


def test_a_real_disk_without_room_is_seen_before_the_first_byte(hub: Hub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = environ(hub, tmp_path) | {"HF_HUB_CACHE": str(disk / "hub")}
    mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    script = f'mount -t tmpfs -o size=400k none "{disk}" && exec "$@"'
    if subprocess.run([*mounts, script, "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no disk of one's own can be mounted here: unshare with user namespaces")
    full = [*mounts, script, "sh", COMMAND, "pull", f"{QWEN}:Q4_0"]
    ended = subprocess.run(
        full,
        cwd=tmp_path,
        env=clean_environment() | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert f"{QWEN}:Q4_0 takes 1.0 MB more, and the disk of {disk} has" in ended.stderr
    assert "or name a folder on a larger disk with HF_HUB_CACHE" in ended.stderr
    assert hub.fetched == []
