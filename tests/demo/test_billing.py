"""The bill of the demo: its fine-tuning lines are what the jobs cost, but for one refund and the last day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ftetl import demo
from ftetl.demo.billing import billing_windows, unbilled_refund

JOBS = demo.load_jobs()
WINDOWS = {granularity: billing_windows(JOBS, granularity) for granularity in ("day", "hour")}
TUNING = {"Fine Tuning Tokens", "Fine-tuning - Training Tokens", "Fine-tuning - Minimum Charge", "Fine-tuning Refund"}


def lines(granularity: str) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    return ((window, line) for window in WINDOWS[granularity] for line in window["line_items"])


def monthly(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for month, amount in amounts:
        sums[month] += amount
    return dict(sums)


def test_the_bill_agrees_with_focus_costs_but_for_a_refund_and_the_last_day(demo_target: Path) -> None:
    rows = pq.read_table(demo_target / "current" / "focus_costs.parquet").to_pylist()
    costs = monthly((f"{row['BillingPeriodStart']:%Y-%m}", row["BilledCost"]) for row in rows)
    bill = monthly((w["date"][:7], Decimal(line["cost"])) for w, line in lines("day") if line["product_name"] in TUNING)
    unbilled = unbilled_refund(JOBS)
    assert unbilled is not None
    today = sum(row["BilledCost"] for row in rows if row["ChargePeriodStart"].date() == demo.OBSERVED_AT.date())

    assert len(costs) == 25
    assert {month: bill[month] - cost for month, cost in costs.items() if bill[month] != cost} == {
        unbilled["created_at"][:7]: Decimal(unbilled["refund_amount"]).scaleb(-9),
        f"{demo.OBSERVED_AT:%Y-%m}": -today,
    }
    assert today > 0


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_a_cost_is_its_quantity_times_its_price(granularity: str) -> None:
    for _, line in lines(granularity):
        values = [line[name] for name in ("quantity", "unit_price", "cost")]
        assert all(isinstance(value, str) and "E" not in value for value in values)
        assert Decimal(values[0]) * Decimal(values[1]) == Decimal(values[2])


def test_days_are_the_sums_of_their_hours() -> None:
    by_hour = monthly((w["date"], Decimal(line["cost"])) for w, line in lines("hour"))
    by_day = monthly((w["date"], Decimal(line["cost"])) for w, line in lines("day"))

    assert by_hour.items() >= by_day.items()
    assert set(by_hour) - set(by_day) == {f"{demo.OBSERVED_AT:%Y-%m-%d}"}  # a day that has not ended


@pytest.mark.parametrize(("granularity", "seconds"), [("day", 86_400), ("hour", 3_600)])
def test_windows_are_whole_and_in_order_and_have_ended(granularity: str, seconds: int) -> None:
    starts, ends = (
        [datetime.fromisoformat(window[name]) for window in WINDOWS[granularity]] for name in ("start_time", "end_time")
    )

    assert {(end - start).total_seconds() for start, end in zip(starts, ends, strict=True)} == {seconds}
    assert starts == sorted(set(starts))
    assert max(ends) <= demo.OBSERVED_AT


def test_no_two_lines_of_a_window_are_the_same_but_for_the_quantity() -> None:
    for window in WINDOWS["day"]:
        kinds = [
            json.dumps({name: value for name, value in line.items() if name not in {"quantity", "cost"}})
            for line in window["line_items"]
        ]
        assert len(kinds) == len(set(kinds))


def test_credits_cover_some_lines_and_others_have_no_such_key() -> None:
    kinds = {json.dumps(line.get("applied_credit", "left out")) for _, line in lines("day")}

    assert kinds == {'{"type": "CREDIT"}', '{"type": "PREPAID"}', '"left out"'}


def test_other_spending_is_on_the_bill_too_and_names_projects_and_keys() -> None:
    others = [line for _, line in lines("day") if line["product_name"] not in TUNING]
    owned = [line for line in others if line["product_name"].startswith("Serverless Inference")]

    assert {line["product_name"].partition(" - ")[0] for line in others} == {
        "Serverless Inference",
        "Dedicated Endpoint",
    }
    assert all({"project_id", "api_key_id"} == set(line["attributes"]) for line in owned)
    assert not any(line["attributes"] for _, line in lines("day") if line not in owned)


def test_no_jobs_have_no_bill() -> None:
    assert billing_windows([], "day") == []
    assert unbilled_refund([]) is None
