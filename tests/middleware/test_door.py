"""The door as pure ASGI: who may come in, and what the others are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.middleware import Door, DoorRules
from tests.support.asgi import Headers, Sent, call, http_scope

LOCAL = DoorRules()
KEYED = DoorRules(key=SecretStr("k-secret"), any_host=True)
HOME = ("Host", "127.0.0.1:8000")
KEY = ("Authorization", "Bearer k-secret")
JSON = ("Content-Type", "application/json")


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"trusted": scope["weighbridge.trusted"]})(scope, receive, send)


async def knock(
    rules: DoorRules, *headers: tuple[str, str], method: str = "GET", path: str = "/v1/models"
) -> Sent:
    return await call(Door(inside, rules), http_scope(method, path, headers))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "Localhost.:8000",
        "127.0.0.1",
        "127.0.0.1:8000",
        "[::1]",
        "[::1]:8000",
        "localhost:",
    ],
)
async def test_names_of_this_machine_may_come_in(host: str) -> None:
    assert (await knock(LOCAL, ("Host", host))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "evil.example.",
        "EVIL.EXAMPLE",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "user:pass@127.0.0.1",
        "localhost/evil.example",
        "localhost\\evil.example",
        "localhost#evil.example",
        "localhost?evil.example",
        "localhost:8000:8000",
        "localhost:evil",
        "localhost..",
        "localhost,evil.example",
        "localhost evil.example",
        "[::1]evil.example",
        "[::1",
        "[evil.example]",
        "[::2]",
        "[::ffff:192.0.2.1]",
        "0.0.0.0",
        "192.0.2.1",
        "l\xf6calhost",
        ":8000",
        "",
    ],
)
async def test_any_other_host_is_refused(host: str) -> None:
    sent = await knock(LOCAL, ("Host", host))
    assert sent.status == 403
    assert sent.error()["code"] == "forbidden"
    assert "allowed_hosts" in sent.error()["message"]
    assert (await knock(LOCAL, ("Host", host), path="/health")).status == 403


async def test_no_host_and_two_hosts_are_refused() -> None:
    assert (await knock(LOCAL)).status == 403
    for hosts in (("localhost", "evil.example"), ("evil.example", "localhost")):
        assert (await knock(LOCAL, *(("Host", host) for host in hosts))).status == 403


@given(st.text(st.characters(max_codepoint=255), max_size=30))
async def test_no_host_whatever_it_is_breaks_the_door(host: str) -> None:
    assert (await knock(LOCAL, ("Host", host))).status in (200, 403)


async def test_a_configured_host_may_come_in() -> None:
    rules = DoorRules(hosts=frozenset({"llm.example"}))
    assert (await knock(rules, ("Host", "LLM.example:443"))).status == 200
    assert (await knock(rules, HOME)).status == 200
    assert (await knock(rules, ("Host", "x.llm.example"))).status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.1:8000", 200),
        ("[2001:db8::1]:8000", 200),
        ("localhost:8000", 200),
        ("gpu-box", 200),
        ("evil.example:8000", 403),
        ("192.0.2.1.evil.example", 403),
        ("3221225985", 403),
        ("[evil.example]", 403),
        ("", 403),
    ],
)
async def test_without_a_key_other_machines_may_ask_for_addresses_and_configured_names(
    host: str, status: int
) -> None:
    rules = DoorRules(any_address=True, hosts=frozenset({"gpu-box"}))
    assert (await knock(rules, ("Host", host))).status == status


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:80001",
        "http://evil.example@127.0.0.1:8000",
        "http://sub.127.0.0.1:8000",
        "ftp://127.0.0.1:8000",
        "file://",
        "http://",
        "http://[",
        "null",
        "",
        "http://127.0.0.1:8000, http://evil.example",
        "https://chat.example.evil.example",
        "https://xchat.example",
        "http://chat.example",
    ],
)
async def test_pages_of_other_origins_may_not_call(origin: str) -> None:
    rules = DoorRules(origins=frozenset({"https://chat.example"}))
    sent = await knock(rules, HOME, ("Origin", origin))
    assert sent.status == 403
    assert "allowed_origins" in sent.error()["message"]


@pytest.mark.parametrize("origin", ["null", "http://", "https://", ""])
async def test_an_empty_host_is_no_origin_of_ours(origin: str) -> None:
    open_to_all = DoorRules(any_host=True)
    for host in ([], [("Host", "")]):
        assert (await knock(open_to_all, *host, ("Origin", origin))).status == 403


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8000", "https://127.0.0.1:8000", "https://chat.example"]
)
async def test_our_own_pages_and_configured_ones_may_call(origin: str) -> None:
    rules = DoorRules(origins=frozenset({"https://chat.example"}))
    assert (await knock(rules, HOME, ("Origin", origin))).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json, text/plain",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_that_pages_can_send_without_asking_is_refused(
    kind: str | None, method: str
) -> None:
    headers = [HOME] if kind is None else [HOME, ("Content-Type", kind)]
    sent = await knock(LOCAL, *headers, method=method)
    assert sent.status == 415
    assert sent.error()["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON ;x=y"]
)
async def test_a_json_body_may_come_in(kind: str) -> None:
    assert (await knock(LOCAL, HOME, ("Content-Type", kind), method="POST")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "k-secret")],
        [("Authorization", "Basic k-secret")],
        [("Authorization", "Bearer k-secre")],
        [("Authorization", "Bearer k-secretk")],
        [("Authorization", "Bearer K-SECRET")],
        [("Authorization", "Bearer k-s\xe9cret")],
        [("Authorization", "Bearer wrong"), KEY],
        [KEY, ("Authorization", "Bearer wrong")],
        [("Api-Key", "k-secret")],
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs/", "/openapi", "/nothing"])
async def test_without_the_key_nothing_is_told(headers: Headers, path: str) -> None:
    sent = await knock(KEYED, HOME, *headers, path=path)
    assert sent.status == 401
    assert sent.error()["code"] == "invalid_api_key"
    assert sent.headers["www-authenticate"] == "Bearer"
    assert "k-secret" not in sent.body.decode()


@pytest.mark.parametrize("given_key", ["Bearer k-secret", "bearer k-secret", "BEARER  k-secret "])
async def test_with_the_key_everything_is(given_key: str) -> None:
    sent = await knock(KEYED, ("Host", "llm.example"), ("Authorization", given_key))
    assert (sent.status, sent.body) == (200, b'{"trusted":true}')


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_need_no_key_and_see_no_details(path: str) -> None:
    probe = ("Host", "10.1.2.3:8000")
    strict = DoorRules(key=KEYED.key, any_host=True, hosts=frozenset({"llm.example"}))
    for rules in (KEYED, strict):
        assert (await knock(rules, probe, path=path)).body == b'{"trusted":false}'
        assert (await knock(rules, probe, KEY, path=path)).body == b'{"trusted":true}'
    assert (await knock(strict, probe, KEY)).status == 403
    assert (await knock(LOCAL, HOME, path=path)).body == b'{"trusted":true}'


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_description_needs_no_key_but_passes_the_other_checks(path: str) -> None:
    assert (await knock(KEYED, HOME, path=path)).body == b'{"trusted":false}'
    assert (await knock(KEYED, HOME, ("Origin", "http://evil.example"), path=path)).status == 403
    strict = DoorRules(key=KEYED.key, any_host=True, hosts=frozenset({"llm.example"}))
    for rules in (LOCAL, strict):
        assert (await knock(rules, ("Host", "evil.example"), path=path)).status == 403


@pytest.mark.parametrize("path", ["/health/", "//health", "/healthz", "/ready/../v1/models"])
async def test_what_only_looks_like_a_probe_needs_the_key(path: str) -> None:
    assert (await knock(KEYED, HOME, path=path)).status == 401


async def test_a_websocket_reaches_no_endpoint() -> None:
    async def unreached(*_: object) -> None:
        raise AssertionError("the door is open")

    sent = await call(Door(unreached, LOCAL), {"type": "websocket", "path": "/", "headers": []})
    assert not sent.messages


async def test_the_key_is_checked_before_the_body_is_looked_at() -> None:
    sent = await knock(KEYED, HOME, ("Content-Type", "text/plain"), method="POST")
    assert sent.status == 401
    assert (await knock(KEYED, HOME, KEY, JSON, method="POST")).status == 200
