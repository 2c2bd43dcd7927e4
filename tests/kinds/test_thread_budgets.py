"""The replicas that a file asks for share the cores out, and never have more between them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loading import parse_config
from gateway.planning import plans_of


def threads(replicas: list[int], cores: int) -> list[int]:
    """Return the threads of each replica of models with so many of them each."""
    models = "".join(
        f'  m{at}: {{engine: cpu, weights: "w.gguf", replicas: {count}}}\n'
        for at, count in enumerate(replicas)
    )
    text = f"engines: {{cpu: {{kind: llamacpp}}}}\nmodels:\n{models}"
    config = parse_config(text, "test.yaml", {}, Path.cwd())
    launches = [plan.launch for plan in plans_of(config, Path("/run"), cores)]
    argued = [argument for launch in launches if launch is not None for argument in launch.argv]
    return [int(a.partition("=")[2]) for a in argued if a.startswith("--threads=")]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 64))
def test_no_more_threads_than_cores_and_one_for_each_at_least(
    replicas: list[int], cores: int
) -> None:
    given_out = threads(replicas, cores)
    assert len(given_out) == sum(replicas)
    assert min(given_out) >= 1
    assert sum(given_out) <= max(cores, len(given_out))
    assert max(given_out) == min(given_out)


def test_a_model_alone_has_all_cores() -> None:
    assert threads([1], 7) == [7]
    assert threads([2], 7) == [3, 3]
