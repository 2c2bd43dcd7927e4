"""A worker asks for large pages as it starts, and whoever has said something of them is heard."""

import sys
from pathlib import Path

import pytest

from engines.llamacpp.pages import environment_with
from tests.support.worker import working

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux gives large pages")


@ON_LINUX
def test_what_the_environment_says_of_other_things_stays() -> None:
    assert environment_with({}) == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    said = environment_with({"GLIBC_TUNABLES": "glibc.malloc.check=1", "A": "b"})
    assert said == {"GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.malloc.hugetlb=1", "A": "b"}


@ON_LINUX
@pytest.mark.parametrize("choice", ["0", "1", "2"])
def test_who_has_chosen_is_asked_no_more(choice: str) -> None:
    assert environment_with({"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={choice}"}) is None


@ON_LINUX
@pytest.mark.parametrize("chosen", [None, "glibc.malloc.hugetlb=0"])
def test_a_worker_runs_as_it_was_started_with_such_an_environment(
    chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", chosen)
    with working() as worker:
        place = Path(f"/proc/{worker.process.pid}")
        environment = (place / "environ").read_bytes().split(b"\0")
        arguments = (place / "cmdline").read_bytes().split(b"\0")
    assert f"GLIBC_TUNABLES={chosen or 'glibc.malloc.hugetlb=1'}".encode() in environment
    assert arguments[1:4] == [b"-P", b"-m", b"engines.llamacpp"]
