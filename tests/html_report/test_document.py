"""What stands on the page: figures that are those of the tables, text that stays text, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import ftetl
from ftetl import html_report
from ftetl.html_report import jobs_table
from ftetl.snapshot.snapshot import Snapshot
from tests.html_report.conftest import Node

D = Decimal
STYLE = (Path(html_report.__file__).parent / "style.css").read_text("utf-8")
HOSTILE = '</script><img src=x onerror=alert(1)><a href="https://evil.example">\u202e\0\u2028&amp;'


def figure(tree: Node, name: str) -> str:
    return str(tree.one("data-figure", name).attributes["value"])


def section(tree: Node, name: str) -> Node:
    return tree.one("aria-labelledby", name)


def values(table: Node) -> list[list[str]]:
    """The cells of a table's body and foot: what they say, or the exact value."""
    rows = [row.all("th", "td") for part in table.all("tbody", "tfoot") for row in part.all("tr")]
    return [[next((str(d.attributes["value"]) for d in c.all("data")), c.text) for c in row] for row in rows]


def test_the_headline_is_what_the_tables_say(demo_page: Node, demo_target: Path) -> None:
    (found,) = duckdb.sql(f"""
        SELECT count(*), sum(total_price_usd) FILTER (total_price_nanousd > 0),
            sum(CASE WHEN refund_amount_nanousd BETWEEN 1 AND total_price_nanousd THEN refund_amount_usd END),
            sum(token_count) FILTER (total_price_nanousd > 0),
            count(*) FILTER (status = 'completed') / count(*) FILTER (status IN ('completed', 'error', 'user_error')),
            median(duration_seconds) FILTER (duration_seconds >= 0)
        FROM '{demo_target}/current/jobs.parquet'""").fetchall()
    count, charged, refunded, tokens, rate, median = found

    assert figure(demo_page, "jobs") == str(count)
    assert D(figure(demo_page, "charged_usd")) == charged
    assert D(figure(demo_page, "net_usd")) == charged - refunded
    assert figure(demo_page, "tokens") == str(tokens)
    assert float(figure(demo_page, "success_rate")) == pytest.approx(rate)
    assert float(figure(demo_page, "median_seconds")) == pytest.approx(median)


@pytest.mark.parametrize(("name", "column"), [("models", "model"), ("users", "user_id")])
def test_spend_by_name_is_what_the_table_says(demo_page: Node, demo_target: Path, name: str, column: str) -> None:
    rows = duckdb.sql(f"""
        SELECT {column}, count(*), sum(token_count), sum(total_price_usd) AS usd
        FROM '{demo_target}/current/jobs.parquet' WHERE total_price_nanousd > 0 GROUP BY 1""").fetchall()
    *shown, total = [row[:4] for row in values(section(demo_page, name).all("table")[0])]

    assert {(label, int(n), int(tokens), D(usd)) for label, n, tokens, usd in shown} == {*rows}
    assert D(total[3]) == sum(row[3] for row in rows) == D(figure(demo_page, "charged_usd"))


def test_the_months_are_those_of_the_table(demo_page: Node, demo_target: Path) -> None:
    rows = duckdb.sql(f"""
        SELECT strftime(created_at AT TIME ZONE 'UTC', '%Y-%m'), count(*), sum(total_price_usd)
        FROM '{demo_target}/current/jobs.parquet' WHERE total_price_nanousd > 0 GROUP BY 1 ORDER BY 1""").fetchall()
    *shown, total = values(section(demo_page, "time").all("table")[0])

    assert [(row[0], int(row[1]), D(row[3])) for row in shown] == rows
    assert D(total[5]) == D(figure(demo_page, "net_usd"))
    assert len(section(demo_page, "time").one("aria-labelledby", "spend-chart-title").all("g")) >= len(rows)


