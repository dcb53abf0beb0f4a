"""How far the rows that a run writes to a table are those of the version before, so that its files may stay."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ftetl.snapshot.table_reader import TableReader


class UnchangedRows:
    """The first rows of a table, for as long as they equal those of the version before; `count` of them so far."""

    def __init__(self, stored: TableReader, name: str) -> None:
        self._stored, self._name = stored, name
        self._groups = stored.read_row_groups(name)
        self._group: pa.Table | None = None  # what is left of the row group that is being compared
        self._has_skipped = False
        self.count = 0

    def take(self, rows: pa.Table) -> bool:
        """Whether the next rows are the next ones of the version before; if not, nothing is taken."""
        if self._has_skipped:
            return False
        at = 0
        while at < rows.num_rows:
            if self._group is None or not self._group.num_rows:
                self._group = next(self._groups, None)
                if self._group is None:
                    return False
            size = min(rows.num_rows - at, self._group.num_rows)
            if not rows.slice(at, size).equals(self._group.slice(0, size)):
                return False
            self._group = self._group.slice(size)
            at += size
        self.count += at
        return True

    def skip(self, count: int) -> None:
        """Take rows that are known to be the next ones of the version before; `take` takes none after them."""
        self._has_skipped = True
        self.count += count

    def are_all(self) -> bool:
        """Whether these are all rows of the version before."""
        return self.count == self._stored.count_rows(self._name)

    def rows(self) -> Iterator[pa.Table]:
        """The rows, read again."""
        left = self.count
        for group in self._stored.read_row_groups(self._name):
            if not left:
                return
            yield group.slice(0, left)
            left -= min(left, group.num_rows)
