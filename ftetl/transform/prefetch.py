"""Decodes and flattens the batches of a run ahead in threads; they come in order, a bounded number at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ftetl.raw.response import Response
from ftetl.transform.coalesce import Coalesced, coalesce_copies
from ftetl.transform.decode import decoder
from ftetl.transform.flatten import tables as flatten_tables
from ftetl.transform.raw_job import RawJob

THREADS = 2  # decode at once; more do not help where the merge and the writing wait for them


@dataclass(frozen=True)
class DecodedBatch:
    """One batch as nested and as flat rows."""

    coalesced: Coalesced
    flat: flatten_tables.Flat


def decoded_batches(items: Sequence[RawJob], responses: Sequence[Response], *, events: bool) -> Iterator[DecodedBatch]:
    """The batches in order; without `events`, as if none of the jobs had any."""

    def decode_and_flatten(batch: list[RawJob]) -> DecodedBatch:
        coalesced = coalesce_copies(decoder.decode(batch, responses), responses)
        return DecodedBatch(coalesced, flatten_tables.flatten(coalesced.decoded, with_events=events))

    with ThreadPoolExecutor(THREADS) as pool:
        pending: deque[Future[DecodedBatch]] = deque()
        try:
            for batch in decoder.split_into_batches(items, decoder.BATCH_BYTES):
                pending.append(pool.submit(decode_and_flatten, batch))
                if len(pending) > THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
