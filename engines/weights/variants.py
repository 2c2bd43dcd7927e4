"""Which files of a folder or a repository make one model, and in which quantisation.

Owns: what file names tell: quantisation, parts of a split file, what is no model at all.
Must not: read files.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engines.weights.problems import SeveralModels, WeightsProblem
from engines.words import some_of

_QUANTISATION = re.compile(
    r"(?:^|[-._/ ])"
    r"(?P<quantisation>(?:ud-)?i?q[1-8](?:_[0-9klmsx]+)*|(?:ud-)?tq[12]_0|mxfp4(?:_moe)?|nvfp4"
    r"|bf16|fp?(?:16|32))"
    r"(?=$|[-._/ ])",
    re.IGNORECASE,
)
_PART = re.compile(r"^(?P<stem>.+)-(?P<part>\d{5})-of-(?P<of>\d{5})$")
# The eyes of a model, and what quantisers measure: GGUF files that are no models.
_NO_MODEL = re.compile(r"(?:^|[-._/])(?:mmproj|imatrix)", re.IGNORECASE)
_PROJECTOR = re.compile(r"(?:^|[-._/])mmproj", re.IGNORECASE)
MMPROJ = "mmproj"  # what picks them all


@dataclass(frozen=True, slots=True)
class SizedFile:
    """A file by its path in a repository or folder, with "/" between its parts."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One model as GGUF: a file, or the parts of one in their order.

    `expected_parts` is how many there have to be. `quantisation` is as in `Q4_K_M`, "" where the
    name does not tell.
    """

    stem: str
    quantisation: str
    files: tuple[SizedFile, ...]
    expected_parts: int = 1

    @property
    def size_bytes(self) -> int:
        """What all parts take."""
        return sum(file.size_bytes for file in self.files)

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the parts that are not there."""
        there = {_part_of(file.path) for file in self.files}
        return tuple(part for part in range(1, self.expected_parts + 1) if part not in there)

    @property
    def first(self) -> str:
        """The path that an engine is given; it finds the other parts by itself."""
        return self.files[0].path


def quantisation_of(path: str) -> str:
    """Return what a file's name, else its folder's, says of its quantisation; "" where nothing."""
    whole = PurePosixPath(path)
    part = _PART.match(whole.stem)
    for text in (part["stem"] if part else whole.stem, str(whole.parent)):
        found = [match["quantisation"] for match in _QUANTISATION.finditer(text)]
        if found:
            return canonical(found[-1])
    return ""


def canonical(quantisation: str) -> str:
    """Return a quantisation's name in its one form: `fp16` and `f16` are the same."""
    return quantisation.upper().replace("FP16", "F16").replace("FP32", "F32")


def variants_in(files: Iterable[SizedFile], pick: str | None = None) -> tuple[Variant, ...]:
    """Return the models among some files, smallest first.

    Where `pick` names a projector, those are returned instead.
    """
    kind = _PROJECTOR if names_projector(pick) else None
    groups: defaultdict[tuple[str, int], list[SizedFile]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        fits = kind.search(file.path) if kind else not _NO_MODEL.search(file.path)
        if path.suffix.lower() != ".gguf" or not fits:
            continue
        part = _PART.match(path.stem)
        stem, of = (part["stem"], int(part["of"])) if part else (path.stem, 1)
        groups[str(path.parent / stem), of].append(file)
    found = (
        Variant(stem, quantisation_of(files[0].path), _in_order(files), of)
        for (stem, of), files in groups.items()
    )
    return tuple(sorted(found, key=lambda variant: (variant.size_bytes, variant.stem)))


def names_projector(pick: str | None) -> bool:
    """Say whether a pick means the eyes of a model."""
    return pick is not None and _PROJECTOR.search(pick) is not None


def picked(variants: Sequence[Variant], pick: str | None, what: str) -> Variant:
    """Return the one that is meant: by its quantisation, by a file's name, or the only one.

    `what` names the folder or repository in messages.

    Raises:
        SeveralModels: more than one may be meant.
        WeightsProblem: there is none.
    """
    if not variants:
        raise WeightsProblem(f"{what} has no GGUF file with a model in it")
    found = variants if pick is None else _named(variants, pick)
    if len(found) == 1:
        return found[0]
    if not found:
        raise WeightsProblem(f"{what} has no {pick}; it has {names_of(variants)}")
    raise SeveralModels(
        f"{what} has {len(found)} models that this may mean; name one: "
        + (_stems_of(found) if names_projector(pick) else names_of(found))
    )


def names_of(variants: Sequence[Variant]) -> str:
    """Return by what people may pick: quantisations, and file names where these do not do."""
    counts: defaultdict[str, int] = defaultdict(int)
    for variant in variants:
        counts[variant.quantisation] += 1
    names = [
        variant.quantisation
        if variant.quantisation and counts[variant.quantisation] == 1
        else PurePosixPath(variant.first).name
        for variant in variants
    ]
    return some_of(names)


def _stems_of(variants: Sequence[Variant]) -> str:
    return ", ".join(PurePosixPath(variant.first).stem for variant in variants)


def _named(variants: Sequence[Variant], pick: str) -> Sequence[Variant]:
    names = (pick, f"{pick}.gguf")
    by_file = [v for v in variants if any({f.path, _name(f.path)} & {*names} for f in v.files)]
    if by_file or names_projector(pick):
        return by_file or (variants if pick.lower() == MMPROJ else [])
    wanted = canonical(pick)
    exact = [variant for variant in variants if variant.quantisation == wanted]
    # Unsloth's "dynamic" files carry a prefix that nobody types.
    return exact or [v for v in variants if v.quantisation == f"UD-{wanted}"]


def _in_order(files: Iterable[SizedFile]) -> tuple[SizedFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _part_of(path: str) -> int:
    part = _PART.match(PurePosixPath(path).stem)
    return int(part["part"]) if part else 1
