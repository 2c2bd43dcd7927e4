"""What the system says of a process' memory, and what is made of it."""

import os
import subprocess
import sys

import pytest

from engines.memory.measured import MemoryUse, read_ps, read_rollup, tree_of, use_of

_ROLLUP = """55d0f4000000-7ffc1b1d6000 ---p 00000000 00:00 0    [rollup]
Rss:               40960 kB
Pss:               30000 kB
Pss_Dirty:         21000 kB
Pss_Anon:          20000 kB
Pss_File:           9000 kB
Pss_Shmem:          1000 kB
"""
_PS = """    1     0   1000
   10     1   2000
   11    10   3000
   12    11   4000
   20     1   9000
"""


def test_shared_memory_counts_as_anonymous_and_pages_of_files_apart() -> None:
    assert read_rollup(_ROLLUP) == MemoryUse(9_000 * 1024, 21_000 * 1024)


def test_old_kernels_tell_the_sum_alone() -> None:
    assert read_rollup("Rss: 10 kB\nPss: 8 kB\n") == MemoryUse(0, 8 * 1024)


def test_resident_sets_of_a_tree_are_added_up() -> None:
    assert read_ps(_PS, 10) == MemoryUse(0, 9_000 * 1024)
    assert read_ps(_PS, 99) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_of_children_belong_to_a_process() -> None:
    script = "import subprocess, sys; subprocess.run(['cat'])"
    child = subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True); {script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in tree_of(os.getpid())
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")
def test_memory_that_is_written_to_is_seen() -> None:
    script = (
        "b = bytearray(64 << 20); b[::4096] = bytes(len(b) // 4096); print(flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        use = use_of(holder.pid)
        holder.stdin.close()
    assert use is not None
    assert 64 << 20 < use.anonymous_bytes < 80 << 20
    assert use.file_backed_bytes > 0


def test_a_process_that_is_gone_takes_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert use_of(ended.pid) is None
