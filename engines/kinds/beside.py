"""The files that a worker of ours is given beside its weights: a projector, adapters.

Owns: its options for them, what they take, and which files have to be pulled first.
Must not: read them, or start anything.
"""

from pathlib import Path

from engines.kinds.plan import Absent, AdapterOrder, ModelOrder
from engines.llamacpp.beforehand import KEPT_PICTURES_BYTES
from engines.weights import NotPulled, WeightsProblem, resolve

# What llama.cpp takes for its sums while a projector of usual size looks at an image.
_LOOKING_BYTES = 256 << 20


def bytes_beside(order: ModelOrder) -> int:
    """Return what they take of memory.

    Raises:
        WeightsProblem: one is not there.
    """
    beside = [one.weights for one in order.adapters] + ([order.mmproj] if order.mmproj else [])
    files = sum(resolve(one, order.base).stat().st_size for one in beside)
    return files + (_LOOKING_BYTES + KEPT_PICTURES_BYTES if order.mmproj else 0)


def absent_of(order: ModelOrder) -> Absent | None:
    """Return what has to be pulled first, of the weights, the projector and the adapters."""
    eyes = [order.mmproj] if order.mmproj else []
    for weights in (order.weights or "", *eyes, *(adapter.weights for adapter in order.adapters)):
        try:
            resolve(weights, order.base)
        except NotPulled:
            return Absent(weights, "gguf")
        except WeightsProblem:
            continue
    return None


def projector_option(order: ModelOrder) -> tuple[str, ...]:
    """Return the worker's option for the projector, where there is one.

    Raises:
        WeightsProblem: there is no such file.
    """
    if order.mmproj is None:
        return ()
    try:
        return (f"--mmproj={resolve(order.mmproj, order.base)}",)
    except NotPulled as error:
        raise NotPulled(f"its mmproj: {error}") from None
    except WeightsProblem as error:
        raise WeightsProblem(f"its mmproj: {error}") from None


def adapter_option(adapter: AdapterOrder, base: Path) -> str:
    """Return the worker's option for an adapter.

    Raises:
        WeightsProblem: there is no such file.
    """
    try:
        return f"--adapter={adapter.name}={resolve(adapter.weights, base)}:{adapter.scale}"
    except NotPulled as error:
        raise NotPulled(f"its adapter '{adapter.name}': {error}") from None
    except WeightsProblem as error:
        raise WeightsProblem(f"its adapter '{adapter.name}': {error}") from None
