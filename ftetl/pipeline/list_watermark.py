"""When the newest whole list was observed, also by runs that changed nothing and made no version.

Without it an older list that is read later would pass for the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ftetl.clock import iso, parse_iso
from ftetl.store.target import Target

_DOCUMENT = "observed"  # it is stored in `_ftetl/observed.json`
FACT = "newest_whole_at"


def newest_whole_at(target: Target) -> datetime | None:
    """When the newest whole list in the target's tables was observed; None if none was read."""
    base = target.base
    if base is None:
        return None
    document = target.read_document(_DOCUMENT)
    times = [_parsed_time(base.facts)]
    if document.get("run_id") == base.run_id:  # else it is about another version
        times.append(_parsed_time(document))
    return max((time for time in times if time is not None), default=None)


def write_newest_whole_at(target: Target, run_id: str, observed_at: datetime | None) -> None:
    """Store it for the version that this run made, or found to be the same."""
    target.write_document(_DOCUMENT, {"run_id": run_id, FACT: iso(observed_at) if observed_at else None})


def _parsed_time(facts: Mapping[str, Any]) -> datetime | None:
    try:
        return parse_iso(facts[FACT])
    except (KeyError, TypeError, ValueError):
        return None
