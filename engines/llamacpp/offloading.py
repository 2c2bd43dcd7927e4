"""How many layers a worker puts on GPUs when it is told to find out itself.

Owns: the word `auto`, and asking how much of the GPUs is free at the moment of the load.
Must not: load anything; know how much a layer takes (`engines.memory` does).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from engines.llamacpp.binding import Limits
from engines.memory import GgufSettings, gpu, layers_that_fit
from engines.platform import gpus, instructions, visible
from engines.weights import describe

AUTO = "auto"


def layers(text: str) -> int | str:
    """Read the option `--gpu-layers`.

    Raises:
        argparse.ArgumentTypeError: it is neither a number from -1 on nor `auto`.
    """
    if text == AUTO:
        return text
    try:
        number = int(text)
    except ValueError:
        number = -2
    if number < -1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of layers; write auto for what fits"
        )
    return number


def wanted_layers(
    asked: int | str,
    files: Sequence[Path],
    limits: Limits,
    kv_type: str,
    devices: tuple[int | str, ...] | None,
) -> int:
    """Return the layers to put on the GPUs: those that are asked for, or as many as fit now.

    `files` are the model's; `devices` are the GPUs that this process sees, None for all.
    """
    if isinstance(asked, int):
        return asked
    free = {gpu(one.index): one.free_bytes for one in visible(gpus(), devices)}
    settings = GgufSettings(
        cells=limits.cells,
        sequences=limits.parallel,
        step_tokens=limits.batch_tokens,
        kv_type=kv_type,
        context=limits.context,
        instructions=instructions(),
    )
    return layers_that_fit([describe(file) for file in files], settings, free)


def seen(environ_value: str | None) -> tuple[int | str, ...] | None:
    """Read CUDA_VISIBLE_DEVICES; None where it says nothing."""
    if environ_value is None:
        return None
    words = [word.strip() for word in environ_value.split(",")]
    return tuple(int(word) if word.isdigit() else word for word in words if word)
