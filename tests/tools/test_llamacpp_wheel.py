"""The wheel of llama-cpp-python: which, where kept, how its making is told. Nothing builds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.setup import llamacpp_wheel as wheel

FLAGS = "-DLLAVA_BUILD=OFF"
LINUX = ("0.3.36", FLAGS, "Linux", "x86_64", "avx2 fma")

PIP = """#!{python}
import pathlib, sys
print("  [1/2] Checking the compiler")
print("  [2/2] Checking the compiler")
for step in range(1, 101):
    print(f"  [{{step}}/100] Building CXX object")
print("last words")
folder = pathlib.Path(sys.argv[sys.argv.index("-w") + 1])
if {code} == 0:
    (folder / "llama_cpp_python-0.3.36-py3-none-any.whl").write_bytes(b"whole")
sys.exit({code})
"""

RECORDING = """#!{python}
import os, pathlib, sys
what = sys.argv[3]
said = f"{{what}} {{os.environ['CMAKE_ARGS']}}" if what == "wheel" else what
with open("{calls}", "a") as calls:
    calls.write(said + "\\n")
if what == "wheel":
    folder = pathlib.Path(sys.argv[sys.argv.index("-w") + 1])
    (folder / "llama_cpp_python-1-py3-none-any.whl").write_bytes(b"whole")
"""


def fake_pip(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let `python -m pip` be a script that says what a build says."""
    script = folder / "python"
    script.write_text(PIP.format(python=sys.executable, code=code), encoding="utf-8")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setenv("CC", "cc")


def test_the_lowest_version_that_the_extra_allows_is_wanted() -> None:
    wanted = wheel.version_wanted()
    extra = (wheel.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"llama-cpp-python>={wanted},' in extra


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        ({"HOME": "/h"}, "Linux", "/h/.cache/weighbridge/wheels"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "Linux", "/x/weighbridge/wheels"),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "Linux", "/h/.cache/weighbridge/wheels"),
        ({"HOME": "/h"}, "Darwin", "/h/Library/Caches/weighbridge/wheels"),
        ({"HOME": "/h", "WEIGHBRIDGE_CACHE": "/c"}, "Darwin", "/c/wheels"),
        ({"HOME": "/h", "WEIGHBRIDGE_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "Linux", "/c/wheels"),
    ],
)
def test_each_system_has_its_own_cache_folder(
    environ: dict[str, str], system: str, expected: str
) -> None:
    assert wheel.cache_folder(environ, system) == Path(expected)


@pytest.mark.parametrize(
    "changed",
    [
        {0: "0.3.37"},
        {1: "-DLLAVA_BUILD=OFF -DGGML_CUDA=ON"},
        {2: "Darwin"},
        {3: "aarch64"},
        {4: "avx2 avx512f fma"},
    ],
)
def test_the_key_changes_with_version_flags_system_and_cpu(changed: dict[int, str]) -> None:
    facts = [changed.get(at, fact) for at, fact in enumerate(LINUX)]
    assert wheel.key_of(*facts) != wheel.key_of(*LINUX)


def test_blanks_between_flags_do_not_change_the_key() -> None:
    assert wheel.key_of("1", " -DA=1   -DB=2 ", "L", "m", "c") == wheel.key_of(
        "1", "-DA=1 -DB=2", "L", "m", "c"
    )


def test_the_key_is_a_plain_folder_name() -> None:
    key = wheel.key_of(*LINUX)
    assert key.startswith("0.3.36-x86_64-")
    assert "/" not in key


def test_this_cpu_is_told_by_what_it_can() -> None:
    assert wheel.cpu_features("Linux") == wheel.cpu_features("Linux")


