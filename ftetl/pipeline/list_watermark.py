"""When the newest whole list was observed, and when details were last asked for, also by runs that made no version.

Without the first an older list that is read later would pass for the newest one; without the second a job whose detail
was had before its refund would never be asked about again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ftetl.clock import iso, parse_iso
from ftetl.store.target import Target

DOCUMENT = "observed"  # it is stored in `_ftetl/observed.json`
FACT = "newest_whole_at"
DETAILS = "details_at"


def newest_whole_at(target: Target) -> datetime | None:
    """When the newest whole list in the target's tables was observed; None if none was read."""
    return _stored_time(target, FACT)


def details_at(target: Target) -> datetime | None:
    """The time of the last run that asked for details; None if there was none, or an older ftetl did not store it."""
    return _stored_time(target, DETAILS)


def write_newest_whole_at(
    target: Target, run_id: str, observed_at: datetime | None, details: datetime | None = None
) -> None:
    """Store both for the version that this run made, or found to be the same."""
    target.write_document(DOCUMENT, {"run_id": run_id, **time_facts(observed_at, details)})


def time_facts(observed_at: datetime | None, details: datetime | None) -> dict[str, str | None]:
    """Both times as JSON."""
    return {FACT: iso(observed_at) if observed_at else None, **({DETAILS: iso(details)} if details else {})}


def newest_in(run_id: str, facts: Mapping[str, Any], document: object, name: str) -> datetime | None:
    """One of these times, from the manifest of a version and the document, which is the newer one if it is about it."""
    is_newer = isinstance(document, dict) and document.get("run_id") == run_id and name in document
    known: Any = document if is_newer else facts
    try:
        return parse_iso(known[name])
    except (KeyError, TypeError, ValueError):
        return None


def _stored_time(target: Target, name: str) -> datetime | None:
    if target.base is None:
        return None
    return newest_in(target.base.run_id, target.base.facts, target.read_document(DOCUMENT), name)
