"""`/v1/models` shows aliases of all kinds, each with what it means."""

from pathlib import Path

from gateway.api.models import list_models, one_model
from gateway.config.loading import parse_config
from gateway.config.vocabulary import ORDER_VARIANTS, TASK_VARIANTS
from gateway.domain import ModelFacts
from gateway.parts import build_gateway

CONFIG = """\
engines: {lab: {kind: remote, url: "http://127.0.0.1:1/v1"}}
models: {big: {engine: lab, aliases: [own]}}
aliases: {gpt: gpt-4o, gpt-4o: big, any: auto, quick: "auto:fast"}
"""


def test_each_alias_has_a_row_that_says_what_it_means(tmp_path: Path) -> None:
    config = parse_config(CONFIG, "r.yaml", {}, tmp_path)
    gateway = build_gateway(config, {}, runtime_folder=tmp_path, cores=1)
    rows = {row.id: (row.kind, row.alias_of) for row in list_models(gateway).data}
    assert rows == {
        "big": ("model", None),
        "own": ("alias", "big"),
        "gpt": ("alias", "big"),
        "gpt-4o": ("alias", "big"),
        "any": ("alias", "auto"),
        "quick": ("alias", "auto:fast"),
        "auto": ("auto", None),
        **{f"auto:{name}": ("auto", None) for name in (*ORDER_VARIANTS, *TASK_VARIANTS)},
    }
    assert one_model(gateway, "quick").alias_of == "auto:fast"


def test_a_row_says_what_the_model_is_known_to_do(tmp_path: Path) -> None:
    config = parse_config(CONFIG, "r.yaml", {}, tmp_path)
    facts = {"big": ModelFacts(generates=True, embeddings=False, reranks=True)}
    gateway = build_gateway(config, facts, runtime_folder=tmp_path, cores=1)
    assert one_model(gateway, "own").capabilities == ("generation", "reranking")
