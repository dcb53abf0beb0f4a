"""`ftetl show`, `ftetl sql` and `ftetl anomalies`: the tables as a person looks at them."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from ftetl.clock import iso, now
from tests.cli.program import DAY, Here, on_a_terminal

ODD_TEXT = 'a\x1b[2Jb,\u202e"c"\nd'


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three jobs, one of just now, one with a text that would clear a terminal, one that is odd."""
    folder = tmp_path_factory.mktemp("shown")
    jobs = [
        {"id": "ft-1", "status": "completed", "created_at": DAY, "model": "m", "total_price": 1_500_000_000},
        {"id": "ft-2", "status": "error", "created_at": iso(now()), "model": ODD_TEXT, "n_epochs": "x"},
        {"id": "ft-3", "status": "error", "created_at": "2026-07-01T00:00:00Z", "n_epochs": [1]},
    ]
    (folder / "list.json").write_text(json.dumps({"data": jobs}))
    ftetl.export(folder / "t", source=folder / "list.json", observed_at=DAY)
    return folder / "t"


def test_elsewhere_than_on_a_terminal_it_is_csv(shown: Path, here: Here) -> None:
    done = here("show", shown, "--columns", "job_id, model,total_price_usd", "--limit", "2")

    assert done.code == 0
    assert [*csv.reader(io.StringIO(done.out))] == [
        ["job_id", "model", "total_price_usd"],
        ["ft-2", ODD_TEXT, ""],
        ["ft-1", "m", "1.5"],
    ]
    assert done.last == "note: 2 of 3 rows; --limit N shows more"


def test_json_has_the_columns_the_rows_and_the_total(shown: Path, here: Here) -> None:
    done = here("show", shown, "--status", "error", "--limit", "1", "--columns", "job_id,present", "--json")

    assert done.document == {"table": "jobs", "total": 2, "columns": ["job_id", "present"], "rows": [["ft-2", True]]}


@pytest.mark.parametrize(("since", "ids"), [("1d", ["ft-2"]), ("2h", ["ft-2"]), ("2026-07-02", ["ft-2", "ft-1"])])
def test_since_is_a_time_or_how_long_ago(shown: Path, here: Here, since: str, ids: list[str]) -> None:
    done = here("show", shown, "--since", since, "--columns", "job_id", "--json")

    assert [row[0] for row in done.document["rows"]] == ids


def test_all_columns_can_be_shown(shown: Path, here: Here) -> None:
    done = here("show", shown, "events", "--columns", "all", "--json")

    assert done.document["columns"] == ftetl.open(shown).arrow("events").column_names


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--limit", "0"]])
def test_what_is_no_time_or_number_is_a_usage_error(shown: Path, here: Here, words: list[str]) -> None:
    assert here("show", shown, *words).fault == "P01"


@pytest.mark.parametrize("words", [["show"], ["show", "--csv"], ["sql", "SELECT * FROM jobs"]], ids=" ".join)
def test_on_a_terminal_no_text_can_move_it(shown: Path, words: list[str]) -> None:
    code, seen = on_a_terminal(words[0], shown, *words[1:], env={})

    assert code == 0
    assert "ft-2" in seen
    assert "\x1b[2J" not in seen
    assert "\u202e" not in seen
    assert "\\x1b[2Jb" in re.sub(r"\s+", "", seen)


def test_a_table_that_does_not_fit_is_shown_row_by_row(shown: Path) -> None:
    code, seen = on_a_terminal("sql", shown, "SELECT * FROM jobs WHERE job_id = 'ft-1'", env={})

    assert code == 0
    lines = [line.split() for line in seen.replace("\r", "").splitlines()]
    assert ["job_id", "ft-1"] in lines
    assert ["total_price_usd", "1.5"] in lines
    assert {line[0] for line in lines if line} == {*ftetl.open(shown).arrow("jobs").column_names}


def test_sql_gives_json_with_exact_money(shown: Path, here: Here) -> None:
    query = "SELECT sum(total_price_usd) AS usd, [1, NULL] AS l, DATE '2026-07-01' AS d FROM jobs"
    done = here("sql", shown, query, "--json")

    assert done.document == {"columns": ["usd", "l", "d"], "rows": [["1.5", [1, None], "2026-07-01"]]}


def test_a_wrong_query_is_one_line(shown: Path, here: Here) -> None:
    done = here("sql", shown, "SELECT x FROM jobs", "--json")

    assert (done.code, done.fault, done.document["code"]) == (2, "P17", "FTETL-P17")
    assert done.err.count("\n") == 1


def test_anomalies_are_counted_by_kind_and_path(shown: Path, here: Here) -> None:
    told, document = here("anomalies", shown), here("anomalies", shown, "--json").document

    assert told.out.splitlines()[:3] == [
        "       2  wrong_type  n_epochs  such as ft-2",
        "       1  in_future  created_at  such as ft-2",
        "       3  in total",
    ]
    assert document["total"] == 3
    assert document["by_kind_and_path"] == [
        {"kind": "wrong_type", "path": "n_epochs", "rows": 2, "example_job_id": "ft-2"},
        {"kind": "in_future", "path": "created_at", "rows": 1, "example_job_id": "ft-2"},
    ]
    assert [row["job_id"] for row in document["rows"]] == ["ft-2", "ft-2", "ft-3"]


def test_anomalies_of_other_endpoints_are_counted_apart(tmp_path: Path, here: Here) -> None:
    with demo.serve([]) as server:
        server.files = [{"id": "file-1", "bytes": "many"}]
        ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key})
    told, document = here("anomalies", tmp_path / "t"), here("anomalies", tmp_path / "t", "--json").document

    shown, apart = told.out.splitlines()
    assert (shown, document["total"]) == ("       0  in total", 0)
    assert apart.startswith("       1  of files, the bill and training metrics: `ftetl show ")
    assert [(row["table_name"], row["group_id"]) for row in document["endpoint_rows"]] == [("files", "file-1")]
