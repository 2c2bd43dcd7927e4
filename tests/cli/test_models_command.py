"""`weighbridge models`: the catalogue's table, and a gateway's answer over real HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.models import models
from gateway.cli.models_catalogue import short_count

ROWS: list[dict[str, Any]] = [
    {
        "id": "qwen2.5-7b",
        "kind": "model",
        "state": "ready",
        "reason": "",
        "engines": ["cpu"],
        "family": "qwen2.5",
        "parameters": 7_610_000_000,
        "context": 32_768,
        "licence": {"class": "open", "spdx": "Apache-2.0"},
        "replicas": [{"replica": "1", "state": "ready"}, {"replica": "2", "state": "starting"}],
    },
    {"id": "mine", "state": "failed", "reason": "there is no file 'x.gguf'", "replicas": None},
    {"id": "gpt-4o-mini", "kind": "alias", "alias_of": "qwen2.5-7b"},
    {"id": "auto", "kind": "auto", "alias_of": None},
    "no row",  # type: ignore[list-item]  # a stranger's answer is read without falling over
]


@contextmanager
def gateway(status: int, body: bytes, seen: list[str | None] | None = None) -> Iterator[str]:
    """Answer every GET with this; yields the URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.headers.get("authorization"))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run(*arguments: str, key: str | None = None, key_file: str | None = None) -> Result:
    variables = {"WEIGHBRIDGE_API_KEY": key, "WEIGHBRIDGE_API_KEY_FILE": key_file}
    return CliRunner().invoke(models, arguments, env=variables)


def served(*arguments: str) -> Result:
    with gateway(200, json.dumps({"data": ROWS}).encode()) as url:
        return run("--url", url, *arguments)


def test_the_catalogue_is_an_aligned_table_without_colour() -> None:
    result = run("--catalogue")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    at = lines[0].index("class")
    assert {line[at:].split()[0] for line in lines[1:]} == {"open", "conditional", "research"}


def test_the_catalogue_tells_what_a_licence_holds_back() -> None:
    lines = {line.split()[0]: line for line in run("--catalogue").stdout.splitlines()}
    assert '<= 700M users a month; show "Built with Llama"' in lines["llama-3.1-8b"]
    assert "<= 700M users a month; not EU;" in lines["llama-3.2-11b-vision"]
    assert "<= 700M users a month; not EU;" in lines["llama-4-scout"]
    assert "<= 100M users a month" in lines["qwen2.5-72b"]
    assert "no commercial use" in lines["qwen2.5-3b"]
    assert "ask before commercial use; user limit unknown" in lines["baichuan2-7b"]
    assert "see the licence" in lines["deepseek-v2"]
    assert "users a month" not in lines["qwen2.5-7b"]


def test_words_filter_the_catalogue() -> None:
    lines = run("--catalogue", "qwen2.5", "research").stdout.splitlines()[1:]
    assert lines
    assert all(line.startswith("qwen2.5-") and "3b" in line for line in lines)


def test_the_catalogue_as_json_keeps_what_is_unknown() -> None:
    rows = json.loads(run("--catalogue", "--json", "qwen2.5-vl-7b").stdout)
    assert rows[0]["parameters"] is None
    assert rows[0]["licence"]["spdx"] == "Apache-2.0"
    assert rows[0]["capabilities"] == ["chat", "vision"]


def test_words_that_nothing_meets() -> None:
    result = run("--catalogue", "gpt-4o")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no model" in result.stderr


def test_what_a_gateway_serves() -> None:
    lines = served().stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [
        "qwen2.5-7b", "ready", "cpu", "1/2", "ready", "qwen2.5", "7.61B", "32,768", "Apache-2.0",
        "gpt-4o-mini",
    ]  # fmt: skip
    assert "failed: there is no file 'x.gguf'" in lines[2]
    assert "unknown" in lines[2]


def test_words_filter_what_a_gateway_serves() -> None:
    rows = json.loads(served("--json", "failed").stdout)
    assert [row["id"] for row in rows] == ["mine"]


def test_the_key_is_sent() -> None:
    seen: list[str | None] = []
    with gateway(200, b'{"data": []}', seen) as url:
        assert run("--url", f"{url}/v1/", key="sesame").exit_code == 0
    assert seen == ["Bearer sesame"]


def test_the_key_may_lie_in_a_file(tmp_path: Path) -> None:
    seen: list[str | None] = []
    (tmp_path / "key").write_text("sesame\n")
    with gateway(200, b'{"data": []}', seen) as url:
        assert run("--url", url, key_file=str(tmp_path / "key")).exit_code == 0
        missing = run("--url", url, key_file=str(tmp_path / "none"))
    assert seen == ["Bearer sesame"]
    assert missing.exit_code == 1
    assert "WEIGHBRIDGE_API_KEY_FILE" in missing.stderr


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (401, b"{}", "WEIGHBRIDGE_API_KEY"),
        (404, b"<html>", "--url"),
        (200, b"[1]", "--url"),
        (500, b'{"data": []}', "HTTP 500"),
    ],
)
def test_an_answer_without_models_is_one_line(status: int, body: bytes, remedy: str) -> None:
    with gateway(status, body) as url:
        result = run("--url", url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert remedy in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "ftp://x", "http://[::1"])
def test_no_gateway_is_one_line_with_the_remedy(url: str) -> None:
    result = run("--url", url)
    assert result.exit_code == 1
    assert "weighbridge serve" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_gateway_of_the_file_here_is_asked_and_nobody_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key goes with the question: a file that somebody else wrote must not lead it away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIGHBRIDGE_CONFIG", raising=False)
    seen: list[str | None] = []
    with gateway(200, json.dumps({"data": ROWS}).encode(), seen) as url:
        port = url.rpartition(":")[2]
        (tmp_path / "routing.yaml").write_text(
            f"gateway: {{host: llm.example, port: {port}}}\n"
            "engines: {lab: {kind: remote, url: 'http://127.0.0.1:9'}}\n"
            "models: {m: {engine: lab}}\n"
        )
        result = run(key="sesame")
        (tmp_path / "routing.yaml").rename(tmp_path / "mine.yaml")
        named = run("--config", "mine.yaml", key="sesame")
    assert seen == ["Bearer sesame", "Bearer sesame"]
    assert "qwen2.5-7b" in result.stdout
    assert "qwen2.5-7b" in named.stdout


def test_short_counts() -> None:
    counts = (7_610_000_000, 671_000_000_000, 490_000_000, 4_096, None, True)
    assert [short_count(count) for count in counts] == [
        "7.61B", "671B", "490M", "4,096", "unknown", "unknown",
    ]  # fmt: skip


def test_what_excludes_each_other_is_refused() -> None:
    refused = run("--pulled", "--url", "http://127.0.0.1:9")
    assert (refused.exit_code, "Give one of --pulled, --catalogue and --url" in refused.output) == (
        2,
        True,
    )
