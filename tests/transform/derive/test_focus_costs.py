"""The rows of `focus_costs` against a row by row reading of the rules in plain Python, to the nano-dollar."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.snapshot.table_reader import TableReader, table_file
from ftetl.transform.derive import charges, focus_costs
from ftetl.transform.derive.derive import DerivedTables
from ftetl.validate import focus_checks

TABLE = tables()["focus_costs"]
ENDINGS = ("job_complete", "job_error", "job_user_error", "job_stopped")
SECOND = timedelta(seconds=1)
Row = dict[str, Any]

odd_prices = [0, 1, 314400, 4_000_000_000, 30_000_000_000, 10**18 - 1, 10**18, 2**63 - 1, -1]
prices = st.sampled_from(odd_prices) | st.integers(0, 10**13)
counts = st.sampled_from([0, 1, 655, 25_000_000, 10**15 - 1, 10**15, 2**63 - 1]) | st.integers(0, 10**10)
# The days beside a month's end, also of long ago.
instants = st.builds(
    lambda day, micros: datetime(*day, tzinfo=UTC) + timedelta(microseconds=micros),
    st.sampled_from([(2026, 7, 31), (2026, 8, 1), (2024, 2, 29), (1969, 12, 31), (2026, 12, 31), (9999, 12, 31)]),
    st.sampled_from([0, 1, 999_999, 86_399_999_999]) | st.integers(0, 86_399_999_999),
)
texts = st.sampled_from(["Lora", "a/b", "50%", "%2F", "unspecified", 'q"\\', "café", "é\n", "\x7f"]) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=4
)
words = st.none() | texts
jobs = st.fixed_dictionaries(
    {
        "status": st.none() | st.sampled_from(["running", "error", "user_error", "completed"]),
        "is_terminal": st.none() | st.booleans(),
        "created_at": st.none() | instants,
        "updated_at": st.none() | instants,
        "token_count": st.none() | counts,
        "total_price_nanousd": st.none() | prices,
        "refund_amount_nanousd": st.none() | prices,
        "model_output_name": st.sampled_from([None, "name", "ft-0", "ft-1"]),
        **dict.fromkeys(
            ("model", "suffix", "training_type", "training_method", "user_id", "wandb_project_name"), words
        ),
    }
)
# A token price that divides, which chance would hardly find.
exact = st.builds(
    lambda job, tokens, rate: job | {"token_count": tokens, "total_price_nanousd": tokens * rate},
    jobs,
    st.integers(1, 10**9),
    st.sampled_from([1, 480, 1200, 10**6]),
)
events = st.tuples(st.integers(0, 4), st.sampled_from([*ENDINGS, "refund", "job_start"]), st.none() | instants)


def month(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def after(first: datetime) -> datetime | None:
    return month(first + timedelta(days=31)) if first < datetime(9999, 12, 1, tzinfo=UTC) else None


def second_after(moment: datetime) -> datetime | None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    return moment.replace(microsecond=0) + SECOND if moment < last else None


def expected(
    job: Row, event_rows: list[tuple[str, datetime | None]], account: focus_costs.Account
) -> tuple[list[Row], set[str]]:
    """The rows of one job, and the kinds of its anomalies."""
    price, refund = job["total_price_nanousd"] or 0, job["refund_amount_nanousd"] or 0
    known = job["total_price_nanousd"] is not None
    anomaly_kinds = {"refund_exceeds_price"} if known and refund > max(price, 0) else set()
    begun = job["created_at"] or job["updated_at"]
    if price <= 0:
        return [], anomaly_kinds
    if price >= 10**18:
        anomaly_kinds |= {"charge_too_large"}
    if begun is None:
        return [], anomaly_kinds | {"charge_without_time"}
    if price >= 10**18:
        return [], anomaly_kinds
    ended = [at for kind, at in event_rows if kind in ENDINGS and at and job["is_terminal"]]
    last = max(ended, default=job["updated_at"] or begun)
    start = begun.replace(microsecond=0)
    tokens = job["token_count"] or 0
    rated = tokens > 0 and price % tokens == 0 and price // tokens < 10**12 and tokens < 10**15
    kind, method, model = (job[n] or "unspecified" for n in ("training_type", "training_method", "model"))
    sku = "/".join(["fine-tuning", *(p.replace("%", "%25").replace("/", "%2F") for p in (kind, method)), model])
    cost = Decimal(price) / 10**9
    unit = Decimal(price // tokens) / 1000 if rated else cost
    name = job["model"] or "an unnamed model"
    tags = {f"together/{n}": job[n] for n in ("suffix", "user_id", "wandb_project_name") if job[n] is not None}
    row = {c.name: c.enum[0] for c in TABLE.columns if c.required and len(c.enum) == 1}
    row |= dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)
    row |= {
        "ListUnitPrice": unit,
        "ContractedUnitPrice": unit,
        "BillingAccountId": account.id,
        "BillingAccountName": account.name,
        "SubAccountId": account.project,
        "SubAccountName": account.project,
        "BillingPeriodStart": month(start),
        "BillingPeriodEnd": after(start),
        "ChargeClass": None,
        "ChargeDescription": f"Fine-tuning of {name}, " + (f"{tokens} tokens" if rated else "priced per job"),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": start,
        "InvoiceId": None,
        "ChargePeriodEnd": second_after(max(last, start)),
        "ConsumedQuantity": tokens or 1,
        "ConsumedUnit": "Tokens" if tokens else "Jobs",
        "PricingQuantity": Decimal(tokens) / 10**6 if rated else Decimal(1),
        "PricingUnit": "1000000 Tokens" if rated else "Jobs",
        "ResourceId": job["job_id"],
        "ResourceName": None if job["model_output_name"] == job["job_id"] else job["model_output_name"],
        "SkuId": sku,
        "SkuPriceId": sku + ("/tokens" if rated else "/job"),
        "SkuPriceDetails": compact({"x_ModelId": model, "x_TrainingMethod": method, "x_TrainingType": kind}),
        "Tags": compact(tags) if tags else None,
        "x_BaseModel": job["model"],
        "x_ChargeKind": "job",
        "x_FirstSeenAt": first_seen(job),
        "x_JobStatus": job["status"],
        "x_RefundKnown": job["refund_amount_nanousd"] is not None,
        "x_Suffix": job["suffix"],
        "x_TrainingMethod": job["training_method"],
        "x_TrainingType": job["training_type"],
        "x_UserId": job["user_id"],
    }
    if None in (row["BillingPeriodEnd"], row["ChargePeriodEnd"]):
        anomaly_kinds |= {"charge_end_out_of_range"}
    if not 0 < refund <= price:
        return [row], anomaly_kinds
    settled = max(month(max((at for kind, at in event_rows if kind == "refund" and at), default=last)), month(start))
    if after(settled) is None:
        anomaly_kinds |= {"charge_end_out_of_range"}
    back = Decimal(refund) / 10**9
    more = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), -back)
    more |= {
        "ListUnitPrice": back,
        "ContractedUnitPrice": back,
        "PricingQuantity": Decimal(-1),
        "PricingUnit": "Jobs",
        "BillingPeriodStart": settled,
        "BillingPeriodEnd": after(settled),
        "ConsumedQuantity": 0,
        "ChargeClass": "Correction" if settled > month(start) else None,
        "ChargeFrequency": "One-Time",
        "ChargeDescription": f"Refund for fine-tuning of {name}",
        "SkuPriceId": sku + "/job",
        "x_ChargeKind": "refund",
    }
    return [row, row | more], anomaly_kinds


def first_seen(job: Row) -> datetime:
    """When the history of `derive` first shows the job's money, cut to the second."""
    return datetime(2026, 10, 1, tzinfo=UTC) + SECOND * zlib.crc32(job["job_id"].encode())


