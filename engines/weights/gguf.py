"""The header of a GGUF file: only the fields that are needed, the vocabulary passed over.

Owns: reading and bounding a header; one clear line for a file that is none.
Must not: read tensors.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engines.weights.description import Description, Tensor
from engines.weights.numbers import absurd_numbers
from engines.weights.problems import WeightsProblem

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_COUNT = 1_000_000
_MAX_STRING_BYTES = 16 * 1024 * 1024
_MAX_DIMENSIONS = 4
_MAX_PARAMETERS = 2**60
_ALIGNMENT = 32
# llama.cpp's numbers; 0 says that there is none.
_POOLINGS = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
# Encoders whose files may not say that they are.
_ENCODERS = ("gemma-embedding",)
_RANK_HEAD = ("cls.weight", "cls.output.weight")
_STRING, _ARRAY = 8, 9
# Longer arrays are vocabularies; these have a number for each layer.
_MAX_KEPT = 4_096
# Type number -> struct format of one value.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says of its model; None where it says nothing.

    `parameters` is the number of values in all tensors; the first part of several does not say it.
    `embeddings` is our own key `weighbridge.embeddings`. `pooling` is how the states of a text's
    tokens become one vector (mean, cls, last) or a rank; `is_causal` whether a token sees only
    those before it, without which nothing can be generated; `has_rank_head` whether there are
    tensors that a rank comes from.
    """

    architecture: str
    name: str | None
    context_length: int | None
    parameters: int | None
    embeddings: bool | None
    has_chat_template: bool
    pooling: str | None = None
    is_causal: bool = True
    has_rank_head: bool = False


def read_header(path: Path) -> GgufHeader:
    """Read the header of a file.

    Raises:
        WeightsProblem: missing, not readable, no GGUF, truncated, of a version nobody knows, or
            with numbers that cannot be.
    """
    return header_of(describe(path), path.name)


def describe(path: Path) -> Description:
    """Read all that the header of a file says, its tensors' places and kinds included.

    Raises:
        WeightsProblem: as for `read_header`.
    """
    try:
        with path.open("rb") as file:
            return describe_open(file, path.name, path.stat().st_size)
    except OSError as error:
        raise WeightsProblem(f"{path.name} cannot be read: {error.strerror}") from None


def describe_open(file: BinaryIO, name: str, size_bytes: int) -> Description:
    """Read the same from an open file, which may be far away: its header alone is read.

    Raises:
        OSError: it cannot be read.
        WeightsProblem: as for `read_header`.
    """
    return _Reader(file, name, size_bytes).description()


def header_of(described: Description, name: str) -> GgufHeader:
    """Return what matters of all that a file of this name says.

    Raises:
        WeightsProblem: it says numbers that cannot be.
    """
    fields, architecture = described.fields, described.architecture
    for absurd in absurd_numbers(
        architecture, fields, len(described.tensors) if described.parts == 1 else 0
    ):
        raise WeightsProblem(f"{name} {absurd}")
    parameters = sum(tensor.values for tensor in described.tensors)
    embeddings = fields.get("weighbridge.embeddings")
    context = fields.get(f"{architecture}.context_length")
    name_said = fields.get("general.name")
    return GgufHeader(
        architecture=architecture,
        name=name_said if isinstance(name_said, str) else None,
        context_length=context if type(context) is int and context > 0 else None,
        parameters=parameters if described.parts == 1 else None,
        embeddings=embeddings if isinstance(embeddings, bool) else None,
        has_chat_template="tokenizer.chat_template" in fields,
        pooling=_POOLINGS.get(fields.get(f"{architecture}.pooling_type", 0)),
        is_causal=architecture not in _ENCODERS
        and fields.get(f"{architecture}.attention.causal") is not False,
        has_rank_head=any(tensor.name in _RANK_HEAD for tensor in described.tensors),
    )


