"""What is to be told of a part beside its rows, as text; and the drift of all parts together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from ftetl.transform.column_drift import ColumnDrift, Unreadable, columns_below, is_vital, what_is_read


@dataclass
class PartNotes:
    """The notes of one part."""

    elements: int = 0  # that became rows, were quarantined, or repeat others
    identical: int = 0
    read: Mapping[str, int] = field(default_factory=dict)  # as `ColumnDrift.read`
    unreadable: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # by path: in how many jobs, and a form

    @classmethod
    def of(cls, drift: ColumnDrift, elements: int, identical: int) -> Self:
        """The notes of a part that was built."""
        unreadable = {found.path: (found.jobs, found.form) for found in drift.unreadable}
        return cls(elements, identical, drift.read, unreadable)

    def text(self) -> str:
        """The notes as text, from which `from_text` makes them again."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The notes of a text."""
        return cls(**json.loads(text))


def common_drift(notes: Iterable[PartNotes]) -> ColumnDrift:
    """The drift of parts that were built from nothing but their elements, as of one run."""
    read: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    forms: dict[str, str] = {}
    for part in notes:
        read.update(part.read)
        for path, (count, form) in part.unreadable.items():
            jobs[path] += count
            forms.setdefault(path, form)
    found = []
    for path in sorted(jobs):
        columns = columns_below(path)
        scope = read[what_is_read(path, columns)]
        found.append(Unreadable(path, any(map(is_vital, columns)), forms[path], 0, 0, scope, jobs[path], 0))
    return ColumnDrift(tuple(found), read=dict(read))
