"""llama-swap's commands become workers of ours with the same weights and limits."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.loading import parse_config
from gateway.config.schema import RoutingFile
from gateway.setup.importing import NotReadable, Reading, read_foreign


def reading_of(tree: object) -> Reading:
    return read_foreign(yaml.safe_dump(tree), "config.yaml")


def file_of(reading: Reading) -> RoutingFile:
    return parse_config(reading.text, "routing.yaml", dict.fromkeys(reading.variables, "k")).file


def alone(command: str, **keys: Any) -> dict[str, Any]:
    return {"models": {"m": {"cmd": command, **keys}}}


def test_a_command_with_macros_comments_and_line_ends_is_read() -> None:
    tree = alone(
        "# the big one\n${server} \\\n  -m '/models/my model.gguf' -c 32768 -np 4\n",
        aliases=["gpt-4o-mini"],
        concurrencyLimit=4,
        macros={"host": "127.0.0.1"},
    ) | {"macros": {"server": "/opt/llama-server --host ${host} --port ${PORT}"}}
    reading = reading_of(tree)
    model = file_of(reading).models["m"]
    assert (model.weights, model.context, model.parallel) == ("/models/my model.gguf", 32_768, 4)
    assert model.max_concurrent == 4
    assert file_of(reading).aliases == {"gpt-4o-mini": "m"}
    assert reading.left == ()


def test_models_with_the_same_settings_share_an_engine() -> None:
    tree = {
        "models": {
            "a": {"cmd": "llama-server -m a.gguf -ngl 99 -ctk q8_0 --port ${PORT}"},
            "b": {"cmd": "llama-server --model=b.gguf -ngl=all --cache-type-k q8_0"},
            "d": {"cmd": "llama-server -m d.gguf --context-shift"},
            "c": {"cmd": "llama-server -m c.gguf --embeddings --pooling mean -t 2 -tb 4"},
        }
    }
    file = file_of(reading_of(tree))
    assert [file.models[name].engine for name in "abc"] == ["gpu", "gpu", "cpu"]
    engine = file.engines["gpu"]
    assert (getattr(engine, "gpu_layers", None), getattr(engine, "kv_type", None)) == (-1, "q8_0")
    assert (file.models["c"].embeddings, file.models["c"].pooling) == (True, "mean")
    assert getattr(file.engines[str(file.models["d"].engine)], "context_shift", None) is True
    assert file.models["c"].threads == 2
    assert getattr(file.engines["cpu"], "batch_threads", None) == 4


def test_weights_of_a_hub_keep_their_name() -> None:
    file = file_of(reading_of(alone("llama-server -hf Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M")))
    assert file.models["m"].weights == "Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M"
    file = file_of(reading_of(alone("llama-server -hf o/r-GGUF:Q8_0 -hff r-q4_0.gguf")))
    assert file.models["m"].weights == "o/r-GGUF:r-q4_0.gguf"


def test_flags_without_a_counterpart_are_told() -> None:
    reading = reading_of(
        alone("llama-server -m a.gguf --temp 0.6 --lora x.gguf -fa on", env=["A=b"])
    )
    told = " ".join(one.message for one in reading.left)
    assert "`--temp 0.6`" in told
    assert "`--lora x.gguf`" in told
    assert "models.m.env" in told
    assert "-fa" not in told


def test_models_are_loaded_when_asked_for_one_at_a_time_as_before() -> None:
    models = {
        "a": {"cmd": "llama-server -m a.gguf", "ttl": 300},
        "b": {"cmd": "llama-server -m b.gguf", "ttl": 0},
        "c": {"cmd": "llama-server -m c.gguf"},
    }
    file = file_of(reading_of({"models": models, "hooks": {"on_startup": {"preload": ["c"]}}}))
    assert [file.models[name].load for name in "abc"] == ["demand", "demand", "start"]
    assert [file.models[name].keep_alive_s for name in "abc"] == [300, None, None]
    assert [group.models for group in file.residency.groups] == [("a", "b", "c")]
    assert file.residency.groups[0].live == "apart"


def test_groups_say_who_lives_apart() -> None:
    models = {name: {"cmd": f"llama-server -m {name}.gguf"} for name in "abcde"}
    groups = {
        "both": {"swap": False, "exclusive": True, "members": ["a", "b"]},
        "always": {"swap": False, "exclusive": False, "persistent": True, "members": ["e"]},
    }
    file = file_of(reading_of({"models": models, "groups": groups}))
    apart = [set(group.models) for group in file.residency.groups]
    pairs = [{"a", "b"}, {"a", "e"}, {"d", "e"}, {"a", "c"}, {"b", "d"}, {"c", "d"}]
    held = [any(pair <= group for group in apart) for pair in pairs]
    # Both of a group that does not swap, and what is persistent, may be beside each other.
    assert held == [False, False, False, True, True, True]


def test_vllm_is_started_with_the_same_options() -> None:
    tree = alone(
        "/opt/vllm/bin/vllm serve Qwen/QwQ-32B-AWQ --port ${PORT} --served-model-name m -tp 2 "
        "--max-model-len 32768 --gpu-memory-utilization 0.9 --kv-cache-dtype fp8 --swap-space 4 "
        "--lora-modules a=b",
        env=["CUDA_VISIBLE_DEVICES=0,1"],
    )
    reading = reading_of(tree)
    file = file_of(reading)
    assert (file.models["m"].weights, file.models["m"].context) == ("Qwen/QwQ-32B-AWQ", 32_768)
    assert file.engines["vllm"].model_dump(exclude_unset=True) == {
        "kind": "vllm",
        "command": "/opt/vllm/bin/vllm",
        "tensor_parallel": 2,
        "gpu_memory_utilization": 0.9,
        "kv_type": "fp8",
        "extra_args": ("--swap-space=4",),
        "environment": {"CUDA_VISIBLE_DEVICES": "0,1"},
    }
    assert ["--lora-modules" in one.message for one in reading.left] == [True]


def test_another_program_is_reached_where_it_has_an_address() -> None:
    tree = alone("docker run vllm", proxy="http://127.0.0.1:9001", useModelName="Qwen/QwQ-32B")
    reading = reading_of(tree)
    model = file_of(reading).models["m"]
    assert (model.engine, model.upstream_model) == ("local", "Qwen/QwQ-32B")
    assert any("start it yourself" in one.message for one in reading.left)


def test_another_program_without_an_address_is_left_out() -> None:
    with pytest.raises(NotReadable, match="only llama-server"):
        reading_of(alone("python serve.py ${PORT}"))


def test_peers_are_servers_that_run_elsewhere() -> None:
    tree = alone("llama-server -m a.gguf") | {
        "peers": {
            "far": {"proxy": "https://far.example/v1", "apiKey": "${env.FAR_KEY}", "models": ["x"]}
        }
    }
    reading = reading_of(tree)
    assert reading.variables == ("FAR_KEY",)
    assert file_of(reading).models["x"].engine == "far"


_words = st.sampled_from(
    [
        "llama-server",
        "vllm",
        "serve",
        "-m",
        "a.gguf",
        "--model",
        "-c",
        "0",
        "64",
        "-1",
        "99999999999",
        "-np",
        "1000",
        "-ngl",
        "auto",
        "all",
        "-hf",
        "o/r:Q4",
        "'",
        "${PORT}",
        "${x}",
        "--embedding",
        "--rerank",
        "-t",
        "0",
        "-b",
        "1",
        "--pooling",
        "none",
        "--gpu-memory-utilization",
        "--max-model-len",
        "-q",
        "--swap-space=4",
        "--host",
        "#",
        "\\",
        "''",
    ]
)
_commands = st.lists(_words, max_size=9).map(" ".join)
_models = st.dictionaries(
    st.sampled_from(["a", "auto", "auto:x", " ", "b c", "${HOME}"]),
    st.fixed_dictionaries(
        {
            "cmd": _commands.map(lambda words: f"llama-server -m w.gguf {words}")
            | _commands.map(lambda words: f"vllm serve a/b {words}")
            | _commands
        },
        optional={
            "aliases": st.lists(st.sampled_from(["a", "auto", "z", ""]), max_size=3),
            "proxy": st.sampled_from(["http://h:1", "h", "http://[", "${PORT}", ""]),
            "concurrencyLimit": st.integers(-1, 3),
            "macros": st.dictionaries(st.sampled_from(["x", "PORT"]), _words, max_size=2),
        },
    ),
    max_size=4,
)


@given(_models)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_it_the_result_can_be_served_or_the_file_is_refused(
    models: dict[str, Any],
) -> None:
    try:
        reading = read_foreign(yaml.safe_dump({"models": models}), "config.yaml")
    except NotReadable as refusal:
        refused = str(refusal)
    else:
        refused = ""
        assert file_of(reading).models
    assert "please report" not in refused
