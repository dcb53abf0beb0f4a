"""The rows of `focus_costs`: charges in the columns of FOCUS, the FinOps Open Cost and Usage Specification.

All money is exact: integers of nano-USD become decimals without a division. Values that are the same in every row
stand in the contract alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import next_month, one, scaled_decimal
from ftetl.contract import tables
from ftetl.contract.arrow_schema import NANO, TOKEN_LIMIT, TYPES
from ftetl.transform import assemble
from ftetl.transform.derive.charges import Charges, has_refund
from ftetl.transform.timestamps import INSTANT

TABLE = "focus_costs"
THOUSAND, MILLION = 3, 6  # digits behind the point
RATE_LIMIT = 10**12  # nano-USD a token from which on a rate does not fit; no price comes near
UNNAMED = "an unnamed model"
MISSING = "unspecified"
_BATCH = 16_384  # jobs that become rows at once; the rows do not depend on it
_COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
_UNIT_PRICES = ("ContractedUnitPrice", "ListUnitPrice")
_Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Account:
    """Who pays: the billing account and, below it, the project (the sub account)."""

    id: str
    name: str | None = None
    project: str | None = None


def focus_rows(charges: Charges, account: Account) -> Iterator[pa.Table]:
    """The rows of these charges, ordered by start; the row of a job's refund follows the job's own."""
    table = tables()[TABLE]
    for batch in charges.batches(_BATCH):
        jobs = {name: one(batch.column(name)) for name in batch.column_names}
        job_rows = _job_rows(jobs, account)
        is_refunded = has_refund(batch)
        if not pc.any(is_refunded).as_py():
            yield assemble.rows(table, job_rows)
            continue
        refund_rows = _refund_rows(*({n: v.filter(is_refunded) for n, v in rows.items()} for rows in (jobs, job_rows)))
        both = pa.concat_tables(assemble.rows(table, rows) for rows in (job_rows, refund_rows))
        places = pc.multiply(pa.arange(0, batch.num_rows), 2)
        order = pa.concat_arrays([places, pc.add(places.filter(is_refunded), 1)])
        yield both.take(pc.sort_indices(order))


def _job_rows(jobs: _Columns, account: Account) -> _Columns:
    count, columns = len(jobs["job_id"]), tables()[TABLE].columns
    price, tokens = jobs["total_price_nanousd"], pc.fill_null(jobs["token_count"], 0)
    has_tokens = pc.greater(tokens, 0)
    rate = pc.divide(price, pc.if_else(has_tokens, tokens, 1))
    fits = pc.and_(pc.less(rate, RATE_LIMIT), pc.less(tokens, TOKEN_LIMIT))
    by_tokens = pc.and_(pc.equal(pc.multiply(rate, tokens), price), fits)
    cost = _money(price)
    # Where the price is not by tokens these may not fit.
    price_per_million = scaled_decimal(pc.if_else(by_tokens, rate, 0), THOUSAND, TYPES["decimal"])
    tokens_priced = scaled_decimal(pc.if_else(by_tokens, tokens, 0), MILLION, TYPES["decimal"])
    enum = {c.name: c.enum for c in columns}
    constant = {c.name: _repeat(c.enum[0], count) for c in columns if c.required and len(c.enum) == 1}
    return {
        **constant,
        **dict.fromkeys(_COSTS, cost),
        **dict.fromkeys(_UNIT_PRICES, pc.if_else(by_tokens, price_per_million, cost)),
        "BillingAccountId": _repeat(account.id, count),
        "BillingAccountName": _repeat(account.name, count),
        **_billing_period(jobs["month"]),
        "ChargeClass": _repeat(None, count),
        "ChargeDescription": _join(
            *("Fine-tuning of ", pc.fill_null(jobs["model"], UNNAMED)),
            pc.if_else(by_tokens, _join(", ", pc.cast(tokens, pa.string()), " tokens"), ", priced per job"),
        ),
        "ChargeFrequency": _repeat(enum["ChargeFrequency"][0], count),
        "ChargePeriodStart": jobs["start"].view(INSTANT),
        "ChargePeriodEnd": jobs["end"].view(INSTANT),
        "ConsumedQuantity": pc.if_else(has_tokens, tokens, 1),
        "ConsumedUnit": pc.if_else(has_tokens, *enum["ConsumedUnit"]),
        "InvoiceId": _repeat(None, count),
        "PricingQuantity": pc.if_else(by_tokens, tokens_priced, _quantity(1, count)),
        "PricingUnit": pc.if_else(by_tokens, *enum["PricingUnit"]),
        "ResourceId": jobs["job_id"],
        "ResourceName": _null_if_equal(jobs["model_output_name"], jobs["job_id"]),
        **_sku(jobs, by_tokens),
        "SubAccountId": _repeat(account.project, count),
        "SubAccountName": _repeat(account.project, count),
        "Tags": _tags(jobs),
        "x_BaseModel": jobs["model"],
        "x_ChargeKind": _repeat(enum["x_ChargeKind"][0], count),
        "x_FirstSeenAt": _seconds(jobs["charge_seen"]),
        "x_JobStatus": jobs["status"],
        "x_RefundKnown": pc.is_valid(jobs["refund_amount_nanousd"]),
        "x_Suffix": jobs["suffix"],
        "x_TrainingMethod": jobs["training_method"],
        "x_TrainingType": jobs["training_type"],
        "x_UserId": jobs["user_id"],
    }


def _refund_rows(jobs: _Columns, job_rows: _Columns) -> _Columns:
    """The rows of the refunds of these jobs: as the jobs' own rows, but for these columns."""
    count, enum = len(jobs["job_id"]), {c.name: c.enum for c in tables()[TABLE].columns}
    amount = _money(jobs["refund_amount_nanousd"])
    is_later = pc.greater(jobs["refund_month"], jobs["month"])
    return job_rows | {
        **dict.fromkeys(_COSTS, pc.negate(amount)),
        **dict.fromkeys(_UNIT_PRICES, amount),
        **_billing_period(jobs["refund_month"]),
        "ChargeClass": pc.if_else(is_later, enum["ChargeClass"][0], pa.scalar(None, pa.string())),
        "ChargeDescription": _join("Refund for fine-tuning of ", pc.fill_null(jobs["model"], UNNAMED)),
        "ChargeFrequency": _repeat(enum["ChargeFrequency"][1], count),
        "ConsumedQuantity": pa.repeat(0, count),
        "PricingQuantity": _quantity(-1, count),
        "PricingUnit": _repeat(enum["PricingUnit"][1], count),
        "SkuPriceId": _join(job_rows["SkuId"], "/job"),
        "x_ChargeKind": _repeat(enum["x_ChargeKind"][1], count),
        "x_FirstSeenAt": _seconds(jobs["refund_seen"]),
    }


