"""From a reference to files in the store: what has to be fetched, is there room, fetch, link.

Owns: the order of these steps; where a fetched file goes.
Must not: print or ask people; the caller has shown them the order.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2

from engines.hub.checks import Check
from engines.hub.listing import Listing, RepoFile, gated, refused, unreachable
from engines.hub.problems import PullProblem
from engines.hub.settings import HubSettings
from engines.hub.transfer import Refused, Source, Teller, fetch
from engines.hub.words import gigabytes
from engines.weights.references import HubRepo, WebFile
from engines.weights.store import PARTIAL, Store
from engines.weights.variants import SizedFile

_GATED = "GatedRepo"
_CONNECT_S = 15.0
_SILENT_S = 30.0
# Left on the disk for everybody else.
_SPARE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """A file to fetch: from where, to which place, and the links under which it is found."""

    source: Source
    target: Path
    link: Path | None = None

    @property
    def partial(self) -> Path:
        """Where its bytes gather."""
        return self.target.with_name(self.target.name + PARTIAL)

    @property
    def is_done(self) -> bool:
        """Say whether the bytes are here; the link may still have to be made."""
        return self.target.exists()

    @property
    def left_bytes(self) -> int:
        """How many bytes have to come; 0 where nobody knows."""
        if self.is_done or self.source.size_bytes is None:
            return 0
        here = self.partial.stat().st_size if self.partial.exists() else 0
        return max(0, self.source.size_bytes - here)


@dataclass(frozen=True, slots=True)
class Order:
    """What to fetch for one reference; `notes` are files to write when all of it is here."""

    named: str
    steps: tuple[Step, ...]
    notes: tuple[tuple[Path, str], ...] = ()
    repo: str = ""

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(step.source.size_bytes or 0 for step in self.steps)

    @property
    def left_bytes(self) -> int:
        """What has to come."""
        return sum(step.left_bytes for step in self.steps)

    @property
    def is_done(self) -> bool:
        """Say whether nothing has to come."""
        return all(step.is_done and _linked(step) for step in self.steps)


def order_from_hub(
    settings: HubSettings,
    store: Store,
    reference: HubRepo,
    listing: Listing,
    *,
    files: Iterable[SizedFile],
    pick: str | None = None,
) -> Order:
    """Return the order for some files of a listing; `pick` is noted as what the bare name means."""
    folder = store.repo_folder(reference.repo)
    wanted = {file.path for file in files}
    steps = tuple(
        _step(settings, folder, listing, one) for one in listing.files if one.file.path in wanted
    )
    notes = [(folder / "refs" / reference.revision, listing.commit)]
    if reference.revision == listing.commit:
        notes.clear()
    if pick is not None:
        notes.append((store.pick_note(reference), pick))
    return Order(str(reference), steps, tuple(notes), reference.repo)


def source_of(settings: HubSettings, listing: Listing, path: str) -> tuple[str, dict[str, str]]:
    """Return the URL of a file on the hub, and the headers that it is asked for with."""
    headers = {"user-agent": "weighbridge"}
    if settings.token is not None:
        headers["authorization"] = f"Bearer {settings.token}"
    return f"{settings.endpoint}/{listing.repo}/resolve/{listing.commit}/{quote(path)}", headers


def order_from_web(store: Store, reference: WebFile, client: httpx2.Client) -> Order:
    """Return the order for the file of a URL; its size is asked for.

    Raises:
        PullProblem: nobody answers there.
    """
    target = store.web_file(reference)
    size = None if target.exists() else _size_of(reference, client)
    source = Source(reference.name, reference.url, size, Check(sha256=reference.sha256))
    return Order(reference.name, (Step(source, target),))


def check_room(order: Order) -> None:
    """See that what has to come has room.

    Raises:
        PullProblem: it has not.
    """
    for step in order.steps[:1]:
        place = next(p for p in step.target.parents if p.exists())
        free = shutil.disk_usage(place).free
        short = order.left_bytes + _SPARE_BYTES - free
        if order.left_bytes and short > 0:
            raise PullProblem(
                f"{order.named} takes {gigabytes(order.left_bytes)} more, and the disk of {place} "
                f"has {gigabytes(free)} free: make room for {gigabytes(short)}, or name a folder "
                "on a larger disk with HF_HUB_CACHE (and WEIGHBRIDGE_CACHE for files from URLs)"
            )


def carry_out(
    settings: HubSettings,
    order: Order,
    *,
    client: httpx2.Client,
    teller: Teller,
    pause: Callable[[float], None],
) -> None:
    """Fetch what is missing and link it; notes are written when all of it is here.

    Raises:
        PullProblem: no room, not given, cut off, wrong. What has come is kept.
    """
    check_room(order)
    for step in order.steps:
        try:
            step.target.parent.mkdir(parents=True, exist_ok=True)
            if not step.is_done:
                fetch(
                    step.source,
                    step.partial,
                    step.target,
                    client=client,
                    teller=teller,
                    pause=pause,
                )
            _link(step)
        except Refused as refusal:
            raise _why(settings, order, refusal) from None
        except httpx2.HTTPError as error:
            raise unreachable(settings, str(error)) from None
        except OSError as error:
            raise PullProblem(f"{step.source.name}: {error.strerror or error}") from None
    for path, text in order.notes:
        note(path, text)


def note(path: Path, text: str) -> None:
    """Write a short file of the store.

    Raises:
        PullProblem: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PullProblem(f"{path} cannot be written: {error.strerror or error}") from None


def web_client() -> httpx2.Client:
    """Return a client for files; proxies are those of the environment, the caller closes it.

    Raises:
        PullProblem: the environment names a proxy of a kind that nobody here speaks to.
    """
    # A redirect to another host loses the token by itself.
    limits = httpx2.Timeout(_SILENT_S, connect=_CONNECT_S)
    try:
        return httpx2.Client(timeout=limits, follow_redirects=True)
    except (ImportError, ValueError, httpx2.InvalidURL):  # socks:// and the like
        raise PullProblem(
            "the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used: only http:// and "
            "https:// proxies can; set HTTPS_PROXY to one, and unset the others"
        ) from None


def _step(settings: HubSettings, folder: Path, listing: Listing, one: RepoFile) -> Step:
    path = one.file.path
    url, headers = source_of(settings, listing, path)
    return Step(
        Source(Path(path).name, url, one.file.size_bytes, one.check, headers),
        folder / "blobs" / one.check.wanted,
        folder / "snapshots" / listing.commit / path,
    )


def _size_of(reference: WebFile, client: httpx2.Client) -> int | None:
    try:
        answer = client.head(reference.url, headers={"accept-encoding": "identity"})
    except httpx2.HTTPError as error:
        raise PullProblem(
            f"{reference.name} cannot be fetched: {_one_line(error)}; check the URL and the network"
        ) from None
    length = answer.headers.get("content-length", "")
    return int(length) if answer.is_success and length.isdigit() else None


def _why(settings: HubSettings, order: Order, refusal: Refused) -> PullProblem:
    if not order.repo:
        return PullProblem(f"{order.named}: its server answers with HTTP {refusal.status}")
    if refusal.code == _GATED:
        return gated(settings, order.repo)
    return refused(settings, order.repo, refusal.status)


def _linked(step: Step) -> bool:
    return step.link is None or step.link.exists()


def _link(step: Step) -> None:
    if step.link is None or step.link.exists():
        return
    step.link.parent.mkdir(parents=True, exist_ok=True)
    step.link.unlink(missing_ok=True)  # a link to a blob that was removed
    step.link.symlink_to(os.path.relpath(step.target, step.link.parent))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
