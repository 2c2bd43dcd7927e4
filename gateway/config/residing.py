"""`residency:` how much memory models may take, and whose turn it is when not all of them fit.

Owns: these keys, and how a size is written.
Must not: know what a model needs.
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from engines.kinds.section import Seconds, Section

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b|b)?\s*", re.IGNORECASE)
_POWERS = "bkmgt"
_MOST = 2**63  # bytes that a file system or an engine can count


def size_of(given: Any) -> int:
    """Return a size in bytes: `12GiB` (powers of 1,024), `12GB` (of 1,000), or a plain count.

    Raises:
        ValueError: it is no size, or none above zero.
    """
    found = _SIZE.fullmatch(str(given)) if not isinstance(given, bool) else None
    if found is None:
        raise ValueError("a size is written as 12GiB, 800MiB, 12GB, or in bytes")
    unit = (found[2] or "b").lower()
    base = 1_024 if "i" in unit else 1_000
    count = float(found[1]) * base ** _POWERS.index(unit[0])
    if not 1 <= count < _MOST:
        raise ValueError(f"a size is {'greater than zero' if count < 1 else 'less than 8EiB'}")
    return int(count)


Size: TypeAlias = Annotated[
    int, BeforeValidator(size_of), WithJsonSchema({"type": "string"}, mode="validation")
]


class GroupSection(Section):
    """An entry of `residency: {groups: ...}`: models that must, or must not, live together."""

    models: tuple[str, ...] = Field(min_length=2, description="Models of managed engines.")
    live: Literal["together", "apart"] = Field(
        description="`together`: loaded and unloaded as one; `apart`: never two of them at once, "
        "even if there is room."
    )


class ResidencySection(Section):
    """`residency:` which models are in memory."""

    memory: Size | dict[str, Size] | None = Field(
        None,
        description="Memory that models of managed engines may take on this machine (`12GiB`), or "
        "on each device (`{ram: 12GiB, gpu0: 20GiB}`). Without it all are loaded at start, unless "
        "a model says otherwise.",
    )
    swap_bound_s: Seconds = Field(
        10,
        description="If models that do not fit together are in demand: seconds that a request may "
        "wait while others use the models in its way. After that these accept no newer requests "
        "and are unloaded when theirs have finished.",
    )
    load_wait_s: Seconds = Field(
        600, description="Seconds that a request may wait for its model to load."
    )
    heartbeat_after_s: Seconds = Field(
        5,
        description="Seconds after which a stream that waits for a load gets its headers, then "
        "comments (`: loading`) at this interval; before that it gets the true status.",
    )
    pull: Literal["demand", "never"] = Field(
        "demand",
        description="`demand`: weights on a hub or behind a URL are fetched on the model's first "
        "request, or at start with `load: start`; a licence that is not open source has to be "
        "accepted once with `weighbridge pull`. `never`: only that command fetches them; a vLLM "
        "then fetches by itself.",
    )
    groups: tuple[GroupSection, ...] = Field(
        (), description="Models that must, or must not, be loaded together."
    )

    @property
    def budget(self) -> dict[str, int]:
        """Bytes by device."""
        if self.memory is None:
            return {}
        return self.memory if isinstance(self.memory, dict) else {"ram": self.memory}
