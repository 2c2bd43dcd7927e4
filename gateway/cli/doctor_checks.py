"""What `weighbridge doctor` looks at: this machine, this environment, and what the file needs.

Owns: each look, its verdict and its remedy.
Must not: print, change anything, or load a model.
"""

import errno
import importlib.metadata
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from engines.kinds import LlamacppEngine
from engines.memory.remembered import Remembered
from engines.platform import (
    Gpu,
    cache_folder,
    gpus,
    instructions,
    memory_bytes,
    usable_cores,
    visible,
)
from gateway.api.openapi import TITLE
from gateway.cli.address import url_of
from gateway.cli.doctor_build import build, python
from gateway.cli.doctor_found import Found
from gateway.cli.plan import planned_of
from gateway.config.loading import LoadedConfig
from gateway.planning import fetched_later, plans_of

_GIB = 1 << 30
_HUB = "https://huggingface.co"
_HUB_TIMEOUT_S = 3.0
_LOOK_S = 1.0
_CLOCK_OFF_S = 60
_LEAST_FILES = 256
_SHM = Path("/dev/shm")  # noqa: S108 - it is looked at, nothing is written there
_SHM_WANTED = _GIB


def machine() -> Iterator[Found]:
    """Yield what this machine is, and what its limits are."""
    yield Found("cores", "ok", f"{usable_cores()} usable")
    ram = memory_bytes()
    yield Found("memory", "ok", f"{ram / _GIB:.1f} GiB, limits of cgroups included")
    cards = gpus()
    for one in cards:
        free = f"{one.free_bytes / _GIB:.1f} of {one.total_bytes / _GIB:.1f} GiB free"
        yield Found("GPU", "ok", f"{one.index}: {one.name}, {free}")
    if not cards:
        yield Found("GPU", "ok", "none that NVIDIA's driver or the kernel reports")
    known = instructions()
    if "avx2" in known or "asimddp" in known:
        yield Found("processor", "ok", "supports " + _some(known))
    else:
        yield Found(
            "processor",
            "warn",
            "supports neither AVX2 nor ARM's dot products: llama.cpp is slow here",
            "use a newer machine for managed engines, or kind: remote",
        )


def environment() -> Iterator[Found]:
    """Yield which versions are installed, and how llama.cpp was built."""
    yield python()
    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        remedy = "for kind: llamacpp run: pip install 'weighbridge[llamacpp]'"
        yield Found("llama-cpp-python", "warn", "is not installed", remedy)
    else:
        yield Found("llama-cpp-python", "ok", version)
        yield from build()
    vllm = shutil.which("vllm")
    yield Found("vllm", "ok", f"the command is {vllm}" if vllm else "no command on the PATH")


