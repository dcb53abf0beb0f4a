"""The notebooks' charts can be read on exports of any size: labels are plain and apart, legends cover nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import ftetl
from ftetl import demo
from ftetl.demo import load_jobs
from tests.docs.test_notebooks import NAMES, run

Jobs = list[dict[str, Any]]
USD = 10**9
WIDEST_BAR = 0.35  # of the axes


def _charged(number: int, **fields: Callable[[int], Any]) -> Jobs:
    """The first charged jobs of the demo; the values of `fields` follow from a job's place."""
    jobs = [job for job in load_jobs() if (job.get("total_price") or 0) > 0][:number]
    return [{**job, **{name: value(place) for name, value in fields.items()}} for place, job in enumerate(jobs)]


def _of_month(month: str) -> Jobs:
    return [job for job in load_jobs() if job["created_at"].startswith(month)]


CASES: dict[str, Callable[[], Jobs]] = {
    "1 job": lambda: _charged(1),
    "3 jobs": lambda: _charged(3),
    "60 jobs": lambda: load_jobs()[:60],
    "all": load_jobs,
    "one month": lambda: _of_month("2026-07"),
    "one model": lambda: _charged(60, model=lambda _: "acme/base-70b"),
    "one price": lambda: _charged(60, total_price=lambda _: 4 * USD),
    "two prices close together": lambda: _charged(20, total_price=lambda n: 4 * USD + n % 2 * USD // 100),
    "prices within a decade": lambda: _charged(30, total_price=lambda n: (12 + n) * USD),
    "prices within two decades": lambda: _charged(40, total_price=lambda n: (4 + n * n // 8) * USD),
    "prices of every size": lambda: _charged(40, total_price=lambda n: 10 ** (6 + n % 9) * 4),
}


def _ticks(axes: Axes) -> Iterator[tuple[str, bool, list[Text]]]:
    """Of each axis its name, whether it counts dollars or is logarithmic, and the labels that are drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        every = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        labels = [tick.label1 for tick in every if low <= tick.get_loc() <= high and tick.label1.get_text()]
        name = axis.get_label_text()
        yield name, axis.get_scale() == "log" or "USD" in name, labels


def _faults_of_ticks(axes: Axes) -> Iterator[str]:
    for name, is_scale, labels in _ticks(axes):
        texts = [label.get_text() for label in labels]
        if is_scale and len(texts) < 2:
            yield f"the axis {name} has the labels {texts}"
        if len({*texts}) < len(texts):
            yield f"the axis {name} says the same twice: {texts}"
        boxes = [(label, label.get_window_extent()) for label in labels]  # measured once, compared often
        for (one, box), (other, other_box) in combinations(boxes, 2):
            if box.overlaps(other_box):
                yield f"the axis {name} writes {other.get_text()} over {one.get_text()}"


def _faults_of_text(figure: Figure, axes: Axes) -> Iterator[str]:
    legend = axes.get_legend()
    texts = [axes.title, *axes.texts, *(legend.get_texts() if legend else ())]
    texts += [label for _, _, labels in _ticks(axes) for label in labels]
    for text in texts:
        box = text.get_window_extent()
        is_within = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        if text.get_text() and not is_within:
            yield f"{text.get_text()} lies outside of the picture"
        if "$\\" in text.get_text() or "{" in text.get_text():
            yield f"markup: {text.get_text()}"
    if legend and legend.get_window_extent().overlaps(axes.get_window_extent()):
        yield "the legend lies on the data"


def _faults_of_bars(axes: Axes) -> Iterator[str]:
    area = axes.get_window_extent()
    if axes.get_ylabel() in ("USD", "jobs"):  # upright bars
        for bar in axes.patches:
            if bar.get_window_extent().width > WIDEST_BAR * area.width:
                yield "a bar is a wall"


def faults(figure: Figure) -> Iterator[str]:
    """What cannot be read in a chart that has been drawn."""
    for axes in figure.axes:
        where = axes.get_title(loc="left")
        for fault in (*_faults_of_ticks(axes), *_faults_of_text(figure, axes), *_faults_of_bars(axes)):
            yield f"{where}: {fault}"


# Between these: the default run has the smallest and the largest export, and every way to choose an axis of prices.
SLOW = ("3 jobs", "60 jobs", "one month", "one model")


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow if c in SLOW else ()) for c in CASES])
def test_every_chart_can_be_read(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs.json").write_text(json.dumps({"data": CASES[case]()}), "utf-8")
    ftetl.export(tmp_path / "target", source=tmp_path / "jobs.json", observed_at="2026-11-20T00:00:00Z")
    pictures: list[list[str]] = []
    for name in NAMES[:1] if "price" in case else NAMES:
        run(name, tmp_path / "target", monkeypatch, lambda figure: pictures.append([*faults(figure)]))

    assert len(pictures) >= 4
    assert [fault for faults_of_one in pictures for fault in faults_of_one] == []


@pytest.mark.parametrize("count", [1, 2, 60])
def test_every_chart_of_metrics_can_be_read(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job for job in load_jobs() if job["status"] == "completed" and (job.get("total_price") or 0) > 0]
    with demo.serve(jobs[-count:]) as server:
        server.metrics = {
            job["id"]: [{"timestamp": 10**18, "train/global_step": 1, "train/loss": 1 + n, "eval/loss": 0.5 + n}]
            for n, job in enumerate(server.jobs)
        }
        environ = {"TOGETHER_API_KEY": server.key}
        ftetl.export(tmp_path / "target", base_url=server.url, environ=environ, metrics="auto", events="list")
    pictures: list[tuple[str, list[str]]] = []

    def look(figure: Figure) -> None:
        pictures.append((figure.axes[0].get_title(loc="left"), [*faults(figure)]))

    told = run(NAMES[0], tmp_path / "target", monkeypatch, look)
    assert f"{count} charged job" in told["learning-finding"]
    assert {"Final loss of each job by its price", "Training loss of the dearest jobs"} <= {p[0] for p in pictures}
    assert [fault for _, faults_of_one in pictures for fault in faults_of_one] == []
