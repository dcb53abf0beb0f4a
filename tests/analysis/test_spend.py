"""What was spent, summed up by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ftetl
from ftetl import analysis
from ftetl.errors import UsageError
from ftetl.snapshot.snapshot import Snapshot

D = Decimal


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The frame's rows as plain values; what is missing is None."""
    picked = frame[list(columns)].astype(object)
    return [tuple(None if value is pd.NA else value for value in row) for row in picked.itertuples(index=False)]


@pytest.fixture
def seven(make: Any, job_record: Any) -> Snapshot:
    """Charged: 52,306,560 and 4 and 4 dollars of `m`, 12 of `n`, 1 of none; one is not priced, one has no time."""
    lora = {"type": "Lora"}
    return make(
        job_record("ft-1", total_price=52_306_560, token_count=108_972, user_id="u1", training_type=lora),
        job_record("ft-2", total_price=4 * 10**9, token_count=123_457, user_id="u2",
                   created_at="2026-07-31T23:59:59.9Z"),
        job_record("ft-3", total_price=4 * 10**9, token_count=7, status="user_error", refund_amount=4 * 10**9),
        job_record("ft-4", total_price=12 * 10**9, token_count=25 * 10**6, status="cancelled", model="n",
                   refund_amount=7_654_321_987, created_at="2026-08-01T00:00:00Z", training_method={"method": "dpo"}),
        job_record("ft-5", total_price=0, token_count=655),
        job_record("ft-6", total_price=10**9, status="error", refund_amount=5 * 10**9, model=None, created_at=None),
        job_record("ft-7", total_price=10**9, status="running", created_at=None, updated_at=None),
    )  # fmt: skip


def test_the_charges_are_those_of_jobs_with_a_price(seven: Snapshot) -> None:
    found = analysis.charges(seven)
    assert rows(found, "job_id", "charged_nanousd", "refunded_nanousd", "net_nanousd", "refund_known") == [
        ("ft-1", 52_306_560, 0, 52_306_560, False),
        ("ft-2", 4 * 10**9, 0, 4 * 10**9, False),
        ("ft-3", 4 * 10**9, 4 * 10**9, 0, True),
        ("ft-4", 12 * 10**9, 7_654_321_987, 4_345_678_013, True),
        ("ft-6", 10**9, 0, 10**9, True),
        ("ft-7", 10**9, 0, 10**9, False),
    ]


@pytest.fixture
def early(make: Any, job_record: Any) -> Snapshot:
    """Two jobs that stopped early, one of them with its refund a month later; one that ran to its end; one failed."""
    refund = {"type": "REFUND", "created_at": "2026-08-01T00:00:01Z", "message": "refunded"}
    stopped = {"early_stopped": True, "total_steps": 100}
    return make(
        job_record("ft-1", total_price=10 * 10**9, token_count=10 * 10**6, refund_amount=6_000_000_001,
                   steps_completed=40, steps_paid_for=40, packing=False, **stopped),
        job_record("ft-2", total_price=4 * 10**9, token_count=5 * 10**6, refund_amount=10**9, steps_completed=75,
                   packing=True, events=[refund], **stopped),
        job_record("ft-3", total_price=3 * 10**9, token_count=3 * 10**6, refund_amount=0, total_steps=9,
                   steps_completed=9, packing=True),
        job_record("ft-4", total_price=2 * 10**9, token_count=10**6, refund_amount=2 * 10**9, status="error"),
    )  # fmt: skip


def test_what_an_early_stopped_job_got_back_is_not_spent(early: Snapshot) -> None:
    assert rows(analysis.charges(early), "job_id", "charged_nanousd", "refunded_nanousd", "net_nanousd") == [
        ("ft-1", 10 * 10**9, 6_000_000_001, 3_999_999_999),
        ("ft-2", 4 * 10**9, 10**9, 3 * 10**9),
        ("ft-3", 3 * 10**9, 0, 3 * 10**9),
        ("ft-4", 2 * 10**9, 2 * 10**9, 0),
    ]
    by_status = rows(analysis.spend(early, "status"), "status", "jobs", "charged_usd", "refunded_usd", "net_usd")
    assert by_status == [
        ("completed", 3, D(17), D("7.000000001"), D("9.999999999")),
        ("error", 1, D(2), D(2), D(0)),
    ]


