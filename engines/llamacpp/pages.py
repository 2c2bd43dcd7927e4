"""Large pages for what every step reads: weights that llama.cpp lays out anew, and KV cells.

Owns: how a worker gets them. Must not: load anything.

A step reads hundreds of megabytes, and with pages of 4 KiB the processor looks up where each of
them lies. Linux gives pages of 2 MiB to whom asks (`madvise`), glibc asks where its environment
says so, and it reads that as the process starts: so the worker starts once more
(docs/decisions/0051).
"""

import sys
from collections.abc import Mapping

_TUNABLES = "GLIBC_TUNABLES"
_HUGE = "glibc.malloc.hugetlb"


def environment_with(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment to start with, None where it says something of it already.

    C libraries that know nothing of this, or kernels that give no such pages, change nothing.
    """
    said = environ.get(_TUNABLES, "")
    if sys.platform != "linux" or _HUGE in said:
        return None
    return {**environ, _TUNABLES: f"{said}:{_HUGE}=1" if said else f"{_HUGE}=1"}
