"""When the newest whole list was observed: also by runs that changed nothing, and so left no version.

Without it an older list, read later, would pass for the newest one. Knows times only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ftetl.clock import iso, parse_iso
from ftetl.store.target import Target

NAME = "observed"
FACT = "newest_whole_at"


def newest_whole_at(target: Target) -> datetime | None:
    """The time of the newest whole list that the target's tables know of; none where none was read."""
    base = target.base
    if base is None:
        return None
    told = target.read_document(NAME)
    moments = [_moment(base.facts)]
    if told.get("run_id") == base.run_id:  # what was said of another version says nothing of this one
        moments.append(_moment(told))
    return max((m for m in moments if m is not None), default=None)


def remember(target: Target, run_id: str, moment: datetime | None) -> None:
    """Say so for the version that this run made, or found to be the same."""
    target.write_document(NAME, {"run_id": run_id, FACT: iso(moment) if moment else None})


def _moment(facts: Mapping[str, Any]) -> datetime | None:
    try:
        return parse_iso(facts[FACT])
    except (KeyError, TypeError, ValueError):
        return None
