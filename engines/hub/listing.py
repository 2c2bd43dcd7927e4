"""What a repository on the hub holds: its files with sizes and digests, its licence.

Owns: the one question to the hub's API, and the words for each way in which it is refused.
Must not: fetch files or choose among them.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from engines.hub.checks import Check
from engines.hub.problems import PullProblem
from engines.hub.settings import HubSettings
from engines.weights.references import HubRepo
from engines.weights.variants import SizedFile

_TIMEOUT_S = 30
_COMMIT = re.compile(r"[0-9a-f]{40}")  # anything else must not become a path
_LICENCE_TAG = "license:"


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file on the hub and what its bytes must come to."""

    file: SizedFile
    check: Check


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit. `licence` is the hub's identifier, None where it names none."""

    repo: str
    commit: str
    files: tuple[RepoFile, ...]
    licence: str | None = None
    licence_name: str | None = None
    licence_url: str | None = None
    gated: bool = False
    originals: tuple[str, ...] = ()

    @property
    def sized(self) -> tuple[SizedFile, ...]:
        """The files without their digests."""
        return tuple(one.file for one in self.files)


def fetch_listing(settings: HubSettings, reference: HubRepo) -> Listing:
    """Ask the hub what a repository holds.

    Raises:
        PullProblem: it is not there, gated, or the hub cannot be asked.
    """
    if settings.offline:
        raise PullProblem(
            f"HF_HUB_OFFLINE is set, so {settings.shown} is not asked, and {reference} is not "
            "here; unset it to pull"
        )
    api = HfApi(endpoint=settings.endpoint, token=settings.token or False)
    try:
        info = api.model_info(
            reference.repo,
            revision=reference.revision,
            files_metadata=True,
            timeout=_TIMEOUT_S,
        )
    except GatedRepoError:
        raise gated(settings, reference.repo) from None
    except RepositoryNotFoundError:
        raise _unknown(settings, reference.repo) from None
    except RevisionNotFoundError:
        raise PullProblem(f"{reference.repo} has no revision {reference.revision}") from None
    except HFValidationError:
        raise PullProblem(f"{reference.repo!r} is not the name of a repository") from None
    except HfHubHTTPError as error:
        raise refused(settings, reference.repo, error.response.status_code) from None
    except (OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
        raise unreachable(settings, str(error)) from None
    except (ValueError, TypeError, LookupError):  # what answers with 200 is a portal's page, say
        raise _no_hub(settings, reference.repo) from None
    return _listing(settings, reference.repo, info)


def gated(settings: HubSettings, repo: str) -> PullProblem:
    """Return what to do where the makers want to be asked first."""
    page = f"{settings.endpoint}/{repo}"
    if settings.token is None:
        return PullProblem(
            f"{repo} is gated: accept its makers' terms at {page}, create a token at "
            f"{settings.endpoint}/settings/tokens, and pull again with HF_TOKEN set to it"
        )
    return PullProblem(
        f"{repo} is gated, and the account of your token has no access to it yet: agree to the "
        f"terms at {page} (some makers take a while to answer), then pull again"
    )


def refused(settings: HubSettings, repo: str, status: int) -> PullProblem:
    """Return what an answer with an error status comes to."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return PullProblem(
            f"{settings.shown} refuses the token for {repo} (HTTP {status}): it may have expired, "
            "or lack access to this repository; put a valid one into HF_TOKEN"
        )
    if status == HTTPStatus.NOT_FOUND:
        return _unknown(settings, repo)
    return PullProblem(f"{settings.shown} answers with HTTP {status}; try again later")


def unreachable(settings: HubSettings, why: str) -> PullProblem:
    """Return the words for a hub that nobody answers at."""
    reason = " ".join(why.split())[:200]
    return PullProblem(
        f"{settings.shown} cannot be reached ({reason}); check the network and proxy, or name a "
        "mirror with HF_ENDPOINT"
    )


def _unknown(settings: HubSettings, repo: str) -> PullProblem:
    private = "its owner must give your token access" if settings.token else "set HF_TOKEN"
    return PullProblem(
        f"{settings.shown} has no {repo}: check the name; if it is private, {private}"
    )


def _no_hub(settings: HubSettings, repo: str) -> PullProblem:
    return PullProblem(
        f"{settings.shown} does not say what {repo} holds; is HF_ENDPOINT the address of a hub?"
    )


def _listing(settings: HubSettings, repo: str, info: ModelInfo) -> Listing:
    files = tuple(filter(None, map(_file, info.siblings or ())))
    commit = info.sha or ""
    if _COMMIT.fullmatch(commit) is None or not files:
        raise _no_hub(settings, repo)
    card: dict[str, object] = dict(vars(info.card_data)) if info.card_data is not None else {}
    tagged = (t.removeprefix(_LICENCE_TAG) for t in info.tags or () if t.startswith(_LICENCE_TAG))
    return Listing(
        repo=info.id or repo,
        commit=commit,
        files=files,
        licence=_text(card.get("license")) or next(tagged, None),
        licence_name=_text(card.get("license_name")),
        licence_url=_text(card.get("license_link")),
        gated=bool(info.gated),
        originals=_texts(card.get("base_model")),
    )


def _file(found: RepoSibling) -> RepoFile | None:
    """Return a file; None where the hub tells no digest of it, or its path leads elsewhere."""
    parts = found.rfilename.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in found.rfilename:
        return None
    size = found.size if found.lfs is None else found.lfs.size
    if not isinstance(size, int) or size < 0:
        return None
    try:
        if found.lfs is not None:
            check = Check(sha256=found.lfs.sha256)
        else:
            check = Check(git_blob=found.blob_id or "")
    except (ValueError, TypeError):
        return None
    return RepoFile(SizedFile(found.rfilename, size), check)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(one for one in values if isinstance(one, str) and one)
