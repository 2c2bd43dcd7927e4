"""`kind: remote`: what its section takes, and the replicas that its URLs are."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.kinds import ModelOrder, RemoteEngine, ReplicaPlan, Room


def plans(**section: Any) -> tuple[ReplicaPlan, ...]:
    order = ModelOrder("big", "lab", Path(), upstream_model="Qwen/Qwen2.5-72B-Instruct")
    return RemoteEngine(kind="remote", **section).plan(order, Room(Path()))


def why_not(**section: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        RemoteEngine(kind="remote", **section)
    return str(caught.value)


def test_each_url_is_a_replica_named_by_its_place() -> None:
    found = plans(url=["http://gpu1:8000/v1", "https://lab.example/openai/v1/", "http://[::1]"])
    assert [plan.replica for plan in found] == ["gpu1:8000", "lab.example:443/openai", "::1:80"]
    assert [plan.health_path for plan in found] == [
        "/v1/models",
        "/openai/v1/models",
        "/v1/models",
    ]
    assert [plan.metrics_path for plan in found] == ["/metrics", "/openai/metrics", "/metrics"]
    assert {plan.upstream_model for plan in found} == {"Qwen/Qwen2.5-72B-Instruct"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gpu1:8000", "http://host:port/v1"),
        ("ftp://gpu1", "http://host:port/v1"),
        ("http://gpu1:abc", "http://host:port/v1"),
        ("http://gpu1:99999", "http://host:port/v1"),
        ("http://[::1", "http://host:port/v1"),
        ("http://gpu 1", "%20"),
        ("http://gpu1/v1\r\nx: y", "%20"),
        ("http://gp\u00fc", "ASCII"),
        ("http://gpu..lab:8000/v1", "two dots"),
        ("http://gpu1/v1?x=1", "no ?"),
        ("http://gpu1/v1/chat/completions/", "write http://gpu1/v1"),
        (["http://gpu1", "http://gpu1:80/v1/"], "twice"),
        (["http://localhost:8000", "http://127.0.0.1:8000"], "twice"),
        (["http://[::1]:8000", "http://localhost:8000"], "twice"),
        ([], "url"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_remedy(url: object, words: str) -> None:
    assert words in why_not(url=url)


@pytest.mark.parametrize("place", ["gpu1", "gpu1:99999", "gpu 1", "[::1"])
def test_a_password_in_a_url_is_refused_and_not_repeated(place: str) -> None:
    said = why_not(url=f"http://me:secret@{place}")
    assert "api_key" in said
    assert "secret" not in said


def test_the_key_is_sent_as_a_bearer_token_and_never_shown() -> None:
    plan = plans(url="http://gpu1", api_key="sesame")[0]
    assert plan.address.authorization == "Bearer sesame"
    assert "sesame" not in repr(plan)


@pytest.mark.parametrize("key", [None, ""])
def test_a_key_that_is_left_empty_is_no_key(key: str | None) -> None:
    assert plans(url="http://gpu1", api_key=key)[0].address.authorization is None


@pytest.mark.parametrize("key", ["two words", "line\n", "schl\u00fcssel"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    said = why_not(url="http://gpu1", api_key=key)
    assert "printable ASCII" in said
    assert key not in said


def test_health_and_metrics_may_lie_elsewhere() -> None:
    (plan,) = plans(url="http://gpu1/v1", health_path="/health", metrics_path="/figures")
    assert (plan.health_path, plan.metrics_path) == ("/health", "/figures")


def test_only_this_machines_certificate_may_go_unchecked() -> None:
    assert plans(url="https://localhost", verify=False)[0].address.trust.verify is False
    said = why_not(url=["https://localhost", "https://gpu1"], verify=False)
    assert "'ca'" in said


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"url": "http://10.0.0.1", "discover": "a"}, "needs a name"),
        ({"url": "http://gpu1", "nameserver": "10.0.0.2:53"}, "no effect without 'discover'"),
        ({"url": "http://gpu1", "discover": "a", "nameserver": "dns"}, "IP:PORT"),
        ({"url": "http://gpu1", "discover": "a", "nameserver": "10.0.0.2:0"}, "IP:PORT"),
        ({"url": "http://gpu1", "discover": "mdns"}, "'a' or 'srv'"),
        ({"url": "http://gpu1", "health_path": "health"}, "pattern"),
    ],
)
def test_keys_of_discovery_that_mean_nothing_are_refused(
    section: dict[str, Any], words: str
) -> None:
    assert words in why_not(**section)


def test_a_connection_checked_otherwise_is_not_shared() -> None:
    plain = plans(url="https://localhost")[0].address
    unchecked = plans(url="https://localhost", verify=False)[0].address
    assert plain.key != unchecked.key
