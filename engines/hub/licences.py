"""Licences of what is fetched: shown always, asked for once where they are not open source.

Owns: which licence a repository has, and the note that somebody has agreed to it.
Must not: ask anybody; the command does.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from engines.families import Catalogue, Licence
from engines.hub.listing import Listing
from engines.hub.pulling import note
from engines.weights.store import Store


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence as people are shown it. `id` is what an agreement is noted under."""

    id: str
    name: str
    url: str | None
    is_open: bool
    conditions: Licence | None = None


def terms_of(listing: Listing, catalogue: Catalogue) -> Terms:
    """Return the licence of a repository.

    The catalogue comes first: a copy's card may say less than the maker's. A licence that nobody
    names is not taken for an open one, and counts for its repository alone.
    """
    entries = (catalogue.find(name) for name in (listing.repo, *listing.originals))
    known = next((entry.licence for entry in entries if entry is not None), None)
    if known is None and (listing.licence or "") not in catalogue.open_on_hub:
        known = catalogue.licence_on_hub(listing.licence_name, listing.licence)
    if known is not None:
        return Terms(known.id, known.name, known.url, known.licence_class == "open", known)
    if listing.licence in catalogue.open_on_hub and listing.licence is not None:
        return Terms(listing.licence, listing.licence, listing.licence_url, is_open=True)
    named = listing.licence_name or listing.licence
    shown = "no licence that the hub knows of" if named in (None, "other", "unknown") else named
    return Terms(listing.repo, str(shown), listing.licence_url, is_open=False)


def is_agreed(store: Store, terms: Terms) -> bool:
    """Say whether nobody has to be asked: it is open, or somebody has agreed to it here."""
    return terms.is_open or store.licence_note(terms.id).is_file()


def note_agreement(store: Store, terms: Terms, repo: str, when: str) -> Path:
    """Note that somebody has agreed; `when` is a date and time in ISO 8601.

    Raises:
        PullProblem: the note cannot be written.
    """
    path = store.licence_note(terms.id)
    told = {"licence": terms.name, "url": terms.url, "agreed": when, "for": repo}
    note(path, json.dumps(told, indent=2) + "\n")
    return path
