"""How many files may be open is raised as far as the system lets a process."""

import subprocess
import sys


def allowed(wanted: int, soft: int, hard: int) -> list[int]:
    script = (
        f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from engines.platform import allow_open_files as allow;"
        f"print(allow({wanted}), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return [int(word) for word in said.stdout.split()]


def test_the_limit_becomes_what_is_wanted_or_what_there_is() -> None:
    assert allowed(300, soft=200, hard=500) == [300, 300, 500]
    assert allowed(9_000, soft=200, hard=500) == [500, 500, 500]


def test_a_limit_that_is_high_enough_stays() -> None:
    assert allowed(100, soft=200, hard=500) == [200, 200, 500]
