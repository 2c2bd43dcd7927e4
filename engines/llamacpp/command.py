"""The command line of a worker.

Owns: how its options are written. Must not: import what the options are for.
"""

import sys
from collections.abc import Mapping


def worker_command(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return what starts a worker; an option that is None is left to it."""
    # -P: a folder called `engines` in the working directory must not be run.
    argv = [sys.executable, "-P", "-m", "engines.llamacpp", "--exit-with-stdin"]
    for name, value in options.items():
        if isinstance(value, bool):
            argv.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            argv.append(f"--{name}={value}")
    return tuple(argv)
