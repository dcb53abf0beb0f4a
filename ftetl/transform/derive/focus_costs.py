"""The rows of `focus_costs`: charges in the columns of FOCUS, the FinOps Open Cost and Usage Specification.

All money is exact: integers of nano-USD become decimals by moving the point, never by a division. What is the same in
every row stands in the contract alone. In Arrow; knows neither files nor how a charge came about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.config.settings import PROJECT, Settings
from ftetl.contract import tables
from ftetl.contract.arrow_schema import TYPES
from ftetl.transform import assemble
from ftetl.transform.derive.charges import Charges, next_month

TABLE = "focus_costs"
DOLLAR, THOUSAND, MILLION = 9, 3, 6  # digits that the point moves
RATE_LIMIT = 10**12  # nano-USD a token from which on a rate does not fit; no price comes near
UNNAMED = "an unnamed model"
MISSING = "unspecified"
_STEP = 16_384  # jobs that become rows at once; the rows do not depend on it
_INSTANT = TYPES["datetime"]
_Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Account:
    """Who pays: the billing account and, below it, the project."""

    id: str
    name: str | None = None
    project: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Account:
        """The account that the settings name; `default`, if they name none."""
        project = None if settings.project == PROJECT else settings.project
        return cls(settings.billing_account or project or PROJECT, settings.billing_account_name, project)


def costs(charges: Charges, account: Account) -> Iterator[pa.Table]:
    """The rows of these charges, in order; a job's refund stands behind it."""
    for some in charges.pieces(_STEP):
        jobs = {name: one(some.column(name)) for name in some.column_names}
        found = _job_rows(jobs, account)
        refund, price = jobs["refund_amount_nanousd"], jobs["total_price_nanousd"]
        mask = pc.fill_null(pc.and_(pc.greater(refund, 0), pc.less_equal(refund, price)), False)
        if not pc.any(mask).as_py():
            yield assemble.rows(tables()[TABLE], found)
            continue
        places = pa.arange(0, some.num_rows)
        back = _refund_rows({n: v.filter(mask) for n, v in jobs.items()}, {n: v.filter(mask) for n, v in found.items()})
        whole = pa.concat_tables(assemble.rows(tables()[TABLE], part) for part in (found, back))
        order = pa.concat_arrays([pc.multiply(places, 2), pc.add(pc.multiply(places.filter(mask), 2), 1)])
        yield whole.take(pc.sort_indices(order))


def _job_rows(jobs: _Columns, account: Account) -> _Columns:
    count = len(jobs["job_id"])
    price, tokens = jobs["total_price_nanousd"], pc.fill_null(jobs["token_count"], 0)
    rate = pc.divide(price, pc.if_else(pc.greater(tokens, 0), tokens, 1))
    by_tokens = pc.and_(pc.equal(pc.multiply(rate, tokens), price), pc.less(rate, RATE_LIMIT))
    known = pc.greater(tokens, 0)
    cost = _moved(price, DOLLAR, "money")
    # Where the price is not by tokens the rate may not fit.
    a_million = _moved(pc.if_else(by_tokens, rate, 0), THOUSAND, "money")
    unit_price = pc.if_else(by_tokens, a_million, cost)
    words, enum = _texts(count), {c.name: c.enum for c in tables()[TABLE].columns}
    tokens_unit, jobs_unit = enum["ConsumedUnit"]
    constant = {c.name: words(c.enum[0]) for c in tables()[TABLE].columns if c.required and len(c.enum) == 1}
    return {
        **constant,
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **dict.fromkeys(("ContractedUnitPrice", "ListUnitPrice"), unit_price),
        "BillingAccountId": words(account.id),
        "BillingAccountName": words(account.name),
        "BillingPeriodStart": jobs["month"].view(_INSTANT),
        "BillingPeriodEnd": next_month(jobs["month"]).view(_INSTANT),
        "ChargeClass": words(None),
        "ChargeDescription": _join(
            *("Fine-tuning of ", pc.fill_null(jobs["model"], UNNAMED)),
            pc.if_else(by_tokens, _join(", ", pc.cast(tokens, pa.string()), " tokens"), ", priced per job"),
        ),
        "ChargeFrequency": words(enum["ChargeFrequency"][0]),
        "ChargePeriodStart": jobs["start"].view(_INSTANT),
        "ChargePeriodEnd": jobs["end"].view(_INSTANT),
        "ConsumedQuantity": _moved(pc.if_else(known, tokens, 1), 0, "quantity"),
        "ConsumedUnit": pc.if_else(known, tokens_unit, jobs_unit),
        "InvoiceId": words(None),
        "PricingQuantity": pc.if_else(by_tokens, _moved(tokens, MILLION, "quantity"), _whole(1, count)),
        "PricingUnit": pc.if_else(by_tokens, *enum["PricingUnit"]),
        "ResourceId": jobs["job_id"],
        "ResourceName": _unless_same(jobs["model_output_name"], jobs["job_id"]),
        **_sku(jobs, by_tokens),
        "SubAccountId": words(account.project),
        "SubAccountName": words(account.project),
        "Tags": _tags(jobs),
        "x_BaseModel": jobs["model"],
        "x_ChargeKind": words(enum["x_ChargeKind"][0]),
        "x_JobStatus": jobs["status"],
        "x_RefundKnown": pc.is_valid(jobs["refund_amount_nanousd"]),
        "x_Suffix": jobs["suffix"],
        "x_TrainingMethod": jobs["training_method"],
        "x_TrainingType": jobs["training_type"],
        "x_UserId": jobs["user_id"],
    }


