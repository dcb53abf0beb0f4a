"""Learning curves, and final losses beside what they cost, counted by hand on metrics that came over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ftetl
from ftetl import analysis, demo
from ftetl.errors import UsageError
from ftetl.snapshot.snapshot import Snapshot

NANOSECONDS = 1779196193564587001
AT = "2026-07-0{}T00:00:00Z"
Make = Callable[..., Snapshot]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A snapshot of these jobs and of the metrics of some."""

    def snapshot(jobs: list[dict[str, Any]], metrics: dict[str, Any]) -> Snapshot:
        with demo.serve(jobs) as server:
            server.metrics = metrics
            environ = {"TOGETHER_API_KEY": server.key}
            ftetl.export(tmp_path / "target", base_url=server.url, environ=environ, metrics="auto")
        return ftetl.open(tmp_path / "target")

    return snapshot


def job(number: int, status: str = "completed", **more: Any) -> dict[str, Any]:
    at = AT.format(number)
    return {"id": f"ft-{number}", "status": status, "created_at": at, "updated_at": at, "model": "m", **more}


def train(step: int | None, loss: float | str | None, **more: Any) -> dict[str, Any]:
    return {"timestamp": NANOSECONDS, "train/global_step": step, "train/loss": loss, **more}


def evaluation(step: int, loss: float | str) -> dict[str, Any]:
    return {"timestamp": NANOSECONDS, "eval/global_step": step, "eval/loss": loss}


def values(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of some columns, None where there is nothing."""
    rows = frame[[*columns]].astype(object).itertuples(index=False)
    return [tuple(None if cell is pd.NA else cell for cell in row) for row in rows]


JOBS = [
    job(3, total_price=4 * 10**9, refund_amount=10**9, token_count=700, n_epochs=2),
    job(1, "running"),
    job(2, "error"),
    job(4),
]
METRICS = {
    "ft-3": [
        train(1, 3.0, **{"train/epoch": 0.5, "train/grad_norm": 0.25}),
        train(2, 2.5),
        evaluation(2, 2.0),
        train(2, 2.25),  # the step again, after a restart
        evaluation(4, 2.125),
    ],
    "ft-1": [train(10, 1.0)],
    "ft-2": [train(1, 1.5), train(2, "NaN"), train(None, 9.0), train(None, 8.0)],
}
CURVE = ("job_id", "model", "name", "step", "epochs", "value")


def test_a_curve_has_each_step_once_with_its_last_value(make: Make) -> None:
    curves = analysis.learning_curves(make(JOBS, METRICS))
    assert [*curves.columns] == ["project", *CURVE, "logged_at"]
    assert values(curves, *CURVE) == [
        ("ft-1", "m", "train/loss", 10, None, 1.0),
        ("ft-2", "m", "train/loss", 1, None, 1.5),
        ("ft-2", "m", "train/loss", 2, None, None),
        ("ft-2", "m", "train/loss", None, None, 9.0),
        ("ft-2", "m", "train/loss", None, None, 8.0),
        ("ft-3", "m", "eval/loss", 2, None, 2.0),
        ("ft-3", "m", "eval/loss", 4, None, 2.125),
        ("ft-3", "m", "train/grad_norm", 1, 0.5, 0.25),
        ("ft-3", "m", "train/loss", 1, 0.5, 3.0),
        ("ft-3", "m", "train/loss", 2, None, 2.25),
    ]


@pytest.mark.parametrize("names", ["eval/loss", ["eval/loss"], ("eval/loss", "train/grad_norm")])
def test_curves_of_some_names(make: Make, names: Any) -> None:
    wanted = {names} if isinstance(names, str) else {*names}
    curves = analysis.learning_curves(make(JOBS, METRICS), names)
    assert {*curves.name} == wanted
    assert len(curves) == 1 + len(wanted)


def test_a_name_that_no_job_has_is_refused_with_those_there_are(make: Make) -> None:
    snapshot = make(JOBS, METRICS)
    with pytest.raises(UsageError, match="no job has a metric 'eval/los'") as refused:
        analysis.learning_curves(snapshot, "eval/los")
    assert (refused.value.code, refused.value.next) == ("FTETL-P04", "did you mean eval/loss?")
    with pytest.raises(UsageError) as refused:
        analysis.learning_curves(snapshot, ["accuracy"])
    assert refused.value.next == "choose of: eval/loss, train/grad_norm, train/loss"


def test_each_finished_job_has_a_row_with_its_cost_and_its_final_losses(make: Make) -> None:
    quality = analysis.cost_and_quality(make(JOBS, METRICS))
    assert values(quality, "job_id", "status", "steps", "train_loss", "eval_loss", "best_eval_loss") == [
        ("ft-2", "error", 2, 8.0, None, None),
        ("ft-3", "completed", 4, 2.25, 2.125, 2.0),
        ("ft-4", "completed", None, None, None, None),
    ]
    money = ("token_count", "n_epochs", "charged_usd", "refunded_usd", "net_usd")
    assert values(quality[quality.job_id == "ft-3"], *money) == [(700, 2, Decimal(4), Decimal(1), Decimal(3))]
    assert values(quality[quality.job_id == "ft-4"], *money) == [(None,) * 5]


def test_a_loss_that_became_nan_is_not_the_one_before(make: Make) -> None:
    quality = analysis.cost_and_quality(make([job(2)], {"ft-2": [train(1, 1.5), train(2, "NaN")]}))
    assert values(quality, "steps", "train_loss") == [(2, None)]


def test_without_metrics_there_are_no_curves_and_no_losses(make: Make) -> None:
    snapshot = make(JOBS, {})
    assert values(analysis.learning_curves(snapshot), *CURVE) == []
    assert len(analysis.learning_curves(snapshot, "train/loss")) == 0
    assert values(analysis.cost_and_quality(snapshot), "job_id", "eval_loss") == [(f"ft-{n}", None) for n in (2, 3, 4)]
