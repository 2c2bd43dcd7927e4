"""Images among requests of every kind by chance, some of them large, on a real worker."""

from pathlib import Path

import pytest

from benchmarks.soak_worker import options, soaked

BRIEF = ("--seconds", "4", "--rounds", "2", "--clients", "6")
# A step takes more of a picture than numpy keeps of freed memory: what is read too late is lost.
SIZES = ("--context", "600", "--cells", "1000", "--parallel", "4", "--batch-tokens", "512")


def test_images_amid_whatever_else_is_asked_are_answered_and_leave_nothing(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_PERTURB_", "165")
    worker = ("--mmproj", str(toys / "mmproj-qwen2vl.gguf"), *SIZES)
    weights = ("--weights", str(toys / "qwen2vl.gguf"))
    assert soaked(options().parse_args([*BRIEF, *weights, "--", *worker])) == []
