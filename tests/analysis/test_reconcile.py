"""The costs of a month beside its bill, summed up by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from ftetl import analysis
from ftetl.errors import UsageError
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.snapshot.snapshot import Snapshot, Tables
from ftetl.transform.endpoints.billing_usage import read

D = Decimal
Item = dict[str, Any]


class WithBill(Tables):
    """A snapshot whose `billing_usage` is another one."""

    def __init__(self, snapshot: Snapshot, bill: pa.Table) -> None:
        self._snapshot, self._bill = snapshot, bill

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        if name != "billing_usage":
            return self._snapshot.arrow(name, columns)
        return self._bill.select(list(columns)) if columns else self._bill


def bill(months: dict[str, list[Item]], project: str = "default", on: int = 20, **keys: Any) -> pa.Table:
    """The rows of a bill with all line items of a month in one window."""
    answers = []
    for month, items in months.items():
        document = {
            "organization_id": "org-1",
            "currency": "USD",
            "latest_window_end": f"{month}-28T00:00:00Z",
            "data": [{"date": f"{month}-01", "line_items": items}],
            **keys,
        }
        body = json.dumps(document).encode()
        answers.append((month, Response(month, Memory(body), datetime(2026, 11, on, tzinfo=UTC))))
    return read(answers, project).rows


def item(cost: str | None, product: str = "Fine-tuning - Tokens", credit: str | None = None) -> Item:
    return {"product_name": product, "cost": cost, **({"applied_credit": {"type": credit}} if credit else {})}


def records(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    table = pa.Table.from_pandas(frame[list(columns)], preserve_index=False)
    return [tuple(row.values()) for row in table.to_pylist()]


Bill = Callable[..., Tables]


@pytest.fixture
def jobs(make: Any, job_record: Any) -> Snapshot:
    """July: 4 and 4 dollars, one of them a minimum charge and refunded, and 1.5; August: 2, of which 0.25 came back."""
    return make(
        job_record("ft-1", total_price=4 * 10**9, token_count=7, refund_amount=4 * 10**9, status="user_error"),
        job_record("ft-2", total_price=4 * 10**9, token_count=9, refund_amount=0),
        job_record("ft-3", total_price=1_500_000_000, token_count=1_000_000, updated_at="2026-08-02T00:00:00Z"),
        job_record("ft-4", total_price=2 * 10**9, token_count=1000, refund_amount=250_000_000,
                   created_at="2026-08-01T00:00:00Z", updated_at="2026-08-01T00:00:00Z"),
    )  # fmt: skip


def test_each_month_has_its_costs_its_bill_and_the_difference(jobs: Snapshot) -> None:
    july = [item("4.00"), item("4", "finetuning minimum", "PREPAID"), item("1.5"), item("-4.0", "Fine Tuning Refund")]
    table = bill({"2026-07": july, "2026-08": [item("2"), item("9.75", "Serverless Inference")]})

    found = analysis.reconcile(WithBill(jobs, table))

    usd = ("charged_usd", "refunded_usd", "net_usd", "billed_usd", "difference_usd", "difference_gross_usd")
    assert records(found, "month", *usd) == [
        (date(2026, 7, 1), D("9.5"), D(4), D("5.5"), D("5.5"), D(0), D(-4)),
        (date(2026, 8, 1), D(2), D("0.25"), D("1.75"), D(2), D("0.25"), D(0)),
    ]
    assert records(found, "covered_by_credit_usd", "other_products_usd", "line_items", "products") == [
        (D(4), D(0), 4, "Fine Tuning Refund; Fine-tuning - Tokens; finetuning minimum"),
        (D(0), D("9.75"), 1, "Fine-tuning - Tokens"),
    ]
    assert records(found, "jobs", "minimum_charges", "refunds_unknown", "ended_later", "billed_until") == [
        (3, 2, 1, 1, datetime(2026, 7, 28, tzinfo=UTC)),
        (1, 0, 0, 0, datetime(2026, 8, 28, tzinfo=UTC)),
    ]
    july_note, august_note = found.note
    assert july_note.startswith(
        "equal; billed until 2026-07-28 00:00 only; the refund of 1 job is not known; 1 job ended"
    )
    assert august_note.startswith("equal without the refunds")
    assert {str(found[name].dtype) for name in usd} == {"decimal128(28, 9)[pyarrow]"}


NOTES: dict[str, tuple[list[Item], str]] = {
    "more": ([item("100")], "the bill has more"),
    "less": ([item("1")], "the bill has less: "),
    "between": ([item("6")], "the bill has less than was charged, and more"),
    "other products only": ([item("5.5", "Inference")], "no product on the bill matches"),
    "a line item without a cost": ([item("5.5"), item(None)], "1 line item without a readable cost"),
    "a cost that is out of range": ([item("5.5"), item("1e400")], "1 line item without a readable cost"),
    "a product without a name": ([item("5.5"), {"cost": "1"}], "equal"),
    "not equal by less than 28 digits tell": ([item("5.5"), item("1e-40")], "the bill has less than was"),
    "not equal by less than a nano-dollar": ([item("5.5"), item("0.0000000001")], "the bill has less than was"),
}


@pytest.mark.parametrize(("items", "says"), NOTES.values(), ids=[*NOTES])
def test_the_note_says_how_they_differ(jobs: Snapshot, items: list[Item], says: str) -> None:
    found = analysis.reconcile(WithBill(jobs, bill({"2026-07": items})))

    assert says in found.note[0]


def test_a_month_without_a_bill_is_not_compared(jobs: Snapshot) -> None:
    found = analysis.reconcile(WithBill(jobs, bill({"2026-06": [item("3")], "2026-08": [item("1.75")]})))

    assert records(found, "month", "net_usd", "billed_usd", "difference_usd") == [
        (date(2026, 6, 1), D(0), D(3), D(3)),
        (date(2026, 7, 1), D("5.5"), None, None),
        (date(2026, 8, 1), D("1.75"), D("1.75"), D(0)),
    ]
    assert found.note[1].startswith("no bill is stored")


@pytest.mark.parametrize("pattern", ["(?i)^TRAINING", re.compile("^Training$")], ids=repr)
def test_the_pattern_says_which_products_are_fine_tuning(jobs: Snapshot, pattern: str | re.Pattern[str]) -> None:
    table = bill({"2026-07": [item("2", "Training"), item("7", "Fine-tuning"), item("1", "No Training")]})

    found = analysis.reconcile(WithBill(jobs, table), pattern)

    assert records(found[:1], "billed_usd", "other_products_usd", "products") == [(D(2), D(8), "Training")]


def test_sums_are_exact_however_many_places_there_are(jobs: Snapshot) -> None:
    costs = ["0.00000000049999999999999999999999999999999999", "123456789.123456789", "1e-60"] * 100

    found = analysis.reconcile(WithBill(jobs, bill({"2026-07": [item(cost) for cost in costs]})))

    assert records(found[:1], "billed_usd") == [(D("12345678912.345678950"),)]


def test_the_currency_is_read_without_case(jobs: Snapshot) -> None:
    found = analysis.reconcile(WithBill(jobs, bill({"2026-07": [item("5.5")]}, currency="usd")))

    assert records(found[found.month == date(2026, 7, 1)], "billed_usd", "difference_usd") == [(D("5.5"), D(0))]


def test_other_currencies_are_left_out(jobs: Snapshot) -> None:
    found = analysis.reconcile(WithBill(jobs, bill({"2026-07": [item("5.5")]}, currency="EUR")))

    assert records(found[:1], "billed_usd", "line_items") == [(D(0), 0)]
    assert "left out: EUR" in found.note[0]


def test_the_bill_of_an_organisation_counts_once_in_several_projects(jobs: Snapshot) -> None:
    old, new = bill({"2026-07": [item("1")]}, "a", on=20), bill({"2026-07": [item("5.5")]}, "b", on=21)
    other = bill({"2026-07": [item("0.25")]}, "c", organization_id="org-2")

    found = analysis.reconcile(WithBill(jobs, pa.concat_tables([new, old, other])))

    assert records(found[:1], "billed_usd") == [(D("5.75"),)]


def test_without_a_bill_one_line_says_what_to_do(jobs: Snapshot) -> None:
    with pytest.raises(UsageError) as caught:
        analysis.reconcile(WithBill(jobs, bill({})))

    assert caught.value.code == "FTETL-T08"
    assert "--billing auto" in caught.value.next
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["(", None, 7, b"x"], ids=repr)
def test_what_is_no_pattern_is_refused_in_one_line(jobs: Snapshot, pattern: Any) -> None:
    with pytest.raises(UsageError, match="is not a regular expression") as caught:
        analysis.reconcile(WithBill(jobs, bill({"2026-07": [item("1")]})), pattern)

    assert caught.value.code == "FTETL-P04"
