"""The ready SQL runs as it stands in the page, and answers what pandas answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

import ftetl
from ftetl.snapshot.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sql.md").read_text("utf-8")
TITLES = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
QUERIES = dict(re.findall(r"^## (.+?)\n.*?^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
FIRST = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
Rows = list[tuple[Any, ...]]


@pytest.fixture
def ask(demo_target: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Rows]]:
    """DuckDB in the folder of the tables, on a machine whose clock is far from UTC."""
    monkeypatch.chdir(demo_target / "current")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Pacific/Kiritimati'")
        connection.execute(FIRST)
        yield lambda title: connection.execute(QUERIES[title]).fetchall()


@pytest.fixture(scope="module")
def snapshot(demo_target: Path) -> Snapshot:
    return ftetl.open(demo_target)


@pytest.fixture
def jobs(snapshot: Snapshot) -> pd.DataFrame:
    """With what the questions group by."""
    frame = snapshot.jobs
    frame["month"] = [
        moment.to_pydatetime().replace(day=1, hour=0, minute=0, second=0, microsecond=0) for moment in frame.created_at
    ]
    frame["reason"] = frame.failure_reason.str.replace("[0-9]+", "N", regex=True)
    return frame


def plain(value: Any) -> Any:
    if value is None or value is pd.NA:
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def rows(frame: pd.DataFrame) -> Rows:
    """As a database gives them."""
    return [tuple(map(plain, row)) for row in frame.astype(object).itertuples(index=False)]


def summed(frame: pd.DataFrame, by: list[str], **columns: str) -> pd.DataFrame:
    """How many rows, and the sums of these columns, exactly; NULL where there is nothing to add up."""
    grouped = frame.groupby(by, dropna=False)
    sums = {name: grouped[column].sum(min_count=1) for name, column in columns.items()}
    return pd.DataFrame({"jobs": grouped.size(), **sums}).reset_index()


def test_every_part_of_the_page_is_here() -> None:
    assert [*QUERIES] == TITLES
    assert {f"test_{title.lower().replace(' ', '_')}" for title in TITLES} <= {*globals()}
    assert FIRST.startswith("SET TimeZone = 'UTC';")


def test_spend_per_month(ask: Callable[[str], Rows], jobs: pd.DataFrame) -> None:
    found = ask("Spend per month")
    columns = {"usd": "total_price_usd", "refunded_usd": "refund_amount_usd", "tokens": "token_count"}

    assert found == rows(summed(jobs, ["month"], **columns).sort_values("month"))
    assert sum(row[2] for row in found) == sum(jobs.total_price_usd.dropna(), Decimal(0)) > 0
    assert {(row[0].day, row[0].hour) for row in found} == {(1, 0)}


def test_spend_per_model(ask: Callable[[str], Rows], jobs: pd.DataFrame) -> None:
    found = ask("Spend per model")

    expected = rows(summed(jobs, ["model"], usd="total_price_usd", tokens="token_count"))
    assert sorted(found, key=lambda row: row[0]) == sorted(expected, key=lambda row: row[0])
    assert found == sorted(found, key=lambda row: (-row[2], row[0]))


def test_failures_and_their_reasons(ask: Callable[[str], Rows], jobs: pd.DataFrame) -> None:
    failed = jobs[jobs.failure_reason.notna()]
    expected = summed(failed, ["status", "reason"], usd="total_price_usd")
    expected["newest"] = failed.groupby(["status", "reason"]).finished_at.max().to_numpy()
    found = ask("Failures and their reasons")

    assert sorted(row[:4] for row in found) == sorted(row[:4] for row in rows(expected))
    assert {row[4] for row in found} == {
        max(failed[failed.reason == row[1]].finished_at).to_pydatetime() for row in found
    }
    assert sum(row[2] for row in found) == jobs.failure_reason.count() > 0
    assert [row[2] for row in found] == sorted((row[2] for row in found), reverse=True)


def test_money_that_came_to_nothing(ask: Callable[[str], Rows], jobs: pd.DataFrame) -> None:
    ended = jobs[jobs.is_terminal & (jobs.status != "completed")]

    assert ask("Money that came to nothing") == rows(summed(ended, ["month", "status"], usd="total_price_usd"))


def test_where_the_time_goes(ask: Callable[[str], Rows], snapshot: Snapshot) -> None:
    found = ask("Where the time goes")
    events = snapshot.events

    assert [row[0] for row in found] == ["queue", "model", "data", "training", "compression", "upload"]
    for (_, begins, ends), row in zip(re.findall(r"'(\w+)', '(\w+)', '(\w+)'\)", PAGE), found, strict=True):
        begun = events[events.type == begins].groupby("job_id").created_at.min()
        ended = events[events.type == ends].groupby("job_id").created_at.max()
        seconds = (
            (ended.astype("datetime64[us, UTC]") - begun.astype("datetime64[us, UTC]")).dropna().dt.total_seconds()
        )
        assert row[1] == len(seconds) > 0
        assert row[2:] == pytest.approx((seconds.quantile(0.5), seconds.quantile(0.9)))


def test_the_same_training_twice(ask: Callable[[str], Rows], jobs: pd.DataFrame) -> None:
    by = ["project", "model", "training_file", "n_epochs", "batch_size", "learning_rate", "training_type"]
    done = jobs[jobs.status == "completed"].copy()
    done[by] = done[by].astype(object).where(done[by].notna(), None)
    expected = []
    for key, group in done.groupby(by, dropna=False):
        if len(group) > 1:
            prices = sorted(group.total_price_usd)
            expected.append(
                (*(None if pd.isna(part) else part for part in key), len(group), sum(prices[:-1], Decimal(0)))
            )
    found = ask("The same training twice")

    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert found
    assert [row[-1] for row in found] == sorted((row[-1] for row in found), reverse=True)
