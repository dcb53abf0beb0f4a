"""What somebody should know about a run that went well: lines for its report.

Knows counts, times and names, no values of jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from ftetl.clock import now
from ftetl.config.settings import PROJECT, Settings
from ftetl.extract.extract import Extraction
from ftetl.extract.source import Outcome, Source
from ftetl.pipeline.billing_account import account_from_settings
from ftetl.transform.derive.focus_costs import TABLE

MANY = 10  # details from which on it means something if not one is there
ROUND = (100, 500, 1000)  # what services like to end a page at
SHEET = 1_048_576  # rows of a sheet in Excel, the header included
ACCOUNT = "billing_account"  # the fact of a version: the account in its charges
LISTED = "listed"  # the fact of a version: how many jobs its newest whole list had
AHEAD = timedelta(days=1)  # clocks differ; by more than this a time is a mistake


def of(given: Extraction, source: Source, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The lines, given the facts of the version before and of the one that stands now."""
    yield from source.notes
    late = [response.name for response in given.responses if response.observed_at > now() + AHEAD]
    if late:
        yield f"{late[0]} was observed in the future; until then no other answer can replace what it says"
    if all_gone(given):
        yield "every detail that was asked for is unknown to the API (404): is the address right?"
    count = None if given.whole is None else given.scans[given.whole].received
    if count in ROUND and before.get(LISTED) == count:
        yield f"the list has exactly {count:,} jobs, as before; does the service have more, and keep them back?"
    if "csv" in after.get("formats", {}):
        for name, rows in after.get("rows", {}).items():
            if rows >= SHEET:
                yield f"{name}.csv has {rows:,} rows, of which a spreadsheet shows {SHEET - 1:,}; read the Parquet file"
    lost = sorted(set(before.get("formats", {})) - set(after.get("formats", {})))
    if lost:
        yield f"this version has no {' and no '.join(lost)} files, the one before had; add --format {lost[0]}"


def money(
    settings: Settings, rows: Mapping[str, int], before: Mapping[str, Any], refunds: Mapping[str, int]
) -> Iterator[str]:
    """The lines about charges, given the rows of each table, the facts of the version before, and what refunds say."""
    # Told once, with the first charges: who has no use for accounts is not told in every run. The demo's is invented.
    first = rows[TABLE] and not before.get("rows", {}).get(TABLE)
    if first and settings.source != "demo" and account_from_settings(settings).id == PROJECT:
        yield f"{TABLE} has `{PROJECT}` as its billing account; name yours with --billing-account"
    known, account = before.get(ACCOUNT), account_from_settings(settings).id
    if known not in (None, account):
        yield f"the billing account in {TABLE} is {account!r} now, it was {known!r}; all rows have the new one"
    if refunds.get("net"):
        yield (
            f"{refunds['net']} failed jobs have a refund and a price of 0, {refunds.get('gross', 0)} have a refund "
            f"of their price: prices may be net of refunds; if so, leave the refund rows of {TABLE} out"
        )


def all_gone(given: Extraction) -> bool:
    """Whether details were asked for and every one was answered with a 404, which no deletion explains."""
    outcomes = given.details.outcomes
    return outcomes[Outcome.GONE.value] >= MANY and set(outcomes) == {Outcome.GONE.value}
