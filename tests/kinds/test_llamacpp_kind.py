"""`kind: llamacpp`: the command line of a worker, and what stands in its way."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.kinds import AdapterOrder, LlamacppEngine, ModelOrder, ReplicaPlan, Room

ROOM = Room(Path("/run/wb"), threads=3)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "toy.gguf"
    path.write_bytes(b"GGUF")
    return path


def engine(**section: Any) -> LlamacppEngine:
    return LlamacppEngine(kind="llamacpp", **section)


def options(plan: ReplicaPlan) -> dict[str, str]:
    assert plan.launch is not None
    found = dict(part.partition("=")[::2] for part in plan.launch.argv[4:])
    return {name: value for name, value in found.items() if value}


def order(weights: Path | str, **more: Any) -> ModelOrder:
    return ModelOrder("toy", "cpu", Path("/nowhere"), weights=str(weights), **more)


def test_a_worker_is_started_by_this_python_from_the_installed_package(weights: Path) -> None:
    (plan,) = engine().plan(order(weights), ROOM)
    assert plan.launch is not None
    assert plan.launch.argv[:5] == (
        sys.executable,
        "-P",
        "-m",
        "engines.llamacpp",
        "--exit-with-stdin",
    )
    assert plan.problem is None
    assert plan.upstream_model == plan.model == "toy"
    assert plan.launch.socket_path == plan.address.socket_path
    assert options(plan)["--socket"] == str(plan.address.socket_path)


def test_the_engines_section_says_what_the_order_leaves_open(weights: Path) -> None:
    section = engine(
        context=4096,
        parallel=3,
        threads=2,
        batch_threads=4,
        batch_tokens=64,
        max_waiting=9,
        gpu_layers=-1,
    )
    (plan,) = section.plan(order(weights), ROOM)
    assert options(plan) == {
        "--weights": str(weights),
        "--name": "toy",
        "--socket": str(plan.address.socket_path),
        "--context": "4096",
        "--parallel": "3",
        "--threads": "2",
        "--batch-threads": "4",
        "--batch-tokens": "64",
        "--max-waiting": "9",
        "--prefix-cache-mib": "512",
        "--kv-type": "f16",
        "--gpu-layers": "-1",
        "--drain-timeout-s": "10",
    }
    assert plan.capacity == 3


def test_the_order_overrides_the_engine(weights: Path) -> None:
    section = engine(context=4096, parallel=3, threads=2)
    (plan,) = section.plan(order(weights, context=512, parallel=5, threads=1), ROOM)
    said = options(plan)
    assert (said["--context"], said["--parallel"], said["--threads"]) == ("512", "5", "1")
    assert plan.capacity == 5


def test_what_nobody_says_the_worker_decides(weights: Path) -> None:
    (plan,) = engine().plan(order(weights), ROOM)
    assert "--context" not in options(plan)
    assert options(plan)["--threads"] == options(plan)["--batch-threads"] == "3"


@pytest.mark.parametrize(
    ("embeddings", "flag"), [(True, "--embeddings"), (False, "--no-embeddings"), (None, None)]
)
def test_embeddings_are_asked_for_refused_or_left_to_the_weights(
    embeddings: bool | None, flag: str | None, weights: Path
) -> None:
    (plan,) = engine().plan(order(weights, embeddings=embeddings), ROOM)
    assert plan.launch is not None
    said = [part for part in plan.launch.argv if part.endswith("-embeddings")]
    assert said == ([flag] if flag else [])


def test_a_pooling_is_told_to_the_worker_where_the_file_names_one(weights: Path) -> None:
    (plain,) = engine().plan(order(weights), ROOM)
    (named,) = engine().plan(order(weights, pooling="last"), ROOM)
    assert "--pooling" not in options(plain)
    assert options(named)["--pooling"] == "last"


def test_how_the_cache_is_kept_is_told_to_the_worker(weights: Path) -> None:
    (plain,) = engine().plan(order(weights), ROOM)
    (small,) = engine(kv_type="q8_0", prefix_cache=False).plan(order(weights), ROOM)
    assert plain.launch is not None
    assert small.launch is not None
    assert "--no-prefix-cache" not in plain.launch.argv
    assert "--no-prefix-cache" in small.launch.argv
    assert options(small)["--kv-type"] == "q8_0"


def test_guessing_from_the_text_is_asked_for_or_not_mentioned(weights: Path) -> None:
    for wanted in (False, True):
        (plan,) = engine(prompt_lookup=wanted).plan(order(weights), ROOM)
        assert plan.launch is not None
        assert ("--prompt-lookup" in plan.launch.argv) is wanted


@pytest.mark.parametrize(
    ("section", "variables"),
    [
        ({}, ()),
        ({"omp_wait": "brief"}, (("GOMP_SPINCOUNT", "300"),)),
        ({"omp_wait": "active"}, (("OMP_WAIT_POLICY", "active"),)),
        ({"omp_wait": "passive"}, (("OMP_WAIT_POLICY", "passive"),)),
    ],
)
def test_how_threads_wait_is_in_the_workers_environment(
    section: dict[str, Any], variables: tuple[tuple[str, str], ...], weights: Path
) -> None:
    (plan,) = engine(**section).plan(order(weights), ROOM)
    assert plan.launch is not None
    assert plan.launch.environment == variables
    # Threads that sleep use no core either: from them nobody sees who wants the cores.
    assert ("--no-yield-cores" in plan.launch.argv) is bool(section)


def test_a_demo_model_takes_one_thread_unless_told_otherwise() -> None:
    assert options(engine().plan(order("demo:qwen"), ROOM)[0])["--threads"] == "1"
    assert options(engine(threads=2).plan(order("demo:qwen"), ROOM)[0])["--threads"] == "2"
    assert options(engine().plan(order("demo:qwen", threads=4), ROOM)[0])["--threads"] == "4"


def test_each_replica_of_each_model_has_a_socket_of_its_own(weights: Path) -> None:
    orders = [replace(order(weights, replicas=3), name=name) for name in ("a", "b")]
    plans = [plan for each in orders for plan in engine().plan(each, ROOM)]
    assert [plan.replica for plan in plans] == ["0", "1", "2"] * 2
    assert len({plan.address.socket_path for plan in plans}) == 6
    again = engine().plan(orders[0], ROOM)
    assert [plan.address.socket_path for plan in again] == [
        plan.address.socket_path for plan in plans[:3]
    ]


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_a_sockets_name_is_short_whatever_the_model_is_called(model: str, kind: str) -> None:
    asked = ModelOrder(model, kind, Path("/nowhere"), weights="demo:qwen")
    path = engine().plan(asked, ROOM)[0].address.socket_path
    assert path is not None
    assert path.parent == ROOM.runtime_folder
    assert len(os.fsencode(path.name)) < 20  # of 24: there is room for thousands of replicas


@pytest.mark.parametrize("weights", [None, "", "none.gguf", "demo:qwem", "Qwen/Q-GGUF:Q4_K_M"])
def test_weights_that_are_not_there_are_a_problem_of_this_model_alone(weights: str | None) -> None:
    asked = ModelOrder("toy", "cpu", Path("/nowhere"), weights=weights)
    (plan,) = engine().plan(asked, ROOM)
    assert plan.problem
    assert "\n" not in plan.problem


def test_adapters_are_told_to_the_worker_and_served_beside_the_model(weights: Path) -> None:
    adapters = (AdapterOrder("sql", str(weights), 1.0), AdapterOrder("law", str(weights), 0.5))
    (plan,) = engine().plan(order(weights, adapters=adapters), ROOM)
    assert plan.launch is not None
    assert plan.launch.argv[-2:] == (f"--adapter=sql={weights}:1.0", f"--adapter=law={weights}:0.5")
    assert plan.served == ("toy", "sql", "law")
    assert [plan.upstream_name(name) for name in plan.served] == ["toy", "sql", "law"]


def test_an_adapter_that_is_not_there_keeps_its_model_from_starting(weights: Path) -> None:
    asked = order(weights, adapters=(AdapterOrder("sql", "none.gguf", 1.0),))
    (plan,) = engine().plan(asked, ROOM)
    assert plan.problem is not None
    assert plan.problem.startswith("its adapter 'sql': there is no file 'none.gguf'")


def test_a_projector_is_told_to_the_worker_and_counts_in_its_memory(weights: Path) -> None:
    asked = order("demo:qwen", mmproj=str(weights))
    (plan,) = engine().plan(asked, ROOM)
    assert plan.launch is not None
    assert plan.launch.argv[-1] == f"--mmproj={weights}"
    more = engine().need(asked).of("adapters") - engine().need(order("demo:qwen")).of("adapters")
    assert more > weights.stat().st_size


def test_a_projector_that_is_not_there_keeps_its_model_from_starting(weights: Path) -> None:
    (plan,) = engine().plan(order(weights, mmproj="none.gguf"), ROOM)
    assert plan.problem is not None
    assert plan.problem.startswith("its mmproj: there is no file 'none.gguf'")


def test_a_missing_extra_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert engine().missing_extra() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jinja2" else 1)
    line = engine().missing_extra()
    assert line is not None
    assert "pip install 'weighbridge[llamacpp]'" in line
    assert engine().plan(order("demo:qwen"), ROOM)[0].problem == line
    assert engine().plan(order("none.gguf"), ROOM)[0].problem == line


@pytest.mark.parametrize(
    "section",
    [
        {"context": 1},
        {"parallel": 0},
        {"parallel": 257},
        {"threads": 0},
        {"batch_tokens": 0},
        {"gpu_layers": -2},
        {"start_timeout_s": 0},
        {"unknown": 1},
    ],
)
def test_a_section_out_of_range_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(section))):
        engine(**section)
