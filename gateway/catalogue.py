"""The catalogue of model families in the gateway's own nouns.

Owns: the translation of an entry into `ModelFacts` and `LicenceTerms`.
Must not: know facts or match names; `engines.families` does.
"""

from engines.families import Catalogue, Entry, Licence, load_catalogue
from gateway.domain import LicenceTerms, ModelFacts

# What may be used only after asking is not known to be allowed: nobody here knows the answer.
_COMMERCIAL = {"yes": True, "no": False, "on-request": None, None: None}


class CatalogueFacts:
    """A source of facts (`gateway.selection.facts.FactSource`): the catalogue.

    Without an argument the packaged catalogue is read, once, here.

    Raises:
        CatalogueProblem: the packaged data contradict themselves.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._catalogue = catalogue if catalogue is not None else load_catalogue()

    def entry_for(self, name: str) -> Entry | None:
        """Return the catalogue's entry that a name surely means, None when there is none."""
        return self._catalogue.find(name)

    def facts_for(self, name: str) -> ModelFacts | None:
        """Return what is known of a model by a name it goes by, None when nothing is."""
        entry = self.entry_for(name)
        return None if entry is None else facts_of_entry(entry)


def facts_of_entry(entry: Entry) -> ModelFacts:
    """Return the entry's facts as selection asks for them."""
    return ModelFacts(
        family=entry.family,
        parameters=entry.parameters,
        active_parameters=entry.active_parameters,
        context_tokens=entry.context_tokens,
        licence=terms_of(entry.licence),
        languages=entry.languages or (),
        strengths=entry.strengths,
        generates=entry.chat or entry.is_base or (False if entry.embeddings else None),
        embeddings=entry.embeddings,
        reranks=False if entry.chat or entry.is_base else None,
        vision=entry.vision,
        tools=entry.tools,
    )


def terms_of(licence: Licence) -> LicenceTerms:
    """Return the licence's conditions as rules match them."""
    return LicenceTerms(
        licence_class=licence.licence_class,
        spdx=licence.spdx,
        commercial=_COMMERCIAL[licence.commercial],
        excluded_regions=licence.excluded_regions,
        monthly_users=licence.monthly_users,
        no_limit=licence.unlimited_users,
    )
