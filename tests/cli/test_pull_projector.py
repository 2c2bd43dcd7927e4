"""A model's projector is fetched with the weights of the file."""

from pathlib import Path

import pytest

from engines.families import load_catalogue
from engines.weights.references import HubRepo, WebFile
from gateway.cli.pull_targets import UnknownTarget, all_targets, targets_of
from gateway.config.loading import parse_config

URL = "https://example.com/mmproj.gguf"
CONFIG = """
engines: {{cpu: {{kind: llamacpp}}}}
models:
  one: {{engine: cpu, weights: "demo:qwen", mmproj: "{projector}"}}
  two: {{engine: cpu, weights: "demo:qwen", mmproj: "{projector}"}}
"""


def test_a_projector_behind_a_url_is_fetched_once() -> None:
    text = CONFIG.format(projector=f"{URL}#sha256={'a' * 64}")
    (target,) = all_targets(parse_config(text, "test.yaml", {}, Path.cwd()))
    assert target.name == "one"
    assert isinstance(target.reference, WebFile)
    assert (target.reference.url, target.reference.sha256) == (URL, "a" * 64)


def test_a_projector_of_a_hub_is_fetched_by_its_name() -> None:
    text = CONFIG.format(projector="someone/model-GGUF:mmproj-F16")
    (target,) = all_targets(parse_config(text, "test.yaml", {}, Path.cwd()))
    assert target.reference == HubRepo("someone/model-GGUF", pick="mmproj-F16")


def test_a_projector_of_this_machine_is_not() -> None:
    text = CONFIG.format(projector="./mmproj.gguf")
    assert not list(all_targets(parse_config(text, "test.yaml", {}, Path.cwd())))


def test_who_names_a_model_gets_its_projector_too() -> None:
    text = CONFIG.format(projector="someone/model-GGUF:mmproj-F16")
    text += '  seer: {engine: cpu, weights: "o/r:Q4_0", mmproj: "o/r:mmproj-F16", aliases: [eye]}\n'
    config, catalogue = parse_config(text, "test.yaml", {}, Path.cwd()), load_catalogue()
    for name in ("seer", "eye"):
        found = [str(one.reference) for one in targets_of(name, config, catalogue, None)]
        assert found == ["o/r:Q4_0", "o/r:mmproj-F16"]
    found = [str(one.reference) for one in targets_of("seer", config, catalogue, "Q8_0")]
    assert found == ["o/r:Q8_0", "o/r:mmproj-F16"]
    # Its weights are a file of this machine.
    (target,) = targets_of("one", config, catalogue, None)
    assert target.reference == HubRepo("someone/model-GGUF", pick="mmproj-F16")
    with pytest.raises(UnknownTarget, match="needs no fetching"):
        targets_of("one", config, catalogue, "Q8_0")