def test_a_build_leaves_one_whole_wheel_and_shows_its_tenths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_pip(tmp_path, monkeypatch, 0)
    folder = tmp_path / "kept"
    folder.mkdir()
    made = wheel.build("0.3.36", FLAGS, folder)
    assert made.read_bytes() == b"whole"
    assert [path.name for path in folder.iterdir()] == [made.name]
    assert wheel.wheel_in(folder) == made
    told = capsys.readouterr().out
    tenths = [f"compiled {n} of 100" for n in (1, *range(10, 101, 10))]
    assert [line.strip() for line in told.splitlines() if "of 100" in line] == tenths


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_pip(tmp_path, monkeypatch, 1)
    folder = tmp_path / "kept"
    folder.mkdir()
    with pytest.raises(SystemExit) as ended:
        wheel.build("0.3.36", FLAGS, folder)
    lines = str(ended.value).splitlines()
    assert lines[-2:] == [
        "last words",
        "Building llama-cpp-python failed; its last lines stand above.",
    ]
    assert len(lines) <= 40
    assert list(folder.iterdir()) == []


def test_without_a_compiler_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="build-essential"):
        wheel.build("0.3.36", FLAGS, tmp_path)


CUDA = "-DGGML_CUDA=ON"


def built(flags: str) -> wheel.Build:
    return wheel.Build(flags, wheel.key_of("0.3.36", flags, *LINUX[2:]))


@pytest.mark.parametrize(
    ("wanted", "last", "asked_for", "expected"),
    [
        (FLAGS, FLAGS, False, True),
        (CUDA, FLAGS, True, False),
        (CUDA, CUDA, True, True),
        (FLAGS, None, False, True),
        (CUDA, None, True, False),
    ],
)
def test_what_is_installed_stays_only_if_it_was_built_with_the_wanted_flags(
    wanted: str, last: str | None, asked_for: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "installed_version", lambda: "0.3.36")
    before = None if last is None else built(last)
    environ = {"CMAKE_ARGS": wanted} if asked_for else {}
    assert wheel.is_current("0.3.36", built(wanted), before, environ) is expected
    assert not wheel.is_current("0.3.37", built(wanted), before, environ)


def test_changed_flags_build_and_install_again_and_are_kept_without_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    script = tmp_path / "python"
    script.write_text(RECORDING.format(python=sys.executable, calls=calls), encoding="utf-8")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["llamacpp_wheel.py", "--install"])
    monkeypatch.setattr(wheel, "installed_version", wheel.version_wanted)
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "cc")
    for flags in (FLAGS, CUDA, None, CUDA, FLAGS):
        if flags is None:
            monkeypatch.delenv("CMAKE_ARGS", raising=False)
        else:
            monkeypatch.setenv("CMAKE_ARGS", flags)
        wheel.main()
    told = calls.read_text(encoding="utf-8").splitlines()
    # Built once for each; installed whenever they change, and from the cache when they change back.
    assert told == [f"wheel {FLAGS}", "install", f"wheel {CUDA}", "install", "install"]
    last = wheel.recorded(tmp_path / wheel.RECORD)
    assert last is not None
    assert last.flags == FLAGS


def test_a_record_that_nobody_can_read_is_none(tmp_path: Path) -> None:
    record = tmp_path / wheel.RECORD
    assert wheel.recorded(record) is None
    for text in ("", "[]", "{}", '{"flags": ""}'):
        record.write_text(text, encoding="utf-8")
        assert wheel.recorded(record) is None


WAITER = """
import pathlib, sys
from tools.setup.llamacpp_wheel import one_at_a_time, wheel_in
with one_at_a_time(pathlib.Path(sys.argv[1])):
    print(wheel_in(pathlib.Path(sys.argv[1])).name, flush=True)
"""


def test_a_second_builder_waits_and_then_finds_the_wheel(tmp_path: Path) -> None:
    with wheel.one_at_a_time(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", WAITER, str(tmp_path)],
            cwd=wheel.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        assert "waiting" in child.stderr.readline()
        (tmp_path / "a.whl").write_bytes(b"")
    with child:
        assert child.stdout.read() == "a.whl\n"
    assert child.returncode == 0
