"""How many files may be open: each connection of a client is one, and one more to its engine.

Owns: raising what a process may have by itself. Must not: know how many are wanted.
"""

import contextlib
import resource
import sys


def allow_open_files(wanted: int) -> int:
    """Let this process and its children have `wanted` files open, or as many as it may; return it.

    Many systems begin with 1,024 and let a process raise that itself.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return open_files()


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