def test_the_stages_and_the_failures_are_those_of_the_tables(demo_page: Node, demo_target: Path) -> None:
    total = duckdb.sql(f"""
        SELECT sum(seconds), count(*) FROM (
            SELECT stage, sum(seconds) AS seconds FROM '{demo_target}/current/stages.parquet'
            GROUP BY stage, job_id HAVING count(seconds) = count(*)) GROUP BY stage""").fetchall()
    stages = values(section(demo_page, "durations").all("table")[0])
    reasons = values(section(demo_page, "failures").all("table")[1])

    assert sorted((float(row[6]), int(row[1])) for row in stages) == [
        (pytest.approx(seconds), jobs) for seconds, jobs in sorted(total)
    ]
    assert sum(int(row[-2]) for row in reasons) == len(
        duckdb.sql(f"FROM '{demo_target}/current/jobs.parquet' WHERE status IN ('error', 'user_error')").fetchall()
    )


def test_the_job_table_holds_every_job_and_the_newest_as_rows(demo_page: Node, demo_target: Path) -> None:
    ids = duckdb.sql(
        f"SELECT job_id FROM '{demo_target}/current/jobs.parquet' ORDER BY created_at DESC, job_id"
    ).fetchall()
    data = json.loads(demo_page.one("id", "jobs-data").text)
    rows = values(demo_page.one("id", "jobs-table"))

    assert data["rows"] == len(ids)
    assert data["columns"][0]["cells"] == [job_id for (job_id,) in ids]
    assert [row[0] for row in rows] == [job_id for (job_id,) in ids[: jobs_table.STATIC_ROWS]]
    assert {len(column["cells"]) for column in data["columns"]} == {len(ids)}


def test_the_same_snapshot_gives_the_same_bytes(demo_target: Path) -> None:
    assert html_report.build_page(ftetl.open(demo_target)).html == html_report.build_page(ftetl.open(demo_target)).html


