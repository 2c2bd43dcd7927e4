"""What becomes one engine, one model, one name; whatever the servers say, the file loads."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.families import load_catalogue
from engines.kinds import LlamacppEngine
from engines.llamacpp.beforehand import LARGEST_OWN_CONTEXT
from engines.weights import GgufHeader
from gateway.config.checks import warnings_in
from gateway.config.loading import parse_config
from gateway.setup.draft import draft
from gateway.setup.listing import read_list
from gateway.setup.models import Role
from gateway.setup.rules import rules_for
from gateway.setup.sources import Listed, Server, Silent, Sources, WeightsFile
from gateway.setup.writing import written

CATALOGUE = load_catalogue()
REPOS = [repo for entry in CATALOGUE.entries for repo in entry.repos]
IDS = st.one_of(
    st.text(min_size=1, max_size=300),
    st.text(alphabet="aA1-_.:/${}\"'\\#&*!|>%@`[],\n ", min_size=1, max_size=20),
    st.sampled_from(REPOS),
    st.sampled_from([entry.name for entry in CATALOGUE.entries]),
)
# Numbers beyond all sense, numbers as text, no numbers.
LENGTHS = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=5),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": IDS}, optional={"max_model_len": LENGTHS, "root": IDS, "parent": IDS}
    ),
    min_size=1,
    max_size=12,
)


def header(architecture: str = "qwen2", name: str | None = None) -> GgufHeader:
    return GgufHeader(architecture, name, 32_768, 7_000_000_000, None, has_chat_template=True)


def server(url: str, *ids: str, key_env: str | None = None) -> Server:
    return Server(url, tuple(Listed(one) for one in ids), key_env)


@settings(max_examples=150, deadline=None)
@given(lists=st.lists(ROWS, min_size=1, max_size=3))
def test_whatever_servers_list_the_file_loads_and_serves_each_model_once(
    lists: list[list[dict[str, object]]],
) -> None:
    """Ids, lengths and roots of any kind; two models of one id are told apart by their engines."""
    servers = []
    for number, rows in enumerate(lists):
        models, owner = read_list(json.dumps({"data": rows}).encode())
        if models:
            servers.append(Server(f"http://gpu{number}:8000/v1", models, owner=owner))
    if not servers:
        return
    found = draft(Sources(tuple(servers)), CATALOGUE)
    file = parse_config(written(found, rules_for(found.models)), "routing.yaml", {}).file
    assert warnings_in(file) == ()
    assert list(file.models) == [model.name for model in found.models]
    for one in servers:
        engine = next(engine.name for engine in found.engines if one.url in engine.urls)
        here = [
            model.upstream_model
            for model in file.models.values()
            if engine in ((model.engine,) if isinstance(model.engine, str) else model.engine)
        ]
        assert sorted(filter(None, here)) == sorted(row.id for row in one.models)
    known = {*file.models, *(alias for model in file.models.values() for alias in model.aliases)}
    assert len(known) == sum(1 + len(model.aliases) for model in file.models.values())
    assert not any(name.partition(":")[0] == "auto" for name in known)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS)
def test_a_name_never_claims_to_be_a_model_that_the_catalogue_did_not_find(
    rows: list[dict[str, object]],
) -> None:
    models, _ = read_list(json.dumps({"data": rows}).encode())
    for model in draft(Sources((Server("http://a/v1", models),)), CATALOGUE).models:
        assert CATALOGUE.find(model.name) in (None, model.found.entry)


@settings(max_examples=200, deadline=None)
@given(body=st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "id", "meta", "parent"]), inner, max_size=3),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_answer_is_a_list_or_is_none(body: bytes) -> None:
    try:
        models, _ = read_list(body)
    except ValueError:
        return
    assert all(model.id for model in models)


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["http://gpu1:8000/v1"], ["gpu1"]),
        (["http://gpu1:8000/v1", "http://gpu2:8000/v1"], ["gpu"]),
        (["http://a.lab.example/v1", "http://b.lab.example/v1"], ["a"]),
        (["http://10.0.0.5:8000/v1"], ["host-10-0-0-5"]),
        (["http://[::1]:8000/v1"], ["local"]),
        (["http://[fd00::1]:8000/v1"], ["host-fd00-1"]),
    ],
)
def test_an_engine_is_named_after_its_hosts(urls: list[str], names: list[str]) -> None:
    found = draft(Sources(tuple(server(url, "m") for url in urls)), CATALOGUE)
    assert [engine.name for engine in found.engines] == names


def test_what_another_gateway_of_ours_says_of_its_models_is_kept() -> None:
    rows = [
        {"id": "chat", "kind": "model", "capabilities": ["generation", "embeddings"]},
        {"id": "likeness", "capabilities": ["embeddings"], "parameters": 22_000_000},
        {"id": "order", "capabilities": ["reranking"]},
        {"id": "auto", "kind": "auto"},
    ]
    models, owner = read_list(json.dumps({"data": rows}).encode())
    found = draft(Sources((Server("http://a/v1", models, owner=owner),)), CATALOGUE)
    roles = [model.found.role for model in found.models]
    assert roles == [Role.CHAT, Role.EMBEDDING, Role.RERANKER]
    file = parse_config(written(found, rules_for(found.models)), "routing.yaml", {}).file
    assert (file.models["likeness"].embeddings, file.models["order"].reranks) == (True, True)
    assert "22M parameters" in written(found, rules_for(found.models))


def test_servers_behind_different_keys_are_different_engines() -> None:
    pair = (server("http://a/v1", "m", key_env="A"), server("http://b/v1", "m", key_env="B"))
    found = draft(Sources(pair), CATALOGUE)
    assert [engine.key_env for engine in found.engines] == ["A", "B"]
    assert found.models[0].engines == ("a", "b")


def test_a_server_called_cpu_does_not_take_the_name_of_our_workers() -> None:
    files = (WeightsFile("./x.gguf", header()),)
    found = draft(Sources((server("http://cpu:80/v1", "m"),), (), files), CATALOGUE)
    assert [engine.name for engine in found.engines] == ["cpu-2", "cpu"]
    silent = (Silent("http://cpu:81/v1", "why"),)
    found = draft(Sources((server("http://cpu:80/v1", "m"),), silent, files), CATALOGUE)
    assert [engine.name for engine in found.engines] == ["cpu-2", "cpu", "cpu-3"]


def test_two_copies_of_one_model_have_two_names() -> None:
    ids = ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct-AWQ", "acme/Qwen2.5-7B-Instruct")
    found = draft(Sources((server("http://a/v1", *ids),)), CATALOGUE)
    assert [model.name for model in found.models] == [
        "qwen2.5-7b",
        "qwen2.5-7b-instruct-awq",
        "qwen2.5-7b-instruct",
    ]


def test_a_file_is_matched_by_its_name_or_by_its_header_if_the_architecture_agrees() -> None:
    files = (
        WeightsFile("./Qwen2.5-7B-Instruct-Q4_K_M.gguf", header()),
        WeightsFile("./a.gguf", header(name="Qwen2.5 Coder 7B Instruct")),
        WeightsFile("./Qwen2.5-14B-Instruct.gguf", header("llama")),
        WeightsFile("./c.gguf", header("nomic-bert", "nomic")),
        WeightsFile("./mmproj-f16.gguf", header("clip")),
        WeightsFile("./d.gguf", replace(header("bert"), pooling="rank", has_rank_head=True)),
        WeightsFile("./e.gguf", replace(header("qwen3"), pooling="last")),
    )
    found = draft(Sources((), (), files), CATALOGUE).models
    assert [model.name for model in found[:2]] == ["qwen2.5-7b", "qwen2.5-coder-7b"]
    assert [model.catalogue for model in found[:2]] == [None, "qwen2.5-coder-7b"]
    assert found[2].found.entry is None
    assert found[3].embeddings
    assert found[4].found.role is Role.OTHER
    assert found[5].reranks
    assert found[6].embeddings


def test_workers_take_so_much_context_as_is_counted_on() -> None:
    said = LlamacppEngine.model_fields["context"].description or ""
    assert f"at most {LARGEST_OWN_CONTEXT:,}" in said
    files = (WeightsFile("./x.gguf", header()),)
    assert (
        draft(Sources((), (), files), CATALOGUE).models[0].found.context_tokens
        == LARGEST_OWN_CONTEXT
    )
