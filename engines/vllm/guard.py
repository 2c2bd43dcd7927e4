"""What stands between the gateway and a `vllm serve`: it leaves a cleaner behind and becomes vLLM.

    python -I guard.py --scratch DIR [--venv DIR] [--container RUNTIME] -- vllm serve ...

vLLM's processes outlive each other: killing the server orphans its engine cores, and their sockets
and shared memory stay. The cleaner lives in a session of its own, so that nothing that kills vLLM
kills it. Run by its path: only the standard library, and no package of ours is looked for.

| what ends | what the cleaner does |
|---|---|
| vLLM, however | kills what is left of its session, removes its segments and sockets |
| the gateway (its end of standard input) | kills vLLM first |

Owns: the processes of one vLLM's session, what they leave in `/dev/shm` and in the scratch folder.
Must not: speak to vLLM, restart it, or touch what others made.
"""

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_SHARED = "/dev/shm/"  # noqa: S108 - where the system keeps segments, not a place for files
_FIRST_SCAN_S = 1.0
_SLOWEST_SCAN_S = 15.0
_LONGEST_DEATH_S = 10.0
_PAUSE_S = 0.05
_PID = "{pid}"


def main(argv: Sequence[str]) -> None:
    """Leave the cleaner and become the command."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--venv", type=Path)
    parser.add_argument("--container")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(argv)
    own = str(os.getpid())
    scratch = asked.scratch / f"r{own}"
    scratch.mkdir(mode=0o700)
    command = [part.replace(_PID, own) for part in asked.command]
    remove = [asked.container, "rm", "--force", container_name(command)] if asked.container else []
    _leave_cleaner(int(own), scratch, remove)
    os.environ["VLLM_RPC_BASE_PATH"] = str(scratch)
    if asked.venv is not None:
        os.environ["VIRTUAL_ENV"] = str(asked.venv)
        os.environ["PATH"] = f"{asked.venv / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command of the configuration file
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", flush=True)  # into its log
        sys.exit(2)  # no restart mends it


def container_name(command: Sequence[str]) -> str:
    """Return what `--name` calls a container."""
    return command[command.index("--name") + 1]


def _leave_cleaner(main_pid: int, scratch: Path, remove: Sequence[str]) -> None:
    """Fork twice: a child of vLLM would be killed with vLLM's other children."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        _clean_up_after(main_pid, scratch, remove)
    finally:
        os._exit(0)


def _clean_up_after(main_pid: int, scratch: Path, remove: Sequence[str]) -> None:
    # Whoever reads vLLM's output must find its end when vLLM ends.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    segments = _watch(main_pid)
    _kill(main_pid)
    if remove:
        subprocess.run(remove, check=False, stdin=subprocess.DEVNULL)
    _remove_segments(segments)
    shutil.rmtree(scratch, ignore_errors=True)


def _remove_segments(segments: set[str]) -> None:
    """Remove those that nobody uses; what was killed needs a moment to let go of its own."""
    deadline_s = time.monotonic() + _LONGEST_DEATH_S
    while segments:
        used = segments & _segments_of(_processes())
        for name in segments - used:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - plain system calls only in here
        segments = used
        if time.monotonic() > deadline_s:
            return  # others have mapped them
        time.sleep(_PAUSE_S)


def _watch(main_pid: int) -> set[str]:
    """Wait for the end of vLLM or of the gateway; return the segments that were seen."""
    seen: set[str] = set()
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    try:
        ended = os.pidfd_open(main_pid)
    except (AttributeError, OSError):  # no such call here, or the process has gone already
        ended = -1
    if ended >= 0:
        poll.register(ended, select.POLLIN)
    pause_s = _FIRST_SCAN_S
    while _lives(main_pid):
        seen |= _segments_of(_session(main_pid))
        for descriptor, _ in poll.poll(pause_s * 1_000):
            if descriptor == ended or not os.read(0, 1_024):
                # What came since the last look: who made it may live for a moment yet.
                return seen | _segments_of(_session(main_pid))
        pause_s = min(_SLOWEST_SCAN_S, pause_s * 2) if ended >= 0 else _FIRST_SCAN_S
    return seen


def _kill(main_pid: int) -> None:
    """Kill what is left of the session, those included that left the process group."""
    with contextlib.suppress(OSError):
        os.killpg(main_pid, signal.SIGKILL)
    for pid in _session(main_pid):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _processes() -> Iterator[int]:
    with contextlib.suppress(OSError):  # no /proc: not Linux, where nothing is left behind there
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def _session(main_pid: int) -> Iterator[int]:
    for pid in _processes():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == main_pid:
                yield pid


def _segments_of(pids: Iterator[int]) -> set[str]:
    """Return the segments of shared memory that processes have mapped."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                at = line.find(_SHARED)
                if at >= 0 and not line.endswith("(deleted)"):
                    found.add(line[at:])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