def open_files(wanted: int) -> Found:
    """Return how many files may be open; each connection is two, and the engines' come on top."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # up to it `serve` raises the limit
    remedy = f"raise it: ulimit -n {wanted} (or LimitNOFILE= of a systemd unit)"
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return Found("open files", "ok", f"{wanted} may be open at once")
    said = f"{hard} may be open at once, {wanted} may be needed"
    return Found("open files", "fail" if hard < _LEAST_FILES else "warn", said, remedy)


def hub(environ: Mapping[str, str]) -> Iterator[Found]:
    """Yield whether the hub answers, and how far our clock is from its."""
    if environ.get("HF_HUB_OFFLINE"):
        yield Found("hub", "ok", "is not asked: HF_HUB_OFFLINE is set")
        return
    place = environ.get("HF_ENDPOINT") or _HUB
    try:
        answer = httpx.head(place, timeout=_HUB_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
        remedy = "only pull needs it; behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT"
        yield Found("hub", "warn", f"{place} does not answer: {type(error).__name__}", remedy)
        return
    yield Found("hub", "ok", f"{place} answers")
    yield clock(answer.headers.get("date", ""), time.time())


def clock(date: str, now_s: float) -> Found:
    """Return how far `now_s` is from the `Date` of an answer."""
    try:
        off_s = now_s - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return Found("clock", "ok", "the hub sends no time")
    if abs(off_s) > _CLOCK_OFF_S:
        remedy = "set it, as with timedatectl set-ntp true: certificates depend on it"
        return Found("clock", "warn", f"is {off_s:+.0f} s off the hub's", remedy)
    return Found("clock", "ok", f"agrees with the hub's within {max(1, abs(off_s)):.0f} s")


def of_file(config: LoadedConfig, environ: Mapping[str, str]) -> Iterator[Found]:
    """Yield what the file needs: its port, weights, memory, and what its engines want."""
    yield port(config.file.gateway.host, config.file.gateway.port)
    planned = planned_of(config, Remembered(cache_folder(environ)), memory_bytes())
    later = fetched_later(plans_of(config, Path(), cores=1))
    for row in planned.rows:
        if row.model in later:
            remedy = f"its first request fetches them; or now: weighbridge pull {row.model}"
            yield Found(f"weights of {row.model}", "warn", "are not here yet", remedy)
        elif row.problem is not None:
            remedy = "give the path of the file, or run: weighbridge pull"
            yield Found(f"weights of {row.model}", "fail", row.problem, remedy)
        else:
            yield Found(f"weights of {row.model}", "ok", "are here and complete")
    for name in planned.company.too_large:
        remedy = "; ".join(planned.hints) or "see weighbridge plan"
        yield Found(f"memory of {name}", "fail", "can never fit", remedy)
    if planned.rows and not planned.company.too_large:
        yield _together(all_fit=planned.company.all_fit, stated=planned.stated)
    for name, engine in config.file.engines.items():
        missing = engine.missing_extra()
        if missing is not None:
            yield Found(f"engine {name}", "fail", "cannot run here", missing)
        if engine.kind == "vllm":
            yield shared_memory()
        if isinstance(engine, LlamacppEngine) and engine.gpu_layers:
            yield from gpu_layers(name, engine.devices, gpus(), mac=sys.platform == "darwin")


def gpu_layers(
    engine: str, devices: tuple[int | str, ...] | None, cards: tuple[Gpu, ...], *, mac: bool
) -> Iterator[Found]:
    """Yield what stands in the way of an engine that is to put layers on GPUs."""
    what = f"GPUs of {engine}"
    if mac:
        return
    if not cards:
        remedy = "leave gpu_layers out, or check its driver, as with nvidia-smi"
        yield Found(what, "warn", "there are none: all layers stay on the CPU", remedy)
    elif len(visible(cards, devices)) < len(devices or ()):
        listed = ", ".join(str(card.index) for card in cards)
        yield Found(what, "fail", "devices names one that is not here", f"there are {listed}")


def _together(*, all_fit: bool, stated: bool) -> Found:
    if all_fit:
        return Found("memory", "ok", "all models fit at once")
    if stated:
        return Found("memory", "ok", "not all models fit at once: they are loaded in turn")
    remedy = "write `residency: {memory: ...}` so that they take turns, or see weighbridge plan"
    return Found("memory", "fail", "the models do not fit together", remedy)


def port(host: str, number: int) -> Found:
    """Return whether the gateway could listen."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, number))
            listener.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_gateway(host, number):
            remedy = "fine if it is yours; a second one needs another port"
            return Found("port", "warn", f"{host}:{number}: a gateway serves there", remedy)
        remedy = "stop what listens there, or set gateway.port or --port"
        return Found("port", "fail", f"{host}:{number}: {error.strerror}", remedy)
    except TypeError:  # of names that cannot be encoded, such as `ü..b`
        return Found("port", "fail", f"{host!r} is no address", "correct gateway.host")
    return Found("port", "ok", f"{host}:{number} is free")


def _is_gateway(host: str, number: int) -> bool:
    """Say whether what listens is one of ours, by the description that needs no key."""
    try:
        url = f"{url_of(host, number)}/openapi.json"
        told = httpx.get(url, timeout=_LOOK_S, trust_env=False).json()
        return bool(told["info"]["title"] == TITLE)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return False


def shared_memory() -> Found:
    """Return whether vLLM's processes have room to talk to each other."""
    try:
        there = os.statvfs(_SHM)
    except OSError:
        return Found("shared memory", "ok", "this system has no /dev/shm")
    size = there.f_blocks * there.f_frsize
    said = f"{size / _GIB:.1f} GiB"
    if size < _SHM_WANTED:
        return Found("shared memory", "warn", said, "in a container: --shm-size=2g or --ipc=host")
    return Found("shared memory", "ok", said)


def _some(known: frozenset[str]) -> str:
    told = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
    return ", ".join(one for one in told if one in known)
