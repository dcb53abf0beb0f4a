"""The section about cost and quality: a point and a row for each finished job, and no section without metrics."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo, html_report
from ftetl.formatting import MISSING
from ftetl.html_report.charts import Point, chart_of_points
from ftetl.snapshot.snapshot import Snapshot
from tests.html_report.conftest import Node, read

USD = 10**9
TIME = {"timestamp": 1779196193564587001}


@pytest.fixture
def page(tmp_path: Path, job_record: Callable[..., dict[str, Any]]) -> Callable[..., Node]:
    """The page of jobs with these prices, and with these entries of metrics."""

    def made(prices: dict[str, int], metrics: dict[str, list[dict[str, Any]]]) -> Node:
        jobs = [job_record(name, total_price=price, token_count=9) for name, price in prices.items()]
        with demo.serve(jobs) as server:
            server.metrics = metrics
            environ = {"TOGETHER_API_KEY": server.key}
            ftetl.export(tmp_path / "target", base_url=server.url, environ=environ, metrics="auto", events="list")
        snapshot: Snapshot = ftetl.open(tmp_path / "target")
        return read(html_report.build_page(snapshot).html)

    return made


def entry(name: str, loss: float | str) -> dict[str, Any]:
    return {**TIME, "train/global_step": 7, name: loss}


def section(tree: Node) -> Node:
    return tree.one("aria-labelledby", "training")


def test_without_metrics_there_is_no_section_and_no_link_to_it(page: Callable[..., Node]) -> None:
    tree = page({"ft-1": USD}, {})
    ids = [node.attributes.get("aria-labelledby") for node in tree.all("section")]
    assert "training" not in ids
    assert "#training" not in [link.attributes.get("href") for link in tree.all("a")]


def test_metrics_without_a_loss_make_no_section(page: Callable[..., Node]) -> None:
    tree = page({"ft-1": USD}, {"ft-1": [entry("train/accuracy", 1), entry("train/loss", "NaN")]})
    assert "training" not in [node.attributes.get("aria-labelledby") for node in tree.all("section")]


def test_each_job_with_a_loss_has_a_row_and_with_a_price_a_point(page: Callable[..., Node]) -> None:
    metrics = {
        "ft-1": [entry("train/loss", 0.75), entry("eval/loss", 1.5), entry("eval/loss", 2)],
        "ft-2": [entry("eval/loss", 0.5)],
        "ft-3": [entry("train/loss", 0.25)],
        "ft-4": [entry("eval/loss", 0.125)],
    }
    tree = page({"ft-1": 3 * USD, "ft-2": 10 * USD, "ft-3": USD, "ft-4": 0, "ft-5": USD}, metrics)
    found = section(tree)

    assert "#training" in [link.attributes.get("href") for link in tree.all("a")]
    assert found.all("table")[0].rows()[1:] == [
        ["ft-4", "m", "9", MISSING, "7", MISSING, "0.125", "0.125"],
        ["ft-3", "m", "9", "$1.00", "7", "0.25", MISSING, MISSING],
        ["ft-2", "m", "9", "$10.00", "7", MISSING, "0.5", "0.5"],
        ["ft-1", "m", "9", "$3.00", "7", "0.75", "2", "1.5"],
    ]
    (chart,) = found.all("svg")
    points = {node.all("title")[0].text: node.all("circle")[0].attributes for node in chart.all("g")}
    assert {*points} == {"ft-1: m, 2 for $3.00", "ft-2: m, 0.5 for $10.00"}
    assert points["ft-1: m, 2 for $3.00"]["cy"] == "22.0"  # the worst is highest
    assert points["ft-2: m, 0.5 for $10.00"]["cx"] == "94.000%"  # the dearest is at the right
    assert "2 jobs without a price or without that loss" in found.text


def test_without_any_evaluation_the_points_are_of_the_training(page: Callable[..., Node]) -> None:
    found = section(page({"ft-1": USD}, {"ft-1": [entry("train/loss", 0.75)]}))
    assert "final training loss" in found.text
    assert [node.text for node in found.all("svg")[0].all("g")] == ["ft-1: m, 0.75 for $1.00"]


@pytest.mark.parametrize(
    ("x", "y"), [("0", "0"), ("-3", "-0.5"), ("1e-9", "1e-300"), ("4e9", "1e308"), ("12.5", "0.3")]
)
def test_every_point_lies_within_the_chart(x: str, y: str) -> None:
    chart = chart_of_points([Point("a", Decimal(x), Decimal(y), ""), Point("b", Decimal(1), Decimal(1), "")], "$")
    for point in chart.points:
        assert 0 <= Decimal(point["x"].removesuffix("%")) <= 100
        assert 22 <= point["y"] <= chart.floor
    assert [tick["text"][0] for tick in chart.ticks] == ["$", "$", "$"]
