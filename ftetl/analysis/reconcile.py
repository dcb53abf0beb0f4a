"""What ftetl computes from the jobs beside what the vendor bills, month by month.

The bill names no job and covers the whole organisation, so only sums can be compared.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.spend import prices
from ftetl.contract.arrow_schema import NANO, TYPES
from ftetl.errors import UsageError
from ftetl.formatting import pluralize
from ftetl.snapshot.snapshot import Tables

FINE_TUNING: Final = r"(?i)fine[-_ ]?tuning"  # the default pattern of the products
_BILL: Final = (
    *("project", "billing_period", "organization_id", "product_name", "cost", "cost_text", "currency"),
    *("applied_credit_type", "latest_window_end", "observed_at"),
)
_COSTS: Final = ("BillingPeriodStart", "ChargePeriodEnd", "BilledCost", "x_ChargeKind", "x_RefundKnown", "ResourceId")
_CURRENCY: Final = "USD"
_EXACT: Final = Context(prec=500)  # no sum of amounts has more digits
_NANO_USD: Final = Decimal(1).scaleb(-NANO)
_ZERO: Final = Decimal(0)
_SECOND: Final = pa.scalar(1_000_000, pa.duration("us"))
_REFUND: Final = "refund"  # of `x_ChargeKind`


@dataclass
class _Month:
    """What is known of one month; amounts in USD."""

    charged: Decimal = _ZERO
    refunded: Decimal = _ZERO
    jobs: int = 0
    minimum_charges: int = 0
    refunds_unknown: int = 0
    ended_later: int = 0  # jobs that ended in a later month than that of their charge
    billed: Decimal = _ZERO
    covered_by_credit: Decimal = _ZERO
    other_products: Decimal = _ZERO
    line_items: int = 0
    products: set[str] = field(default_factory=set)
    billed_until: datetime | None = None
    has_bill: bool = False
    without_cost: int = 0
    currencies: set[str] = field(default_factory=set)  # others than USD

    @property
    def net(self) -> Decimal:
        return _EXACT.subtract(self.charged, self.refunded)


def reconcile(snapshot: Tables, pattern: str | re.Pattern[str] = FINE_TUNING) -> pd.DataFrame:
    """What `focus_costs` says each month cost, beside what the fine-tuning lines of the bill say.

    A difference is not an error of one of the two: see the page on BI tools for what can explain it. No line of the
    bill names a job. Of several projects of one organisation, whose tables all hold the same bill, it counts once.

    Columns: `month` (UTC); of `focus_costs` `charged_usd`, `refunded_usd`, `net_usd`; of the bill `billed_usd` (line
    items whose product matches; NULL where there is no bill); `difference_usd` (billed less net) and
    `difference_gross_usd` (billed less charged: 0 where the bill does not know the refunds). Then what can explain a
    difference: `covered_by_credit_usd` (the part of `billed_usd` that a credit pays), `other_products_usd` (the bill's
    line items that do not match), `line_items` and `products` (those that match), `jobs`, `minimum_charges`,
    `refunds_unknown`, `ended_later` (jobs that ended in a later month), `billed_until` (UTC), and `note`, in words.
    Amounts are summed exactly, and the sums rounded to 9 places where the bill has more.

    Args:
        snapshot: What `ftetl.open` returns.
        pattern: A regular expression that is searched in the names of the bill's products, which are not stable: look
            at `snapshot.billing_usage.product_name.unique()`.

    Raises:
        UsageError: The pattern is not a regular expression, or the snapshot has no bill.
    """
    bill = frames.read_arrow(snapshot, "billing_usage", list(_BILL))
    is_product = _matcher(pattern)
    if not bill.num_rows:
        what = "billing_usage has no rows: no run has asked for the bill, an older version of ftetl made the target, or"
        what += " the service has not enabled the bill for this organisation"
        raise UsageError("T08", what, next="run `ftetl export TARGET --billing auto` and see its warnings")
    months: defaultdict[date, _Month] = defaultdict(_Month)
    _add_costs(snapshot, months)
    for line in _line_items(bill):
        _add_line_item(months[date.fromisoformat(f"{line['billing_period']}-01")], line, is_product)
    return _frame(dict(sorted(months.items())))


def _matcher(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
        compiled.search("")  # a pattern of bytes compiles too
    except (re.error, TypeError) as error:
        what = f"the pattern {pattern!r} is not a regular expression ({error})"
        raise UsageError("P04", what, next=f"give one such as {FINE_TUNING!r}") from None
    return compiled


def _add_costs(snapshot: Tables, months: defaultdict[date, _Month]) -> None:
    costs = frames.read_arrow(snapshot, "focus_costs", list(_COSTS))
    job_prices = prices(snapshot)
    minimum = pa.array(job_prices.job_id[job_prices.minimum_charge], pa.string())
    month = pc.floor_temporal(costs.column("BillingPeriodStart"), unit="month")
    last = pc.floor_temporal(pc.subtract(costs.column("ChargePeriodEnd"), _SECOND), unit="month")
    flags = {
        "minimum_charges": pc.is_in(costs.column("ResourceId"), value_set=minimum),
        "refunds_unknown": pc.invert(costs.column("x_RefundKnown")),
        "ended_later": pc.fill_null(pc.greater(last, month), False),
    }
    table = pa.table(
        {"month": month, "kind": costs.column("x_ChargeKind"), "cost": costs.column("BilledCost"), **flags}
    )
    sums = [("cost", "sum"), ("cost", "count"), *((name, "sum") for name in flags)]
    for row in table.group_by(["month", "kind"]).aggregate(sums).to_pylist():
        known = months[row["month"].date()]
        if row["kind"] == _REFUND:
            known.refunded = -row["cost_sum"]
        else:
            known.charged, known.jobs = row["cost_sum"], row["cost_count"]
            known.minimum_charges, known.refunds_unknown, known.ended_later = (row[f"{name}_sum"] for name in flags)


def _line_items(bill: pa.Table) -> Iterator[dict[str, Any]]:
    """The line items of the bill; of an organisation's months in several projects' tables, the newest of each."""
    newest: dict[tuple[str | None, str], tuple[datetime, str]] = {}
    keys = ("organization_id", "billing_period", "project")
    groups = bill.group_by(list(keys)).aggregate([("observed_at", "max")])
    for group in groups.to_pylist():
        key = group["organization_id"], group["billing_period"]
        newest[key] = max(newest.get(key, (group["observed_at_max"], "")), (group["observed_at_max"], group["project"]))
    for line in bill.to_pylist():
        if newest[line["organization_id"], line["billing_period"]][1] == line["project"]:
            yield line


def _add_line_item(month: _Month, line: dict[str, Any], is_product: re.Pattern[str]) -> None:
    month.has_bill = True
    until = line["latest_window_end"]
    if until is not None:
        month.billed_until = until if month.billed_until is None else max(month.billed_until, until)
    if (line["currency"] or _CURRENCY).upper() != _CURRENCY:
        month.currencies.add(line["currency"])
        return
    cost = _ZERO if line["cost"] is None else Decimal(line["cost_text"])  # the text of a NULL may be 1e400
    month.without_cost += line["cost"] is None
    if not is_product.search(line["product_name"] or ""):
        month.other_products = _EXACT.add(month.other_products, cost)
        return
    month.billed = _EXACT.add(month.billed, cost)
    month.line_items += 1
    month.products.add(line["product_name"] or "")
    if line["applied_credit_type"] is not None:
        month.covered_by_credit = _EXACT.add(month.covered_by_credit, cost)


def _comparison(month: _Month) -> str:
    """How the bill of a month compares with its costs, in words."""
    if not month.has_bill:
        return "no bill is stored, or one without line items"
    if not month.line_items:
        return "no product on the bill matches the pattern"
    if month.billed == month.net:
        return "equal"
    if month.billed == month.charged:
        return "equal without the refunds, which are not on these lines of the bill"
    if month.billed > month.charged:
        return "the bill has more: other projects of the organisation, or jobs that the target does not have"
    if month.billed > month.net:
        return "the bill has less than was charged, and more than that less the refunds: some are not on these lines"
    return "the bill has less: prices or refunds on other lines of it, or not billed yet"


def _notes(start: date, month: _Month) -> Iterator[str]:
    """What is to be known of a month, beginning with the comparison."""
    yield _comparison(month)
    until = month.billed_until
    if until is not None and (until.year, until.month) == (start.year, start.month):
        yield f"billed until {until:%Y-%m-%d %H:%M} only"
    if month.refunds_unknown:
        yield f"the refund of {pluralize(month.refunds_unknown, 'job')} is not known"
    if month.ended_later:
        yield f"{pluralize(month.ended_later, 'job')} ended in a later month"
    if month.without_cost:
        yield f"{pluralize(month.without_cost, 'line item')} without a readable cost"
    if month.currencies:
        yield f"left out: {', '.join(sorted(month.currencies))}"


def _frame(months: dict[date, _Month]) -> pd.DataFrame:
    def usd(value: Decimal) -> Decimal:
        return value.quantize(_NANO_USD, ROUND_HALF_EVEN, _EXACT)

    rows = [
        {
            "month": start,
            "charged_usd": usd(m.charged),
            "refunded_usd": usd(m.refunded),
            "net_usd": usd(m.net),
            "billed_usd": usd(m.billed) if m.has_bill else None,
            "difference_usd": usd(_EXACT.subtract(m.billed, m.net)) if m.has_bill else None,
            "difference_gross_usd": usd(_EXACT.subtract(m.billed, m.charged)) if m.has_bill else None,
            "covered_by_credit_usd": usd(m.covered_by_credit) if m.has_bill else None,
            "other_products_usd": usd(m.other_products) if m.has_bill else None,
            "line_items": m.line_items,
            "products": "; ".join(sorted(m.products)) or None,
            "jobs": m.jobs,
            "minimum_charges": m.minimum_charges,
            "refunds_unknown": m.refunds_unknown,
            "ended_later": m.ended_later,
            "billed_until": m.billed_until,
            "note": "; ".join(_notes(start, m)),
        }
        for start, m in months.items()
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)


_AMOUNTS: Final = (
    *("charged_usd", "refunded_usd", "net_usd", "billed_usd", "difference_usd", "difference_gross_usd"),
    *("covered_by_credit_usd", "other_products_usd"),
)
_SCHEMA: Final = pa.schema(
    [
        ("month", pa.date32()),
        *((name, frames.USD) for name in _AMOUNTS),
        ("line_items", pa.int64()),
        ("products", pa.string()),
        *((name, pa.int64()) for name in ("jobs", "minimum_charges", "refunds_unknown", "ended_later")),
        ("billed_until", TYPES["datetime"]),
        ("note", pa.string()),
    ]
)