def test_an_early_stopped_job_is_no_waste(early: Snapshot) -> None:
    found = rows(analysis.waste(early), "status", "jobs", "charged_usd", "refunded_usd", "net_usd", "refund_unknown")
    assert found == [("error", 1, D(2), D(2), D(0), 0)]


def test_the_refund_of_an_early_stopped_job_is_a_row_of_focus_costs(early: Snapshot) -> None:
    costs = early.arrow("focus_costs").to_pylist()
    assert [
        (r["ResourceId"], r["x_ChargeKind"], r["BilledCost"], r["BillingPeriodStart"].month, r["x_JobStatus"])
        for r in costs
    ] == [
        ("ft-1", "job", D(10), 7, "completed"),
        ("ft-1", "refund", D("-6.000000001"), 7, "completed"),
        ("ft-2", "job", D(4), 7, "completed"),
        ("ft-2", "refund", D(-1), 8, "completed"),
        ("ft-3", "job", D(3), 7, "completed"),
        ("ft-4", "job", D(2), 7, "error"),
        ("ft-4", "refund", D(-2), 7, "error"),
    ]
    assert sum(r["BilledCost"] for r in costs) == sum(analysis.spend(early).net_usd) == D("9.999999999")


def test_tokens_and_prices_are_grouped_by_packing(early: Snapshot) -> None:
    tokens = rows(analysis.spend(early, "packing"), "packing", "jobs", "token_count", "charged_usd", "net_usd")
    assert tokens == [
        (True, 2, 8 * 10**6, D(7), D(6)),
        (False, 1, 10 * 10**6, D(10), D("3.999999999")),
        (None, 1, 10**6, D(2), D(0)),
    ]
    prices = rows(analysis.effective_prices(early, ["model", "packing"]), "packing", "usd_per_million_tokens")
    assert sorted(prices, key=str) == [(False, D(1)), (None, D(2)), (True, D("0.875"))]


BY_MONTH = [
    ("2026-07-01", 4, D("9.05230656"), D(4), D("5.05230656")),
    ("2026-08-01", 1, D(12), D("7.654321987"), D("4.345678013")),
    (None, 1, D(1), D(0), D(1)),
]


def test_spend_by_month_keeps_what_has_no_time(seven: Snapshot) -> None:
    found = analysis.spend(seven, "month")
    found["month"] = found.month.astype("string")
    assert rows(found, "month", "jobs", "charged_usd", "refunded_usd", "net_usd") == BY_MONTH


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("model", [("m", D("5.05230656")), ("n", D("4.345678013")), (None, D(1))]),
        ("user_id", [(None, D("6.345678013")), ("u2", D(4)), ("u1", D("0.05230656"))]),
        ("project", [("default", D("10.397984573"))]),
        ("training_type", [("Full", D("10.345678013")), ("Lora", D("0.05230656"))]),
        ("training_method", [(None, D("6.05230656")), ("dpo", D("4.345678013"))]),
        (
            "status",
            [
                ("cancelled", D("4.345678013")),
                ("completed", D("4.05230656")),
                ("error", D(1)),
                ("running", D(1)),
                ("user_error", D(0)),
            ],
        ),
    ],
)
def test_spend_by_a_name_has_the_greatest_first(seven: Snapshot, by: str, expected: list[tuple[Any, Any]]) -> None:
    assert rows(analysis.spend(seven, by), by, "net_usd") == expected


def test_spend_by_several_names_has_a_row_for_each_pair(seven: Snapshot) -> None:
    found = analysis.spend(seven, ["status", "model"])
    assert rows(found[found.status == "completed"], "model", "jobs", "token_count") == [("m", 2, 108_972 + 123_457)]


@pytest.mark.parametrize("by", ["owner", "", [], ["model", "x"]])
def test_what_cannot_be_grouped_by_is_refused_with_what_can(seven: Snapshot, by: Any) -> None:
    with pytest.raises(UsageError, match="training_method"):
        analysis.spend(seven, by)


