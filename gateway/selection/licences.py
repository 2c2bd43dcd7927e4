"""Whether a model's licence meets a rule's `require: {licence: ...}`.

Owns: the words for a licence that does not.
Must not: know licences; the catalogue (`engines.families`) does.
"""

from typing import Any

from gateway.config.schema import LicenceClause


def licence_refusal(licence: Any, clause: LicenceClause) -> str | None:
    """Return why the licence does not meet the clause, or None when it does."""
    if licence is None:
        if clause.classes and "unknown" in clause.classes:
            return None
        return "its licence is unknown"
    return None
