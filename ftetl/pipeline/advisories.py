"""Warnings in the report of a run that went well. They hold counts, times and names, no values of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftetl.clock import SKEW, now
from ftetl.config import limits
from ftetl.config.settings import PROJECT, Settings
from ftetl.extract.extract import Extraction
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Source
from ftetl.loading import formats
from ftetl.pipeline.build_tables import account_from_settings
from ftetl.transform.derive.focus_costs import TABLE

PAGE_SIZES = tuple(size for size in limits.PAGE_SIZES if size >= 100)  # a list of 10 jobs is nothing special
SHEET_ROWS = 1_048_576  # rows of a sheet in Excel, the header included
ACCOUNT = "billing_account"  # the fact of a version: the account in its charges
LISTED = "listed"  # the fact of a version: how many jobs its newest whole list had


def run_warnings(
    extraction: Extraction, source: Source, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """Warnings about the responses and the files.

    Args:
        extraction: what the run received.
        source: where from.
        before: the facts of the version before.
        after: the facts of the version that is now the newest.
    """
    yield from source.notes
    future = [r.name for r in extraction.responses if r.observed_at > now() + SKEW]
    if future:
        yield f"{future[0]} was observed in the future; until then no saved response can replace its data"
    if all_details_missing(extraction):
        yield "the API responded with 404 to every detail request; check --base-url"
    count = None if extraction.whole is None else extraction.scans[extraction.whole].received
    if count in PAGE_SIZES and before.get(LISTED) == count:
        yield f"the list has exactly {count:,} jobs, as before; check whether the service has more and cuts the list"
    if "csv" in after.get(formats.FACT, {}):
        for name, rows in after.get("rows", {}).items():
            if rows >= SHEET_ROWS:
                yield (
                    f"{name}.csv has {rows:,} rows, of which a spreadsheet shows {SHEET_ROWS - 1:,}; "
                    "read the Parquet file"
                )
    missing = sorted(set(before.get(formats.FACT, {})) - set(after.get(formats.FACT, {})))
    if missing:
        names = " and no ".join(missing)
        yield f"from this version on there are no {names} files; --format {missing[0]} writes them again"


def cost_warnings(
    settings: Settings, rows: Mapping[str, int], before: Mapping[str, Any], refunds: Mapping[str, int]
) -> Iterator[str]:
    """Warnings about charges.

    Args:
        settings: of the run.
        rows: how many rows each table has.
        before: the facts of the version before.
        refunds: failed jobs by what their refund says of prices: `gross` or `net`.
    """
    account = account_from_settings(settings).id
    # Only with the first charges: who has no use for accounts need not read it in every run. The demo's is invented.
    first = rows[TABLE] and not before.get("rows", {}).get(TABLE)
    if first and settings.source != "demo" and account == PROJECT:
        yield f"{TABLE} has `{PROJECT}` as its billing account; name yours with --billing-account"
    if before.get(ACCOUNT) not in (None, account):
        yield f"the billing account in {TABLE} was {before[ACCOUNT]!r} and is now {account!r}, in all rows"
    if refunds.get("net"):
        yield (
            f"{refunds['net']} failed jobs have a refund and a price of 0, {refunds.get('gross', 0)} have a refund "
            f"of their price: prices may be net of refunds; if so, leave the refund rows of {TABLE} out"
        )


def all_details_missing(extraction: Extraction) -> bool:
    """Whether the response to every detail request was a 404, which deleted jobs do not explain."""
    outcomes = extraction.details.outcomes
    return outcomes[Outcome.GONE.value] >= limits.MIN_DETAILS and set(outcomes) == {Outcome.GONE.value}