def history(job: Row) -> Iterator[Row]:
    """Before there was money, when there was, and later."""
    money = {name: job.get(name) for name in ("total_price_nanousd", "refund_amount_nanousd")}
    for at, amounts in ((-1, {"total_price_nanousd": 0}), (0.5, money), (9, money)):
        yield {"project": "x", "job_id": job["job_id"], "observed_at": first_seen(job) + at * SECOND} | amounts


def compact(document: Row) -> str:
    return json.dumps(document, separators=(",", ":"))


def derive(
    job_rows: list[Row], event_rows: list[Row], account: focus_costs.Account
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The jobs, their costs and the anomalies; the events come in pieces of three."""
    whole = pa.Table.from_pylist(
        job_rows, schema=pa.schema([schema(tables()["jobs"]).field(n) for n in charges._JOB_COLUMNS])
    )
    events_table = pa.Table.from_pylist(
        event_rows, schema=pa.schema([schema(tables()["events"]).field(n) for n in ("job_id", "created_at", "type")])
    )
    tables_of_run = DerivedTables("x", account)
    tables_of_run.add_jobs(whole.slice(0, 2))
    tables_of_run.add_jobs(whole.slice(2))
    for at in range(0, events_table.num_rows, 3):
        tables_of_run.add_events(events_table.slice(at, 3))
    tables_of_run.finish_events()
    rows = [row for job in job_rows for row in history(job)]
    states = pa.Table.from_pylist(rows, schema=schema(tables()["job_history"]))
    costs = pa.concat_tables([schema(TABLE).empty_table(), *tables_of_run.focus_rows(states)])
    return whole, costs, tables_of_run.anomalies(schema(tables()["anomalies"]).empty_table())


ACCOUNTS = [
    focus_costs.Account("default"),
    focus_costs.Account("p", None, "p"),
    focus_costs.Account("org", "Ä", None),
    focus_costs.Account("org", None, "p"),
]


@given(st.lists(jobs | exact, max_size=5), st.lists(events, max_size=12), st.sampled_from(ACCOUNTS))
def test_the_rows_are_those_of_the_rules(
    job_rows: list[Row], event_rows: list[Any], account: focus_costs.Account
) -> None:
    numbered_jobs = [{"project": "x", "job_id": f"ft-{n}"} | job for n, job in enumerate(job_rows)]
    sorted_events = sorted((e for e in event_rows if e[0] < len(job_rows)), key=lambda e: e[0])
    rows = [
        {"job_id": f"ft-{job}", "position": n, "type": kind, "created_at": at}
        for n, (job, kind, at) in enumerate(sorted_events)
    ]
    _, costs, anomalies = derive(numbered_jobs, rows, account)
    wanted: list[Row] = []
    anomaly_kinds: set[tuple[str, str]] = set()
    for n, job in enumerate(numbered_jobs):
        more, kinds = expected(job, [(kind, at) for job_number, kind, at in sorted_events if job_number == n], account)
        wanted += more
        anomaly_kinds |= {(job["job_id"], kind) for kind in kinds}
    wanted.sort(key=lambda r: (r["ChargePeriodStart"], r["ResourceId"], r["x_ChargeKind"]))
    assert costs.to_pylist() == wanted
    assert {*zip(anomalies["job_id"].to_pylist(), anomalies["kind"].to_pylist(), strict=True)} == anomaly_kinds
    job_sum = sum((r["BilledCost"] for r in costs.to_pylist() if r["x_ChargeKind"] == "job"), Decimal(0))
    assert job_sum * 10**9 == sum(
        max(j["total_price_nanousd"] or 0, 0)
        for j in numbered_jobs
        if (j["created_at"] or j["updated_at"]) and (j["total_price_nanousd"] or 0) < 10**18
    )
    # And the checks agree, of which the demo and the golden charges use less.
    for group in costs.to_batches():
        focus_checks.require_rules(
            TABLE, focus_checks.row_rules(dict(zip(group.schema.names, group.columns, strict=True)))
        )
    for rules in (focus_checks.resource_rules(costs), focus_checks.sku_rules(costs)):
        focus_checks.require_rules(TABLE, rules)


def test_the_rows_do_not_depend_on_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    day = datetime(2026, 7, 31, tzinfo=UTC)
    job_rows = [
        {"job_id": f"ft-{n}", "created_at": day + n % 3 * SECOND, "total_price_nanousd": n, "refund_amount_nanousd": 1}
        for n in range(1, 9)
    ]
    whole = derive(job_rows, [], ACCOUNTS[0])[1]
    assert whole.num_rows == 16
    monkeypatch.setattr(focus_costs, "_BATCH", 3)
    assert derive(job_rows, [], ACCOUNTS[0])[1].equals(whole)


def test_the_sums_of_many_large_prices_are_exact(tmp_path: Path) -> None:
    """Their sum is beyond int64 of nano-dollars, and beyond what a context of 28 digits would keep."""
    day = datetime(2026, 7, 31, tzinfo=UTC)
    job_rows = [{"job_id": f"ft-{n}", "created_at": day, "total_price_nanousd": 10**18 - 1 - n} for n in range(40)]
    jobs, costs, anomalies = derive(job_rows, [], ACCOUNTS[0])
    for name, table in (("jobs", jobs), ("anomalies", anomalies)):
        pq.write_table(table, table_file(tmp_path, name), write_page_checksum=True)
    stored = TableReader(tmp_path, exact=True)
    focus_checks.require_rules(TABLE, focus_checks.total_rules(costs, stored))
    at = costs.schema.get_field_index("BilledCost")
    off = [cost + Decimal("0.000000001") * (n == 7) for n, cost in enumerate(costs["BilledCost"].to_pylist())]
    spoiled = costs.set_column(at, costs.schema.field(at), pa.array(off, costs.schema.field(at).type))
    with pytest.raises(Exception, match="the sum is that of the prices"):
        focus_checks.require_rules(TABLE, focus_checks.total_rules(spoiled, stored))