class _Reader:
    def __init__(self, file: BinaryIO, name: str, size_bytes: int) -> None:
        self._file = file
        self._name = name
        self._size_bytes = size_bytes
        self._lengths: dict[str, int] = {}

    def description(self) -> Description:
        if self._take(4) != _MAGIC:
            raise self._wrong("is not a GGUF file")
        version = self._number("<I")
        if version and version % 0x10000 == 0:
            raise self._wrong("is a big-endian GGUF file; little-endian ones are read")
        if version not in _VERSIONS:
            raise self._wrong(f"is a GGUF file of version {version}; 2 and 3 are read")
        tensors, keys = self._count(), self._count()
        fields: dict[str, Any] = {}
        for _ in range(keys):
            key = self._string()
            fields[key] = self._value(key, self._number("<I"))
        described = [self._tensor() for _ in range(tensors)]
        architecture = fields.get("general.architecture")
        if architecture is None and fields.get("split.no"):
            architecture = ""  # of a split file the first part says it for all
        if not isinstance(architecture, str):
            raise self._wrong("does not say which architecture it is")
        self._check_tensors(described, fields.get("general.alignment"))
        parts = fields.get("split.count", 1)
        return Description(
            architecture=architecture,
            fields=fields,
            lengths=self._lengths,
            tensors=tuple(described),
            parts=parts if type(parts) is int and parts > 0 else 1,
        )

    def _check_tensors(self, described: list[Tensor], alignment: Any) -> None:
        """Refuse a file that ends before its last tensor begins: a download that was cut."""
        if type(alignment) is not int or alignment < 1:
            alignment = _ALIGNMENT
        start = -(-self._file.tell() // alignment) * alignment
        last = max((tensor.offset for tensor in described if tensor.values), default=None)
        if last is not None and start + last >= self._size_bytes:
            raise self._wrong("is truncated: its tensors are not all there")

    def _tensor(self) -> Tensor:
        name = self._string()
        dimensions = self._number("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise self._wrong("describes a tensor of impossible shape")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        kind = self._number("<I")
        if math.prod(shape) > _MAX_PARAMETERS:
            raise self._wrong("describes a tensor of impossible shape")
        return Tensor(name, shape, kind, self._number("<Q"))

    def _value(self, key: str, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            raise self._wrong(f"has a value of unknown type {kind}")
        return self._number(_SCALARS[kind])

    def _array(self, key: str) -> tuple[Any, ...] | None:
        """Return a short array of numbers; of others only the length is kept."""
        kind, length = self._number("<I"), self._number("<Q")
        self._lengths[key] = length
        if kind == _STRING:
            if length > _MAX_COUNT * 10:
                raise self._wrong("has an array of impossible length")
            for _ in range(length):
                self._skip(self._number("<Q"))
        elif kind not in _SCALARS:
            raise self._wrong(f"has an array of unknown type {kind}")
        elif length <= _MAX_KEPT:
            return tuple(self._number(_SCALARS[kind]) for _ in range(length))
        else:
            self._skip(length * struct.calcsize(_SCALARS[kind]))
        return None

    def _string(self) -> str:
        length = self._number("<Q")
        if length > _MAX_STRING_BYTES:
            raise self._wrong("has a text of impossible length")
        return self._take(length).decode("utf-8", "replace")

    def _count(self) -> int:
        count: int = self._number("<Q")
        if count > _MAX_COUNT:
            raise self._wrong("has an impossible number of fields")
        return count

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, size: int) -> bytes:
        self._check_room(size)  # before memory is taken for it
        data = self._file.read(size)
        if len(data) < size:
            raise self._wrong("is truncated: its header ends in the middle")
        return data

    def _skip(self, size: int) -> None:
        # Seeking beyond the end would succeed and hide that the file is cut.
        self._check_room(size)
        self._file.seek(size, 1)

    def _check_room(self, size: int) -> None:
        if self._file.tell() + size > self._size_bytes:
            raise self._wrong("is truncated: its header ends in the middle")

    def _wrong(self, what: str) -> WeightsProblem:
        return WeightsProblem(f"{self._name} {what}")
