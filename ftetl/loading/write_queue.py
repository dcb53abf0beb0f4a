"""Rows on their way into files: written in a thread and in order, while the caller makes the next ones."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from ftetl.loading.formats import Writer

_DEPTH = 8  # batches that wait, of all tables: about as many as fill a row group of events
_FEW_CELLS = 50_000  # that are written sooner than a thread takes them


class WriteQueue:
    """Writes one batch after the other; `finish` or `abandon` it before the files are closed.

    What a writer raises is raised by a later call of `write`, or by `finish`.
    """

    def __init__(self) -> None:
        self._waiting: deque[Future[None]] = deque()
        self._pool: ThreadPoolExecutor | None = None

    def write(self, writer: Writer, rows: pa.Table) -> None:
        """Give rows to a writer, after all that were given before; waits while there are too many."""
        while self._waiting and (len(self._waiting) >= _DEPTH or self._waiting[0].done()):
            self._waiting.popleft().result()
        if not self._waiting and rows.num_rows * rows.num_columns < _FEW_CELLS:
            writer.write(rows)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftetl-write")
        self._waiting.append(self._pool.submit(writer.write, rows))

    def finish(self) -> None:
        """Wait until all rows are written."""
        while self._waiting:
            self._waiting.popleft().result()
        self.abandon()

    def abandon(self) -> None:
        """End the thread after the batch that it is writing; the others are not written."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