def _refund_rows(jobs: _Columns, charged: _Columns) -> _Columns:
    """What came back of these jobs: as the job's own row, but for this."""
    count = len(jobs["job_id"])
    words, enum = _texts(count), {c.name: c.enum for c in tables()[TABLE].columns}
    amount = _moved(jobs["refund_amount_nanousd"], DOLLAR, "money")
    later = pc.greater(jobs["refund_month"], jobs["month"])
    return charged | {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), pc.negate(amount)),
        **dict.fromkeys(("ContractedUnitPrice", "ListUnitPrice"), amount),
        "BillingPeriodStart": jobs["refund_month"].view(_INSTANT),
        "BillingPeriodEnd": next_month(jobs["refund_month"]).view(_INSTANT),
        "ChargeClass": pc.if_else(later, enum["ChargeClass"][0], pa.scalar(None, pa.string())),
        "ChargeDescription": _join("Refund for fine-tuning of ", pc.fill_null(jobs["model"], UNNAMED)),
        "ChargeFrequency": words(enum["ChargeFrequency"][1]),
        "ConsumedQuantity": _whole(0, count),
        "PricingQuantity": _whole(-1, count),
        "PricingUnit": words(enum["PricingUnit"][1]),
        "SkuPriceId": _join(charged["SkuId"], "/job"),
        "x_ChargeKind": words(enum["x_ChargeKind"][1]),
    }


def _sku(jobs: _Columns, by_tokens: pa.Array) -> _Columns:
    kind, method, model = (pc.fill_null(jobs[n], MISSING) for n in ("training_type", "training_method", "model"))
    sku = _join("fine-tuning/", _segment(kind), "/", _segment(method), "/", model)
    told = (
        '{"x_ModelId":',
        _json(model),
        ',"x_TrainingMethod":',
        _json(method),
        ',"x_TrainingType":',
        _json(kind),
        "}",
    )
    price = _join(sku, pc.if_else(by_tokens, "/tokens", "/job"))
    return {"SkuId": sku, "SkuPriceDetails": _join(*told), "SkuPriceId": price}


def _segment(values: pa.Array) -> pa.Array:
    """The text without the slash, so that an SKU can be taken apart again."""
    return pc.replace_substring(pc.replace_substring(values, "%", "%25"), "/", "%2F")


def _tags(jobs: _Columns) -> pa.Array:
    names = ("suffix", "user_id", "wandb_project_name")
    tags = [pc.fill_null(_join(f'"together/{name}":', _json(jobs[name]), ","), "") for name in names]
    # Not with null_handling="skip", which gives no row at all where every part is null.
    inner = pc.utf8_slice_codeunits(_join(*tags), start=0, stop=-1)
    return pc.if_else(pc.equal(inner, ""), pa.scalar(None, pa.string()), _join("{", inner, "}"))


def _json(values: pa.Array) -> pa.Array:
    """Texts as JSON in ASCII; only those that need an escape are looked at one by one, each once."""
    plain = _join('"', values, '"')
    odd = pc.fill_null(pc.match_substring_regex(values, r'[^\x20-\x7e]|["\\]'), False)
    if not pc.any(odd).as_py():
        return plain
    texts = values.filter(odd).dictionary_encode()
    escaped = pa.array([json.dumps(text) for text in texts.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(plain, odd, pc.take(escaped, texts.indices))


def _unless_same(values: pa.Array, others: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(values, others), pa.scalar(None, pa.string()), values)


def _moved(values: pa.Array, digits: int, kind: str) -> pa.Array:
    """The integers with the point moved to the left: the same digits, read with another scale."""
    return values.cast(pa.decimal128(19, 0)).view(pa.decimal128(19, digits)).cast(TYPES[kind])


def _whole(number: int, count: int) -> pa.Array:
    return _moved(pa.repeat(number, count), 0, "quantity")


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _texts(count: int):  # type: ignore[no-untyped-def]
    return lambda text: pa.repeat(pa.scalar(text, pa.string()), count)
