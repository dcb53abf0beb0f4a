"""Refuses a run whose responses have another form than the tables expect: errors R51, R52 and R54.

A value that is unreadable in many jobs at once, or missing in most that had it, is no odd job but a changed API:
with it good figures would be replaced by nothing. Prices that change in many finished jobs at once may be in another
unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ftetl.config import limits
from ftetl.errors import DataError
from ftetl.formatting import pluralize
from ftetl.transform.column_drift import UNKNOWN_TEXT, ChangedMoney, ColumnDrift, MissingKey, Unreadable
from ftetl.transform.merge import last_known

_SHOWN = 3  # keys that a message names


def require_no_drift(drift: ColumnDrift) -> None:
    """Refuse values that are unreadable in many jobs, vital ones missing in most, and prices of many that changed.

    Raises:
        DataError: There are some.
    """
    unreadable, missing = _drifted_unreadable(drift), [m for m in _drifted_missing(drift) if m.vital]
    if unreadable or missing:
        error = DataError(
            "R51" if unreadable else "R52",
            f"{_described(unreadable, missing)}: the responses have another form; nothing was committed",
            next="look for a newer ftetl; --allow-drift goes on with what can be read, and keeps the last known "
            "status, creation time, price and refund of each job",
        )
        error.drift = {
            kind: {m.path: m.jobs for m in found} for kind, found in (("unreadable", unreadable), ("missing", missing))
        }
        raise error
    if money := _changed_in_many(drift):
        error = DataError(
            "R54",
            f"{_described_money(money)} at once; nothing was committed",
            next="compare them with the console's; if the new ones are right, --allow-drift takes them",
        )
        error.drift = {"unreadable": {}, "missing": {}}
        raise error


def drift_warnings(drift: ColumnDrift) -> Iterator[str]:
    """Warnings of a run that was not refused, or that allows drift."""
    unreadable, missing = _drifted_unreadable(drift), _drifted_missing(drift)
    if unreadable or missing:
        yield f"{_described(unreadable, missing)}: the responses have another form; look for a newer ftetl"
    if drift.money:
        many = _changed_in_many(drift)
        yield f"{_described_money(drift.money)}{' at once' if many else ''}; see job_history for the ones before"
    for found in drift.unreadable:
        is_kept = found.path in last_known.KEYS and found.form != UNKNOWN_TEXT
        if is_kept and found.jobs and found not in unreadable:
            yield f"{found.path} is unreadable in {pluralize(found.jobs, 'job')} ({found.form}); {_instead(found)}"

    if few := [m for m in drift.missing if m.vital and m not in missing]:
        yield f"{_described([], few)}; look at these jobs, and at the next runs"


def _instead(found: Unreadable) -> str:
    """What the tables have in place of unreadable values: the last known ones, where there are any."""
    text = "last known values are kept"
    if found.unreadable_others:
        fresh, lost = f"{found.unreadable_others:,}", f"{found.lost:,}"
        text = f"NULL in {fresh}, last known values in {lost}" if found.lost else "NULL"
    return f"{text}, see the table anomalies"


def _drifted_unreadable(drift: ColumnDrift) -> list[Unreadable]:
    return [found for found in drift.unreadable if _became_unreadable(found)]


def _became_unreadable(found: Unreadable) -> bool:
    is_known = found.stored >= limits.DRIFT_JOBS and not found.vital  # and was allowed
    fresh = (0, 0) if is_known else (found.unreadable_others, found.others)
    groups = ((found.lost, found.had), fresh, (found.lost + fresh[0], found.had + fresh[1]))
    return any(jobs >= limits.DRIFT_JOBS and jobs >= limits.UNREADABLE_SHARE * of for jobs, of in groups)


def _changed_in_many(drift: ColumnDrift) -> list[ChangedMoney]:
    return [m for m in drift.money if m.jobs >= limits.DRIFT_JOBS and m.jobs >= limits.CHANGED_MONEY_SHARE * m.had]


def _described_money(money: Sequence[ChangedMoney]) -> str:
    texts = {
        "total_price": "the prices of {} finished jobs changed",
        "refund_amount": "the refunds of {} finished jobs fell",
    }
    return ", ".join(texts[m.path].format(f"{m.jobs:,} of {m.had:,}") for m in money)


def _drifted_missing(drift: ColumnDrift) -> list[MissingKey]:
    return [
        found
        for found in drift.missing
        if found.jobs >= limits.DRIFT_JOBS
        and found.jobs > limits.MISSING_SHARE * found.had
        and found.had > limits.MISSING_SHARE * found.compared
    ]


def _described(unreadable: Sequence[Unreadable], missing: Sequence[MissingKey]) -> str:
    """The keys, in how many jobs, and the form of one value; never a value."""
    texts = [f"{u.path} is unreadable in {u.jobs:,} of {u.had + u.others:,} jobs ({u.form})" for u in unreadable]
    texts += [f"{m.path} is missing in {m.jobs:,} of {m.had:,} jobs that had it" for m in missing]
    more = f", and {len(texts) - _SHOWN} more keys" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