def test_the_policy_names_this_script_and_this_style_and_nothing_else(demo_page: Node) -> None:
    policy = str(demo_page.one("http-equiv", "Content-Security-Policy").attributes["content"])
    (style,), (script,) = demo_page.all("style"), [s for s in demo_page.all("script") if not s.attributes]
    hashes = [base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode() for node in (script, style)]

    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_nothing_on_the_page_points_outside(demo_page: Node) -> None:
    for node in demo_page.all():
        assert node.name not in {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"}
        assert not {"src", "srcset", "style", "action"} & {*node.attributes}
        assert not [name for name in node.attributes if name.startswith("on")]
        assert str(node.attributes.get("href", "#")).startswith("#")
    for text in (node.text for node in demo_page.all("style", "script") if not node.attributes.get("id")):
        assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttpRequest|innerHTML|eval\(", text)


def hostile(job_record: Callable[..., Any]) -> list[Any]:
    failed = [{"type": "job_error", "message": HOSTILE, "created_at": "2026-07-02T09:00:00Z"}]
    texts = {"model": HOSTILE, "user_id": HOSTILE, "suffix": HOSTILE, "training_method": {"method": HOSTILE}}
    return [
        job_record("ft-1", **texts, status="error", total_price=5, token_count=7, events=failed, **{HOSTILE: 1}),
        job_record("ft-2", status=HOSTILE, model="x" * 10_000, user_id="\u202e" * 50),
        HOSTILE,
    ]


def test_text_from_the_api_stays_text(snapshot: Any, job_record: Any, tree: Any) -> None:
    found = tree(snapshot(*hostile(job_record)))
    page_text = found.text

    assert "<img src=x onerror=alert(1)>" in page_text
    assert not found.all("img")
    assert not [a for a in found.all("a") if not str(a.attributes["href"]).startswith("#")]
    assert not {"\u202e", "\0", "\u2028"} & {*page_text}
    assert r"\u202e\x00\u2028" in section(found, "failures").text


def test_headings_are_in_order_and_names_are_unique(demo_page: Node) -> None:
    levels = [int(node.name[1]) for node in demo_page.all("h1", "h2", "h3", "h4")]
    ids = [node.attributes["id"] for node in demo_page.all() if "id" in node.attributes]

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(ids) == len({*ids})
    assert {str(a.attributes["href"])[1:] for a in demo_page.all("a")} <= {*ids}
    assert demo_page.all("html")[0].attributes == {"lang": "en"}


def test_every_table_and_chart_says_what_it_is(demo_page: Node) -> None:
    for table in demo_page.all("table"):
        assert len(table.all("caption")) == 1
        assert all(th.attributes["scope"] for th in table.all("th"))
        widths = {len(row) for row in table.rows()}
        assert len(widths) == 1
    for svg in demo_page.all("svg"):
        assert svg.attributes["role"] == "img"
        assert svg.one("id", str(svg.attributes["aria-labelledby"])).text
    for part in demo_page.all("section"):
        assert not part.all("svg") or part.all("table"), "the numbers stand beside the chart"
    for field in demo_page.all("input", "select"):
        assert any(field in label.all() for label in demo_page.all("label"))


@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_page_of_few_jobs_is_whole(snapshot: Any, job_record: Any, tree: Any, count: int) -> None:
    found = tree(snapshot(*(job_record(f"ft-{n}", total_price=4 * 10**9, token_count=10**6) for n in range(count))))

    assert figure(found, "jobs") == str(count)
    assert D(figure(found, "net_usd")) == 4 * count
    assert ("has no jobs yet" in found.text) == (count == 0)


def test_models_beyond_the_first_are_summed_as_others(snapshot: Any, job_record: Any, tree: Any) -> None:
    made = [
        job_record(f"ft-{n}", model=f"model-{n:03}", total_price=n * 10**9 + n, token_count=n) for n in range(1, 201)
    ]
    *shown, total = values(section(tree(snapshot(*made)), "models").all("table")[0])

    assert [row[0] for row in shown][-2:] == ["model-189", "188 others"]
    assert sum(D(row[5]) for row in shown) == D(total[5]) == D(201 * 100) + D(201 * 100) / 10**9


def test_notes_name_what_changes_a_figure(snapshot: Any, job_record: Any, tree: Any) -> None:
    found = tree(
        snapshot(
            job_record("ft-1", total_price=0, events=[{"type": "job_start"}]),
            job_record("ft-2", total_price=10**9, created_at=None, updated_at=None),
            job_record("ft-3", total_price=2 * 10**9, refund_amount=10**9),
        )
    )
    notes = section(found, "glance").text

    assert "1 job without a price" in notes
    assert "Of 1 charged job the refund is not known" in notes
    assert "1 job without a time" in notes
    assert "whether a price is already less its refund" in notes
    assert "Of 2 jobs no events are known" in notes
    assert D(figure(found, "net_usd")) == 2


def test_several_projects_are_one_page(tmp_path: Path, job_record: Any, tree: Any) -> None:
    for project, price in (("a", 10**9), ("b", 2 * 10**9)):
        (tmp_path / f"{project}.json").write_text(json.dumps({"data": [job_record("ft-1", total_price=price)]}))
        ftetl.export(tmp_path / project, source=tmp_path / f"{project}.json", project=project)
    found = tree(ftetl.open(tmp_path / "a", tmp_path / "b"))

    assert [row[0] for row in values(section(found, "projects").all("table")[0])] == ["b", "a", "Total"]
    assert {row[1] for row in values(found.one("id", "jobs-table"))} == {"a", "b"}
    assert "Project a: version 1" in found.all("header")[0].text


def test_one_project_has_no_column_for_it(snapshot: Callable[..., Snapshot], job_record: Any) -> None:
    assert "Project" not in [c.heading for c in jobs_table.columns(snapshot(job_record("ft-1")), with_projects=False)]


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


PALETTES = [
    dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
]


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "print"])
def test_the_contrast_is_that_of_wcag_aa(palette: dict[str, str]) -> None:
    for ink, paper in itertools.product(("ink", "quiet", "link"), ("page", "card")):
        assert contrast(palette[ink], palette[paper]) >= 4.5, (ink, paper)
    assert contrast(palette["ink"], palette["note"]) >= 4.5
    for shape, paper in (("bar", "card"), ("bar", "track"), ("edge", "page"), ("quiet", "card")):
        assert contrast(palette[shape], palette[paper]) >= 3, (shape, paper)


def test_every_palette_has_the_same_colours() -> None:
    assert len(PALETTES) == 3
    assert {frozenset(palette) for palette in PALETTES} == {frozenset(re.findall(r"var\(--(\w+)\)", STYLE))}
