"""Fits what a sign takes in tokens to real vocabularies, and says how far off that is.

    python -m tools.token_counts.fit [FILE.jsonl ...]

Writes `gateway/classify/data/tokens.toml` from the texts of this repository. Prompts of files that
are named are not fitted to: they show what the estimates are worth on texts of others.

Owns: the fit, its error bound, the file. Must not: count signs (`gateway.classify.counting` does).
"""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import llama_cpp as native
import numpy as np

from engines.demo import weights_path
from engines.llamacpp.vocabulary import Vocabulary as Words
from gateway.classify.counting import KINDS, SignCounter
from tools.families.fetch_sdist import place
from tools.families.official import vocabulary
from tools.token_counts.samples import ROOT, Sample, prompts_of, repository, tokens_of
from tools.token_counts.table import DEMO, FAMILIES, LIKELY

TARGET = ROOT / "gateway" / "classify" / "data" / "tokens.toml"
# An error grows like a share of the tokens, and like their root where few are counted.
_SHARE, _VARIANCE = 0.15, 1.0
_ROUNDS = 300
_BUCKETS = ((1, 20), (20, 100), (100, 500), (500, 1_000_000))
# Sources that nobody has seen are further off than those that are held out here.
_HELD = 0.975

Table = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def fitted(signs: Table, tokens: Table) -> Table:
    """Return tokens per sign, none negative, with the least squares of relative errors."""
    weights = 1 / np.sqrt(_VARIANCE * tokens + (_SHARE * tokens) ** 2)
    rows, wanted = signs * weights[:, None], tokens * weights
    square, product = rows.T @ rows, rows.T @ wanted
    # Blanks that no text here has so many of: even the longest token holds but a hundred.
    least = np.where(np.array(KINDS) == "blanks", 0.01, 0.0)
    found = least.copy()
    for _ in range(_ROUNDS):
        for at in np.flatnonzero(np.diag(square)):
            off = square[at] @ found - product[at]
            found[at] = max(least[at], found[at] - off / square[at, at])
    return found


def bound(estimates: Table, tokens: Table) -> tuple[float, float]:
    """Return the smallest (share, root) to which 95% of the estimates keep, at every length."""
    off = np.abs(estimates - tokens)
    best = (1.0, 6.0)
    for share in np.arange(0.05, 1.0, 0.01):
        for root in np.arange(0.3, 6.0, 0.1):
            allowed = share * estimates + root * np.sqrt(np.maximum(estimates, 1))
            kept = [
                np.mean(off[inside] <= np.maximum(allowed[inside], 1))
                for low, high in _BUCKETS
                if (inside := (tokens >= low) & (tokens < high)).sum() > 20
            ]
            if min(kept) >= _HELD and _width(share, root) < _width(*best):
                best = (float(share), float(root))
    return best


def _width(share: float, root: float) -> float:
    """Return how wide a bound is, over the sizes at which it is asked."""
    return sum(share + root / size**0.5 for size in (10, 100, 1_000, 4_000))


def held_out(signs: Table, tokens: Table, sources: Sequence[str]) -> Table:
    """Return estimates for each source from a fit to all the others."""
    names = np.array(sources)
    estimates = np.zeros(len(tokens))
    for name in dict.fromkeys(sources):
        inside = names == name
        estimates[inside] = signs[inside] @ fitted(signs[~inside], tokens[~inside])
    return estimates


@contextmanager
def silence() -> Iterator[None]:
    """Let llama.cpp say nothing of what it loads."""
    keep = native.llama_log_callback(lambda *_: None)
    native.llama_log_set(keep, None)
    yield


def counted(samples: Sequence[Sample]) -> dict[str, Table]:
    """Return the tokens of each sample in each vocabulary."""
    models = place(os.environ, platform.system())
    found = {}
    for name in FAMILIES:
        with vocabulary(models, name) as words:
            found[name] = np.array(tokens_of(words, samples), float)
    params = native.llama_model_default_params()
    params.vocab_only = True
    model = native.llama_model_load_from_file(str(weights_path("qwen")).encode(), params)
    found[DEMO] = np.array(tokens_of(Words(model), samples), float)
    native.llama_model_free(model)
    return found


def report(name: str, estimates: Table, tokens: Table, share: float, root: float) -> None:
    """Print how far off estimates are, by length."""
    for low, high in _BUCKETS:
        inside = (tokens >= low) & (tokens < high)
        if not inside.any():
            continue
        off = np.abs(estimates - tokens)[inside] / tokens[inside]
        mine = estimates[inside]
        kept = np.mean(off * tokens[inside] <= share * mine + root * np.sqrt(mine))
        print(
            f"  {name:<12} {low:>4} tokens and more: {inside.sum():>5} texts, half within "
            f"{np.median(off):.0%}, 95% within {np.quantile(off, 0.95):.0%}, "
            f"bound holds for {kept:.1%}"
        )


def main() -> None:
    """Fit, write, and say what came out."""
    counter = SignCounter()
    samples = repository()
    others = [sample for file in sys.argv[1:] for sample in prompts_of(Path(file))]
    own = len(samples)
    sources = [sample.source for sample in samples]
    signs = np.array([counter.count(sample.text).values for sample in (*samples, *others)])
    with silence():
        counts = counted((*samples, *others))
    blocks = ["# Tokens that a sign of each kind takes. Written by tools/token_counts/fit.py.\n"]
    blocks += [f"likely = [{', '.join(_quoted(LIKELY))}]\n"]
    for name, families in (*FAMILIES.items(), (DEMO, (DEMO,))):
        tokens = counts[name]
        per_sign = fitted(signs[:own], tokens[:own])
        estimates = held_out(signs[:own], tokens[:own], sources)
        share, root = bound(estimates, tokens[:own])
        print(f"{name}: error at most {share:.2f} x tokens + {root:.1f} x root of tokens")
        report("held out", estimates, tokens[:own], share, root)
        report("others", signs[own:] @ per_sign, tokens[own:], share, root)
        blocks.append(_block(name, families, per_sign, share, root))
    TARGET.write_text("".join(blocks), encoding="utf-8")


def _block(name: str, families: Sequence[str], per_sign: Table, share: float, root: float) -> str:
    lines = [f"\n[vocabulary.{name}]", f"families = [{', '.join(_quoted(families))}]"]
    lines += [
        f"error_share = {share:.2f}",
        f"error_root = {root:.1f}",
        f"[vocabulary.{name}.per_sign]",
    ]
    lines += [f"{kind} = {value:.3f}" for kind, value in zip(KINDS, per_sign, strict=True)]
    return "\n".join(lines) + "\n"


def _quoted(words: Sequence[str]) -> list[str]:
    return [f'"{word}"' for word in words]


if __name__ == "__main__":
    main()
