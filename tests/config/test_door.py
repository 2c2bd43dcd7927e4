"""Names and origins of the file that no client can ever send are refused with what to write."""

import pytest

from gateway.config.loading import parse_config
from gateway.config.problems import ConfigError

FILE = """
engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1"}}
models: {big: {engine: lab}}
gateway: {%s: ["%s"]}
"""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("allowed_hosts", "llm.example"),
        ("allowed_hosts", "LLM"),
        ("allowed_hosts", "10.0.0.2"),
        ("allowed_hosts", "fd00::1"),
        ("allowed_origins", "https://chat.example"),
        ("allowed_origins", "https://Chat.example/"),
        ("allowed_origins", "http://localhost:3000"),
        ("allowed_origins", "http://[::1]:3000"),
        ("allowed_origins", "chrome-extension://abcdef"),
        ("allowed_origins", "null"),
    ],
)
def test_what_can_be_sent_may_be_allowed(key: str, value: str) -> None:
    parse_config(FILE % (key, value), "routing.yaml", {})


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("allowed_hosts", "*", "there are no wildcards"),
        ("allowed_hosts", "*.example", "there are no wildcards"),
        ("allowed_hosts", "llm.example:8000", "leave out scheme, port and path"),
        ("allowed_hosts", "https://llm.example", "leave out scheme, port and path"),
        ("allowed_hosts", "", "leave out scheme, port and path"),
        ("allowed_origins", "*", "there are no wildcards"),
        ("allowed_origins", "https://*.example", "there are no wildcards"),
        ("allowed_origins", "chat.example", "write scheme and host"),
        ("allowed_origins", "https://chat.example/app", "write scheme and host"),
        ("allowed_origins", "https://chat.example:443", "the scheme's own port"),
    ],
)
def test_what_nobody_can_send_is_placed_and_explained(key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(FILE % (key, value), "routing.yaml", {})
    assert "routing.yaml:4:" in str(caught.value)
    assert why in str(caught.value)
