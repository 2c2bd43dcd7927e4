"""Whether a model's licence meets a rule's `require: {licence: ...}`.

Owns: the meaning of each condition, and the words for a licence that does not meet it.
Must not: know licences; the catalogue does. What is not known does not meet a condition.
"""

from gateway.config.conditions import LicenceClause
from gateway.domain import LicenceTerms

_UNKNOWN = LicenceTerms()


def licence_refusal(licence: LicenceTerms | None, clause: LicenceClause) -> str | None:
    """Return why the licence does not meet the clause, or None when it does."""
    terms = licence or _UNKNOWN
    return (
        _wrong_kind(terms, clause)
        or _wrong_use(terms, clause)
        or _wrong_region(terms, clause)
        or _too_many_users(terms, clause)
    )


def _wrong_kind(terms: LicenceTerms, clause: LicenceClause) -> str | None:
    if clause.classes and terms.licence_class not in clause.classes:
        return f"its licence is {terms.licence_class}, not {' or '.join(clause.classes)}"
    wanted = {name.lower() for name in clause.spdx or ()}
    if wanted and (terms.spdx or "").lower() not in wanted:
        return f"its licence is {terms.spdx or 'none with an SPDX name'}"
    return None


def _wrong_use(terms: LicenceTerms, clause: LicenceClause) -> str | None:
    if clause.commercial and not terms.commercial:
        known = "does not allow" if terms.commercial is False else "is not known to allow"
        return f"its licence {known} commercial use"
    return None


def _wrong_region(terms: LicenceTerms, clause: LicenceClause) -> str | None:
    if clause.region is None:
        return None
    if terms.excluded_regions is None:
        return f"its licence is not known to allow use in {clause.region}"
    if clause.region.lower() in {region.lower() for region in terms.excluded_regions}:
        return f"its licence does not allow use in {clause.region}"
    return None


def _too_many_users(terms: LicenceTerms, clause: LicenceClause) -> str | None:
    if clause.monthly_users is None or terms.no_limit:
        return None
    if terms.monthly_users is None:
        return "its licence is not known to allow so many monthly users"
    if clause.monthly_users > terms.monthly_users:
        return f"its licence allows {terms.monthly_users:,} monthly users"
    return None
