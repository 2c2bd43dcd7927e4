"""Tries a toy: makes it, and proves that the engine runs it.

Owns: the other tries.
Must not: know what is proved.
"""

from contextlib import suppress
from pathlib import Path

from tools.families.proof import NotProved, Proof, prove
from tools.families.toy_files import write_toy
from tools.families.toys import Toy

# Which noise is too even differs from one processor to the next.
_TRIES = 6


async def try_toy(toy: Toy, folder: Path) -> Proof:
    """Return what the engine could do with a toy.

    Two experts may be as good as equal in noise, and then the order of sums decides between them.
    So a toy that fails is tried with other noise; an engine that fails, fails again.

    Raises:
        LoadFailed: llama.cpp cannot load it.
        NotProved: it does not run as it should.
    """
    for seed in range(_TRIES - 1):
        with suppress(NotProved):
            return await prove(write_toy(toy, folder / f"{toy.name}-{seed}.gguf", seed))
    return await prove(write_toy(toy, folder / f"{toy.name}.gguf", _TRIES - 1))
