"""What was measured of a process, and the estimate that comes of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.memory import RAM, MemoryNeed, MemoryUse, Part
from engines.memory.remembered import Remembered, Seen, corrected

_NEED = MemoryNeed(
    (
        Part("weights", RAM, 500, file_backed=True),
        Part("kv_cache", RAM, 100),
        Part("kv_cache", "gpu0", 70),
        Part("prefixes", RAM, 200, late=True),
        Part("process", RAM, 20, file_backed=True),
        Part("process", RAM, 40),
    )
)
_CLAIMED = MemoryNeed((Part("kv_cache", RAM, 1_000), Part("process", RAM, 300)))
_SIZE = st.integers(0, 5_000)


def test_what_requests_bring_later_is_added_to_what_a_load_took() -> None:
    need = corrected(_NEED, Seen.loaded(MemoryUse(530, 160)))
    assert need.file_backed() == 530
    assert need.anonymous() == 160 + 200
    assert need.of("prefixes") == 200
    assert need.on("gpu0") == 70


def test_the_end_of_a_full_process_counts_where_it_had_more_than_was_reckoned() -> None:
    after_load = Seen.loaded(MemoryUse(520, 140))
    for late, most in ((300, 340), (600, 600)):
        seen = after_load.most(Seen.leaving(MemoryUse(520, late)))
        assert corrected(_NEED, seen).anonymous() == most


def test_pages_of_files_that_others_share_are_not_taken_for_fewer() -> None:
    need = corrected(_NEED, Seen.loaded(MemoryUse(260, 140)))
    assert need.file_backed() == 520


def test_where_the_system_tells_no_kinds_apart_the_sum_is_right() -> None:
    need = corrected(_NEED, Seen.loaded(MemoryUse(0, 700)))
    assert need.on(RAM) == 700 + 200


def test_who_claims_all_at_its_start_is_never_taken_for_less() -> None:
    assert corrected(_CLAIMED, Seen.loaded(MemoryUse(200, 500))).total_bytes == 1_300 + 200
    assert corrected(_CLAIMED, Seen.loaded(MemoryUse(0, 1_500))).total_bytes == 1_500


def test_nothing_measured_changes_nothing() -> None:
    assert corrected(_NEED, None) is _NEED
    assert corrected(_NEED, Seen()) == _NEED


@given(_SIZE, _SIZE, _SIZE, _SIZE)
def test_more_seen_never_makes_an_estimate_smaller(
    one: int, two: int, three: int, four: int
) -> None:
    first = Seen.loaded(MemoryUse(one + 1, two + 1))
    more = first.most(Seen.loaded(MemoryUse(three, four)))
    assert corrected(_NEED, more).total_bytes >= corrected(_NEED, first).total_bytes
    end = first.most(Seen.leaving(MemoryUse(three, four)))
    assert corrected(_NEED, end).total_bytes >= corrected(_NEED, first).total_bytes


def test_the_most_that_was_seen_is_kept_beyond_the_process(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path)
    assert remembered.learn("a", Seen.loaded(MemoryUse(10, 20)))
    assert remembered.learn("a", Seen.loaded(MemoryUse(5, 30)))
    assert not remembered.learn("a", Seen.loaded(MemoryUse(10, 20)))
    assert remembered.learn("a", Seen.leaving(MemoryUse(1, 2)))
    assert Remembered(tmp_path).seen("a") == Seen(10, 30, 1, 2)
    assert Remembered(None).seen("a") is None


def test_two_gateways_learn_beside_each_other(tmp_path: Path) -> None:
    one, other = Remembered(tmp_path), Remembered(tmp_path)
    assert one.seen("a") is other.seen("b") is None  # both have read the file
    one.learn("a", Seen(1, 2))
    other.learn("b", Seen(3, 4))
    assert Remembered(tmp_path).seen("a") == Seen(1, 2)
    assert Remembered(tmp_path).seen("b") == Seen(3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": 3}',
        '{"a": {"anonymous_bytes": "x"}}',
        pytest.param('{"a": {"b": ' + "[" * 100_000, id="nested"),
    ],
)
def test_a_file_that_nobody_can_read_is_learnt_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text(text, encoding="utf-8")
    remembered = Remembered(tmp_path)
    assert remembered.seen("a") is None
    assert remembered.learn("a", Seen(1, 2))
    assert Remembered(tmp_path).seen("a") == Seen(1, 2)
