"""Facts about families of open-weight models: licence, languages, context, size, strengths.

Owns: the data files under `data/`, their shape, and the matching of names with entries.
Must not: import the gateway, read weights, ask a network, or guess: an unknown fact is None.
"""

from engines.families.catalogue import Catalogue
from engines.families.entry import CatalogueProblem, Entry, Licence, Strength
from engines.families.loading import load_catalogue

__all__ = ["Catalogue", "CatalogueProblem", "Entry", "Licence", "Strength", "load_catalogue"]