def test_waste_is_what_was_paid_without_a_result(seven: Snapshot) -> None:
    found = analysis.waste(seven)
    assert rows(found, "status", "jobs", "net_usd", "refund_unknown") == [
        ("cancelled", 1, D("4.345678013"), 0),
        ("error", 1, D(1), 0),
        ("user_error", 1, D(0), 0),
    ]


def test_waste_says_of_how_many_jobs_no_refund_can_be_known(make: Any, job_record: Any) -> None:
    lost = [
        job_record(f"ft-{n}", status="error", total_price=5, refund_amount=refund)
        for n, refund in enumerate((5, None, None))
    ]
    assert rows(analysis.waste(make(*lost)), "jobs", "net_usd", "refund_unknown") == [(3, D("0.00000001"), 2)]


def test_prices_per_token_differ_from_prices_per_job(seven: Snapshot) -> None:
    found = analysis.prices(seven)
    assert rows(found, "job_id", "usd_per_million_tokens", "priced_by", "minimum_charge") == [
        ("ft-1", D("0.48"), "tokens", False),
        ("ft-2", D("32.39994492"), "job", True),
        ("ft-3", D("571428.571428571"), "job", True),
        ("ft-4", D("0.48"), "tokens", False),
        ("ft-6", None, "job", False),
        ("ft-7", None, "job", False),
    ]


def test_the_effective_price_is_of_all_charges_through_all_tokens(seven: Snapshot) -> None:
    found = analysis.effective_prices(seven, "model")
    tokens = 108_972 + 123_457 + 7
    rate = D("34.643112771")  # 8.05230656 dollars by 232,436 tokens, to nine places
    assert rows(found, "model", "jobs", "token_count", "charged_usd", "usd_per_million_tokens", "minimum_charges") == [
        ("m", 3, tokens, D("8.05230656"), rate, 2),
        ("n", 1, 25 * 10**6, D(12), D("0.48"), 0),
    ]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 10**12),
            st.none() | st.integers(0, 10**11),
            st.none() | st.integers(0, 10**12),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_nano_dollar_is_lost_in_any_grouping(tmp_path_factory: Any, jobs: list[tuple[Any, Any, Any]]) -> None:
    folder: Path = tmp_path_factory.mktemp("money")
    made = [
        {"id": f"ft-{n}", "total_price": p, "token_count": t, "refund_amount": r, "model": f"m{n % 3}"}
        for n, (p, t, r) in enumerate(jobs)
    ]
    (folder / "a.ndjson").write_text("".join(json.dumps(j) + "\n" for j in made))
    ftetl.export(folder / "t", source=folder / "a.ndjson")
    snapshot = ftetl.open(folder / "t")
    charged = sum(p for p, _, _ in jobs if p)
    refunded = sum(r for p, _, r in jobs if p and r and r <= p)
    for by in analysis.BY:
        found = analysis.spend(snapshot, by)
        assert sum(found.charged_usd, D(0)) == D(charged) / 10**9
        assert sum(found.net_usd, D(0)) == D(charged - refunded) / 10**9
    for _, row in analysis.prices(snapshot).iterrows():
        price, tokens, _ = jobs[int(row.job_id.removeprefix("ft-"))]
        if tokens:
            exact = D(price) / 1000 / D(tokens)
            assert abs(row.usd_per_million_tokens - exact) <= D("0.0000000005")
        else:
            assert row.usd_per_million_tokens is pd.NA


def test_sums_beyond_64_bits_are_still_exact_and_rates_beyond_sense_are_null(make: Any, job_record: Any) -> None:
    most = 2**63 - 1
    jobs = [job_record(f"ft-{n}", total_price=most, token_count=most if n else 1, status="error") for n in range(3)]
    snapshot = make(*jobs)
    total = D(3 * most) / 10**9
    assert rows(analysis.spend(snapshot, "model"), "charged_usd", "net_usd", "token_count") == [(total, total, None)]
    assert rows(analysis.failures(snapshot), "jobs", "net_usd") == [(3, total)]
    assert rows(analysis.prices(snapshot), "usd_per_million_tokens") == [(None,), (None,), (None,)]
    assert rows(analysis.effective_prices(snapshot), "charged_usd", "usd_per_million_tokens") == [(total, None)]
