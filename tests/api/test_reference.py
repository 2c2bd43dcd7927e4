"""The page under `/docs` is whole in itself."""

import re
from html.parser import HTMLParser

from gateway.api.openapi import openapi_document
from gateway.api.reference import reference_page
from tests.support.serving import serving

PAGE = reference_page().decode()
NONE = 'engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1"}}\nmodels: {m: {engine: lab}}'


class Tags(HTMLParser):
    """Keeps every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags() -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(PAGE)
    return parser.seen


def test_nothing_is_loaded_and_nothing_runs() -> None:
    assert {tag for tag, _ in tags()}.isdisjoint({"script", "link", "img", "iframe", "object"})
    for _, attributes in tags():
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert not (attributes.get("href") or "").startswith(("http", "//"))
    assert "url(" not in PAGE
    assert "@import" not in PAGE


def test_every_operation_has_its_place_and_every_link_leads_to_one() -> None:
    places = {attributes["id"] for _, attributes in tags() if "id" in attributes}
    operations = [o for methods in openapi_document()["paths"].values() for o in methods.values()]
    assert places == {operation["operationId"] for operation in operations}
    links = {attributes["href"] for tag, attributes in tags() if tag == "a"}
    assert links == {f"#{place}" for place in places} | {"openapi.json"}


def test_fields_ranges_and_commands_are_there() -> None:
    assert "temperature" in PAGE
    assert "number (at least 0, at most 2)" in PAGE
    assert PAGE.count("curl http://127.0.0.1:8000/") >= 10
    # What stands between the quotes of a command must not end them.
    for command in re.findall(r"-d &#x27;(.*?)</pre>", PAGE, re.DOTALL):
        assert command.count("&#x27;") == 1


async def test_browsers_are_told_to_load_and_run_nothing() -> None:
    async with serving(NONE) as served:
        answer = await served.http.get("/docs")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