def _billing_period(month: pa.Array) -> _Columns:
    return {"BillingPeriodStart": month.view(INSTANT), "BillingPeriodEnd": next_month(month).view(INSTANT)}


def _seconds(times: pa.Array) -> pa.Array:
    return pc.floor_temporal(times, unit="second").view(INSTANT)


def _sku(jobs: _Columns, by_tokens: pa.Array) -> _Columns:
    names = ("training_type", "training_method", "model")
    training_type, method, model = (pc.fill_null(jobs[name], MISSING) for name in names)
    sku = _join("fine-tuning/", _without_slash(training_type), "/", _without_slash(method), "/", model)
    details = (
        *('{"x_ModelId":', _json(model), ',"x_TrainingMethod":', _json(method)),
        *(',"x_TrainingType":', _json(training_type), "}"),
    )
    price = _join(sku, pc.if_else(by_tokens, "/tokens", "/job"))
    return {"SkuId": sku, "SkuPriceDetails": _join(*details), "SkuPriceId": price}


def _without_slash(values: pa.Array) -> pa.Array:
    """The texts with `/` percent-encoded, so that an SKU can be taken apart again."""
    return pc.replace_substring(pc.replace_substring(values, "%", "%25"), "/", "%2F")


def _tags(jobs: _Columns) -> pa.Array:
    names = ("suffix", "user_id", "wandb_project_name")
    tags = [pc.fill_null(_join(f'"together/{name}":', _json(jobs[name]), ","), "") for name in names]
    # Not with null_handling="skip", which gives no row at all where every part is null.
    inner = pc.utf8_slice_codeunits(_join(*tags), start=0, stop=-1)
    return pc.if_else(pc.equal(inner, ""), pa.scalar(None, pa.string()), _join("{", inner, "}"))


def _json(values: pa.Array) -> pa.Array:
    """Texts as JSON in ASCII; only those that need an escape pass through Python, each different one once."""
    plain = _join('"', values, '"')
    needs_escape = pc.fill_null(pc.match_substring_regex(values, r'[^\x20-\x7e]|["\\]'), False)
    if not pc.any(needs_escape).as_py():
        return plain
    texts = values.filter(needs_escape).dictionary_encode()
    escaped = pa.array([json.dumps(text) for text in texts.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(plain, needs_escape, pc.take(escaped, texts.indices))


def _null_if_equal(values: pa.Array, others: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(values, others), pa.scalar(None, pa.string()), values)


def _money(nano: pa.Array) -> pa.Array:
    return scaled_decimal(nano, NANO, TYPES["decimal"])


def _quantity(number: int, count: int) -> pa.Array:
    return scaled_decimal(pa.repeat(number, count), 0, TYPES["decimal"])


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _repeat(text: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)
