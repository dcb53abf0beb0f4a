"""Checks `focus_costs` beyond its contract: rules between its columns, its rows and the other tables.

The official validator of FOCUS checks little of this. All in exact decimals; a failure is a bug of ftetl.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import equal_or_both_null, next_month, one
from ftetl.contract import Table, tables
from ftetl.contract.arrow_schema import USD_LIMIT, empty
from ftetl.snapshot.table_reader import TableReader
from ftetl.validate import table_checks

TABLE = "focus_costs"
COMPARED_TABLES = ("jobs", "anomalies")
# Of charges and refunds that are left out, and of charges without an end.
ANOMALY_KINDS = ("charge_without_time", "refund_exceeds_price", "charge_too_large", "charge_end_out_of_range")
_COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
_ENDS = ["BillingPeriodEnd", "ChargePeriodEnd"]  # NULL beyond the year 9999
_SKU = ["SkuPriceId", "SkuId", "SkuPriceDetails"]
_WIDE, _PRODUCT = pa.decimal256(18, 9), pa.decimal256(37, 18)  # of a price and a quantity, and of their product
_TEXT = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
FLAT = rf"^\{{{_TEXT}:{_TEXT}(?:,{_TEXT}:{_TEXT})*\}}$"  # a JSON object whose values are texts
_Columns = dict[str, pa.Array]
_Rule = tuple[str, pa.Array]  # what must hold, and in which rows it does


def check_for(name: str, available: Collection[str]) -> Callable[[TableReader, Table, int], None]:
    """The check of a table; of `focus_costs` only its contract where the tables it is compared with are missing."""
    is_comparable = name == TABLE and {*COMPARED_TABLES} <= {*available}
    return check_focus_costs if is_comparable else table_checks.check_table


def check_focus_costs(stored: TableReader, table: Table, written: int) -> None:
    """Check the table by its contract and by all rules.

    Raises:
        SoftwareError: One does not hold.
        StorageError: It cannot be read back.
    """
    parts = [empty(table).select([*_SKU, *_ENDS, "ResourceId", "x_ChargeKind", "BilledCost"])]

    def check_rows(group: pa.Table) -> None:
        require_rules(table, row_rules({name: one(group.column(name)) for name in group.column_names}))
        parts.append(group.select(parts[0].column_names))

    table_checks.check_table(stored, table, written, check_rows)
    costs = pa.concat_tables(parts).combine_chunks()
    for rules in (resource_rules(costs), sku_rules(costs), total_rules(costs, stored)):
        require_rules(table, rules)


def require_rules(table: Table, rules: Iterator[_Rule]) -> None:
    """Check that every rule holds in every row; where it is NULL it does not.

    Raises:
        SoftwareError: One does not hold.
    """
    for what, holds in rules:
        if not pc.all(pc.fill_null(holds, False), min_count=0).as_py():
            raise table_checks.contract_error(table, "charges", f"not true of every row: {what}")


def row_rules(row: _Columns) -> Iterator[_Rule]:
    """The rules of each row."""
    cost, is_job = row["BilledCost"], pc.equal(row["x_ChargeKind"], "job")
    for name in _COSTS:
        yield f"{name} is the billed cost", pc.equal(row[name], cost)
    quantity = row["PricingQuantity"].cast(_WIDE)
    for price, total in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        product = pc.multiply(row[price].cast(_WIDE), quantity)
        yield f"{price} times the quantity is {total}", pc.equal(product, row[total].cast(_PRODUCT))
        yield f"{price} is 0 or more", pc.greater_equal(row[price], pa.scalar(0, row[price].type))
    for name, values in row.items():
        if pa.types.is_string(values.type):
            yield f"{name} is a text that is not empty", pc.fill_null(pc.greater(pc.binary_length(values), 0), True)
    both = pc.equal(pc.is_null(row["SubAccountId"]), pc.is_null(row["SubAccountName"]))
    yield "the sub account's id and name are both there or both NULL", both
    frequency = pc.if_else(is_job, *tables()[TABLE]["ChargeFrequency"].enum)
    yield "the frequency is that of the kind", pc.equal(row["ChargeFrequency"], frequency)
    yield "the issuer of the invoice is the provider", pc.equal(row["InvoiceIssuerName"], row["ProviderName"])
    yield from _periods(row, is_job)
    nothing = pa.scalar(0, cost.type)
    right = pc.if_else(is_job, pc.greater(cost, nothing), pc.less(cost, nothing))
    yield "a job's cost is above 0 and a refund's below", right
    used = pc.equal(row["ConsumedQuantity"], pa.scalar(0, row["ConsumedQuantity"].type))
    yield "a job consumes something, a refund nothing", pc.xor(is_job, used)
    for name in ("SkuPriceDetails", "Tags"):
        flat = pc.fill_null(pc.match_substring_regex(row[name], FLAT), True)
        yield f"{name} is a flat JSON object", flat


def _periods(row: _Columns, is_job: pa.Array) -> Iterator[_Rule]:
    plain = {n: row[n].view(pa.timestamp("us")) for n in row if n.endswith(("PeriodStart", "PeriodEnd"))}
    start, month, end = plain["ChargePeriodStart"], plain["BillingPeriodStart"], plain["BillingPeriodEnd"]
    charge_end = plain["ChargePeriodEnd"]
    yield "the charge ends after its start", pc.fill_null(pc.less(start, charge_end), True)
    yield "the billing period begins with a month", pc.equal(month, pc.floor_temporal(month, unit="month"))
    yield "the billing period ends with its month", equal_or_both_null(end, next_month(month))
    is_before_end = pc.fill_null(pc.less(start, end), True)
    inside = pc.and_(pc.less_equal(month, start), is_before_end)
    yield "a job begins in its billing period", pc.or_(pc.invert(is_job), inside)
    yield "the billing period ends after the start of the charge", is_before_end
    corrects = pc.fill_null(pc.equal(row["ChargeClass"], "Correction"), False)
    yield "a charge that is settled in a later month is a correction", pc.equal(corrects, pc.less(start, month))


def resource_rules(costs: pa.Table) -> Iterator[_Rule]:
    """The rules of the rows of each job."""
    is_job = pc.cast(pc.equal(costs.column("x_ChargeKind"), "job"), pa.int64())
    by_job = costs.append_column("jobs", is_job).group_by("ResourceId")
    sums = by_job.aggregate([("jobs", "sum"), ("BilledCost", "sum")])
    net = sums.column("BilledCost_sum")
    yield "a resource has one row of its job", pc.equal(sums.column("jobs_sum"), 1)
    yield "a job's net cost is 0 or more", pc.greater_equal(net, pa.scalar(0, net.type))


def sku_rules(costs: pa.Table) -> Iterator[_Rule]:
    """The rules of each SKU."""
    counts = costs.group_by(_SKU).aggregate([]).group_by("SkuPriceId").aggregate([("SkuId", "count")])
    yield "a SkuPriceId has one SkuId and one SkuPriceDetails", pc.equal(counts.column("SkuId_count"), 1)


def total_rules(costs: pa.Table, stored: TableReader) -> Iterator[_Rule]:
    """The rules of the totals: to the nano-dollar those of prices and refunds in `jobs`, without the anomalies."""
    names = ["total_price_nanousd", "refund_amount_nanousd", "created_at", "updated_at"]
    jobs = stored.read_table("jobs", names)
    price, refund = (pc.fill_null(one(jobs.column(name)), 0) for name in names[:2])
    is_priced, is_refunded = pc.greater(price, 0), pc.greater(refund, 0)
    has_time = pc.or_(pc.is_valid(one(jobs.column("created_at"))), pc.is_valid(one(jobs.column("updated_at"))))
    exceeds = pc.and_(is_refunded, pc.fill_null(pc.greater(refund, one(jobs.column(names[0]))), False))
    is_too_large = pc.greater_equal(price, USD_LIMIT)
    has_charge = pc.and_(pc.and_(is_priced, has_time), pc.invert(is_too_large))
    has_refund = pc.and_(has_charge, pc.and_(is_refunded, pc.invert(exceeds)))
    nano = one(costs.column("BilledCost")).view(pa.decimal128(18, 0))
    is_job = pc.equal(one(costs.column("x_ChargeKind")), "job")
    for what, rows_of, sign, values, mask in (
        ("prices", is_job, 1, price, has_charge),
        ("refunds", pc.invert(is_job), -1, refund, has_refund),
    ):
        expected = _sum(values.filter(mask).cast(pa.decimal128(19, 0)))
        yield f"the sum is that of the {what}", pa.array([_sum(nano.filter(rows_of)) * sign == expected])
    kinds = one(stored.read_table("anomalies", ["kind"]).column(0))
    endless = costs.filter(pc.or_(*(pc.is_null(costs.column(name)) for name in _ENDS)))
    counts = [*map(_sum, (pc.and_(is_priced, pc.invert(has_time)), exceeds, is_too_large))]
    counts.append(pc.count_distinct(endless.column("ResourceId")).as_py())
    for kind, count in zip(ANOMALY_KINDS, counts, strict=True):
        yield (
            f"every charge without a row or an end is an anomaly ({kind})",
            pa.array([_sum(pc.equal(kinds, kind)) == count]),
        )


def _sum(values: pa.Array) -> int:
    return int(pc.sum(values).as_py() or 0)
