"""Which models fit together: sets that fit, and that nobody else fits into."""

from hypothesis import given
from hypothesis import strategies as st

from engines.memory import RAM, MemoryNeed, Part, gpu
from gateway.together import company, fits

_SIZES = st.integers(0, 100)
_NEEDS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(_SIZES, _SIZES), max_size=6)


def _need(ram: int, on_gpu: int) -> MemoryNeed:
    return MemoryNeed((Part("weights", RAM, ram), Part("weights", gpu(0), on_gpu)))


@given(_NEEDS, _SIZES, _SIZES)
def test_every_set_fits_and_nobody_else_fits_into_it(
    sizes: dict[str, tuple[int, int]], ram: int, on_gpu: int
) -> None:
    needs = {name: _need(*size) for name, size in sizes.items()}
    budget = {RAM: ram, gpu(0): on_gpu}
    found = company(needs, budget)
    for names in found.sets:
        assert fits([needs[name] for name in names], budget)
        for other in needs.keys() - set(names):
            assert not fits([needs[name] for name in (*names, other)], budget)
    assert found.all_fit == fits(list(needs.values()), budget)
    for name in found.too_large:
        assert not fits([needs[name]], budget)
    for one, other in found.pairs:
        assert not any({one, other} <= set(names) for names in found.sets)


def test_what_the_budget_does_not_name_has_no_limit() -> None:
    assert company({"a": _need(5, 10**12)}, {RAM: 5}).all_fit


def test_pages_of_a_file_are_shared_by_replicas() -> None:
    need = MemoryNeed((Part("weights", RAM, 10, file_backed=True), Part("kv_cache", RAM, 3)))
    assert need.times(3).on(RAM) == 19
