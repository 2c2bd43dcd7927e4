"""`weighbridge serve` as people run it: a child process on a free port."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

COMMAND = str(Path(sys.executable).parent / "weighbridge")
START_S = 60
END_S = 30
_LISTENING = re.compile(r"^Listening on (\S+)")


class GatewayProcess:
    """A gateway that runs; what it says is kept. `url` is its root."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self.process = process
        self.url = ""
        self._errors = errors
        self._lines: list[str] = []
        self._up = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_up(self) -> None:
        """Wait for the line that says where it listens."""
        assert self._up.wait(START_S), f"no banner; {self.errors()}"
        assert self.url, f"it has ended: {self.errors()}"

    def banner(self) -> str:
        """Return what it has written to standard output so far."""
        return "".join(self._lines)

    def errors(self) -> str:
        """Return what it has written to standard error so far: its log."""
        self._errors.seek(0)
        return self._errors.read()

    def client(self, **options: object) -> httpx.AsyncClient:
        """Return a client for it; the caller closes it."""
        return httpx.AsyncClient(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]

    def workers(self) -> dict[str, int]:
        """Return the process ids of its workers by the names of their models."""
        named = {pid: re.search(r"--name=(\S+)", args) for pid, args in children(self.pid).items()}
        return {found[1]: pid for pid, found in named.items() if found}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the whole foreground process group."""
        os.killpg(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        code = self.process.wait(END_S)
        self._reading.join(END_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            if found := _LISTENING.match(line):
                self.url = found[1]
            if self.url and line == "\n":  # what to try is out, words for newcomers may follow
                self._up.set()
        self._up.set()


@contextmanager
def gateway_process(
    folder: Path,
    *options: str,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[GatewayProcess]:
    """Run `weighbridge serve` in `folder` until the block ends; `config` becomes its routing.yaml.

    The block begins when the banner is out. Whatever happens, the process is gone after it.
    """
    if config is not None:
        (folder / "routing.yaml").write_text(config, encoding="utf-8")
    with (
        # Appending: the child shares our file, reading moves the place where others would write.
        tempfile.TemporaryFile("a+", encoding="utf-8") as errors,
        subprocess.Popen(
            [COMMAND, "serve", "--port", "0", *options],
            cwd=folder,
            env=_own_cache(folder) | clean_environment() | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        gateway = GatewayProcess(process, errors)
        try:
            gateway.wait_up()
            yield gateway
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def run_serve(
    folder: Path, *options: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a `weighbridge serve` that is expected to end by itself."""
    return run_command(folder, "serve", *options, environ=environ)


def run_command(
    folder: Path, *argv: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [COMMAND, *argv],
        cwd=folder,
        env=_own_cache(folder) | clean_environment() | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Return the environment less what would change a gateway."""
    return {k: v for k, v in os.environ.items() if not k.startswith("WEIGHBRIDGE_")}


def _own_cache(folder: Path) -> dict[str, str]:
    """Return what keeps that which is learnt of this machine apart from what its user knows."""
    return {"WEIGHBRIDGE_CACHE": str(folder / "cache")}


def children(pid: int) -> dict[int, str]:
    """Return the living children of a process and their command lines."""
    return {row[0]: row[3] for row in _processes() if row[1] == pid}


def living(pids: Sequence[int]) -> list[int]:
    """Return those of these processes that still run; a zombie has ended."""
    return [row[0] for row in _processes() if row[0] in pids]


def _processes() -> Iterator[tuple[int, int, str, str]]:
    listed = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, state, args = line.split(None, 3)
        if not state.startswith("Z"):
            yield int(pid), int(parent), state, args
