"""What every mapping of the configuration file has in common.

Owns: frozen, unknown keys forbidden; the types that several sections use.
Must not: know any key.
"""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
# A GPU's number, or the beginning of its UUID.
Device: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | Annotated[int, Field(ge=0)]
OneOrMore: TypeAlias = str | Annotated[tuple[str, ...], Field(min_length=1)]


class Section(BaseModel):
    """A mapping in the file: frozen, no unknown keys."""

    # `.nan` is in no range, and passes each of its ends.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


def several(given: OneOrMore) -> tuple[str, ...]:
    """Return what a key that takes one or more values was given, as a tuple."""
    return (given,) if isinstance(given, str) else given
