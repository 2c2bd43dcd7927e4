"""One file over real sockets: gone on with, checked, and kept whatever happens."""

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.hub.checks import Check
from engines.hub.problems import PullProblem
from engines.hub.transfer import Refused, Source, fetch
from tests.hub.conftest import Told
from tests.support.hub import Fault, Hub, Repo, running_hub

DATA = hashlib.shake_256(b"weights").digest(300_000)
NAME = "m-q4_0.gguf"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub({"o/r": Repo({NAME: DATA})}) as hub:
        yield hub


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "blob.weighbridge"


def source(hub: Hub, size_bytes: int | None = len(DATA), data: bytes = DATA) -> Source:
    check = Check(sha256=hashlib.sha256(data).hexdigest())
    return Source(NAME, hub.file_url("o/r", NAME), size_bytes, check)


def fetched(what: Source, partial: Path, client: httpx2.Client, told: Told) -> bytes:
    target = partial.with_name("blob")
    fetch(what, partial, target, client=client, teller=told, pause=told.pause)
    assert not partial.exists()
    return target.read_bytes()


def test_a_file_comes_whole_and_its_progress_is_told(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    assert fetched(source(hub), partial, client, told) == DATA
    assert told.begun == [(NAME, len(DATA), 0)]
    assert told.came[-1] == len(DATA)
    assert told.said == []


def test_a_line_that_is_cut_again_and_again_is_gone_on_with(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    hub.faults = [Fault(cut_after=40_000) for _ in range(7)]
    assert fetched(source(hub), partial, client, told) == DATA
    assert hub.fetched[:3] == [None, "bytes=40000-", "bytes=80000-"]
    assert told.paused_s == [1.0] * 7  # each try brought something


def test_what_an_ended_pull_has_left_is_gone_on_with(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    partial.write_bytes(DATA[:123_456])
    assert fetched(source(hub), partial, client, told) == DATA
    assert hub.fetched == ["bytes=123456-"]
    assert told.begun == [(NAME, len(DATA), 123_456)]


def test_a_server_that_brings_nothing_is_given_up_and_what_has_come_is_kept(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    hub.faults = [Fault(cut_after=1_000), *(Fault(cut_after=0) for _ in range(9))]
    with pytest.raises(PullProblem, match="keeps breaking off"):
        fetched(source(hub), partial, client, told)
    assert partial.read_bytes() == DATA[:1_000]
    assert told.paused_s == [1.0, 2.0, 4.0, 8.0]


def test_a_busy_server_is_waited_for_as_long_as_it_asks(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    hub.faults = [
        Fault(status=429, retry_after="7"),
        Fault(status=503),
        Fault(status=503, retry_after="9999"),
    ]
    assert fetched(source(hub), partial, client, told) == DATA
    assert told.paused_s == [7.0, 2.0, 60.0]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(
    status: int, hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    hub.faults = [Fault(status=status)]
    with pytest.raises(Refused) as caught:
        fetched(source(hub), partial, client, told)
    assert caught.value.status == status
    assert len(hub.fetched) == 1


def test_wrong_bytes_are_thrown_away_with_both_digests_in_the_message(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    hub.repos["o/r"].damaged.add(NAME)
    with pytest.raises(PullProblem) as caught:
        fetched(source(hub), partial, client, told)
    assert hashlib.sha256(DATA).hexdigest() in str(caught.value)
    assert "Nothing of it is kept" in str(caught.value)
    assert partial.read_bytes() == b""
    assert not partial.with_name("blob").exists()


def test_wrong_bytes_from_before_are_fetched_anew_once(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    partial.write_bytes(b"x" * 10_000)
    assert fetched(source(hub), partial, client, told) == DATA
    assert hub.fetched == ["bytes=10000-", None]
    assert "fetching it again" in told.said[0]


@pytest.mark.parametrize("fault", [Fault(ignores_range=True), Fault(shifts_range=True)])
def test_a_server_that_knows_no_ranges_or_gives_others_begins_anew(
    fault: Fault, hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    partial.write_bytes(DATA[:5_000])
    hub.faults = [fault]
    assert fetched(source(hub), partial, client, told) == DATA


def test_more_than_there_should_be_is_thrown_away(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    partial.write_bytes(DATA + b"more")
    assert fetched(source(hub), partial, client, told) == DATA
    assert hub.fetched == [None]


@pytest.mark.parametrize("here", [0, 5_000, len(DATA)])
def test_a_size_that_nobody_said_is_learnt_from_the_answer(
    here: int, hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    partial.write_bytes(DATA[:here])
    hub.faults = [Fault(cut_after=200)] if here < len(DATA) else []
    assert fetched(source(hub, size_bytes=None), partial, client, told) == DATA


def test_a_second_pull_waits_for_the_first_and_takes_what_it_has_fetched(
    hub: Hub, partial: Path, client: httpx2.Client, told: Told
) -> None:
    target = partial.with_name("blob")
    with partial.open("ab") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        waiting = threading.Event()
        told.says_too = waiting.set
        second = threading.Thread(target=fetched, args=(source(hub), partial, client, told))
        second.start()
        assert waiting.wait(10)
        first.write(DATA)
        first.flush()
        partial.rename(target)
    second.join(10)
    assert target.read_bytes() == DATA
    assert hub.fetched == []


def test_a_place_that_cannot_be_written_is_said(
    hub: Hub, tmp_path: Path, client: httpx2.Client, told: Told
) -> None:
    with pytest.raises(PullProblem, match="cannot be written: Is a directory"):
        fetched(source(hub), tmp_path, client, told)


def test_a_full_disk_is_said_with_the_way_out(
    hub: Hub, client: httpx2.Client, told: Told, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")  # whatever is written there fails as on a full disk
    with pytest.raises(PullProblem, match="the disk is full while"):
        fetched(source(hub), full, client, told)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    here=st.integers(0, len(DATA)),
    faults=st.lists(
        st.builds(
            Fault,
            cut_after=st.none() | st.integers(1, len(DATA)),
            ignores_range=st.booleans(),
            shifts_range=st.booleans(),
        ),
        max_size=4,
    ),
)
def test_however_the_line_fails_the_file_is_whole_and_right_in_the_end(
    here: int, faults: list[Fault], hub: Hub, tmp_path: Path, client: httpx2.Client
) -> None:
    (tmp_path / "blob").unlink(missing_ok=True)
    partial = tmp_path / "p"
    partial.write_bytes(DATA[:here])
    hub.faults = faults
    assert fetched(source(hub), partial, client, Told()) == DATA
