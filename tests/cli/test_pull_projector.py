"""A model's projector is fetched with the weights of the file."""

from pathlib import Path

from engines.weights.references import HubRepo, WebFile
from gateway.cli.pull_targets import all_targets
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
