"""What docs/bi.md says is so: its code runs on what was published, and pandas does with money what it is said to do."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ftetl
from tests.docs.readers import compare, probes

PAGE = (Path(__file__).parents[2] / "docs" / "bi.md").read_text("utf-8")
READERS = os.environ.get("FTETL_READERS")  # an environment with tests/docs/readers/requirements.txt
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.split("\n## ")}
OTHERS = ("Excel", "Spark", "ClickHouse", "daft", "DataFusion", "Lance")  # need more than the extra `test`
KINDS = ("demo", "hostile", "empty")


def blocks(language: str, *sections: str) -> list[str]:
    found = "\n".join(SECTIONS[name] for name in sections)
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


OURS = tuple(name for name in SECTIONS if name not in OTHERS)
PYTHON, SQL = blocks("python", *OURS), blocks("sql", *OURS)
FAULTS = (TypeError, NotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError)


@pytest.fixture
def here(
    readers_folder: Callable[[str], Path], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of the demo, or of what the test names; the test is in it, and may write there."""
    folder = readers_folder(getattr(request, "param", "demo"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def jobs(here: Path) -> pd.DataFrame:
    return pd.read_parquet("bi/jobs.parquet", dtype_backend="pyarrow")


MIXED = "being replaced: read again\n"


def began(record: Path) -> None:
    text = record.read_text()
    assert '"complete":true' in text
    record.write_text(text.replace('"complete":true', '"complete":false'))


def test_there_is_code_to_run() -> None:
    assert (len(PYTHON), len(SQL)) == (6, 3)
    assert [len(blocks("python", name)) for name in OTHERS] == [2, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("here", KINDS, indirect=True)
@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_runs(here: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PYTHON[number], "bi.md", "exec"), {})

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("here", KINDS, indirect=True)
@pytest.mark.parametrize("number", range(len(SQL)))
def test_the_sql_runs(here: Path, number: int, request: pytest.FixtureRequest) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(SQL[number]).fetchall()

    assert found or "empty" in request.node.name


@pytest.mark.parametrize("client", ["duckdb", "sqlite"])
def test_what_a_person_asks_a_destination_has_an_answer(here: Path, tmp_path: Path, client: str) -> None:
    command = next(
        line for block in blocks("sh", "Destinations") for line in block.splitlines() if line.startswith(client)
    )
    file = str(tmp_path / f"jobs.{client}")
    ftetl.load(here / "exports", f"{client}:{file}")
    connection = duckdb.connect(file) if client == "duckdb" else sqlite3.connect(file)
    found = connection.execute(shlex.split(command)[-1]).fetchall()
    connection.close()

    assert sum(count for _, count, _ in found) == ftetl.open(here / "exports").rows["jobs"]


def needs(name: str) -> str:
    """The environment that has this reader; without one the test is skipped."""
    if not READERS:
        pytest.skip("FTETL_READERS names no environment with the other readers")
    if name == "Spark" and not shutil.which("java"):
        pytest.skip("Spark needs Java")
    return READERS


@pytest.mark.parametrize("name", OTHERS)
def test_the_python_of_other_readers_runs(readers_folder: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    """Each block in each folder, in one process: Spark takes its time to start."""
    environment, folders = needs(name), [str(readers_folder(kind)) for kind in KINDS]
    for code in blocks("python", name):
        run = f"import os, sys\nfor folder in {folders!r}:\n    os.chdir(folder)\n    exec({code!r}, {{}})\n"
        run += "sys.stdout.flush()\nos._exit(0)\n"  # whatever a reader's threads do then
        printed = compare.run(environment, "-c", run, cwd=tmp_path)

        assert len(printed.splitlines()) >= len(folders)
        assert "False" not in printed, "what is compared is equal"


@pytest.mark.parametrize("reader", probes.READERS)
def test_the_table_says_what_the_reader_does(tmp_path: Path, reader: str) -> None:
    """If not: python -m tests.docs.readers"""
    found = compare.rows(needs(reader), reader, tmp_path)

    assert found in compare.written()
    assert compare.written().count(f"| {reader} ") == 1


def test_no_cell_is_an_empty_text(demo_target: Path, odd_target: Path, readers_folder: Callable[[str], Path]) -> None:
    for target in (demo_target, odd_target, readers_folder("hostile") / "exports"):
        for name, table in ((name, ftetl.open(target).arrow(name)) for name in ftetl.open(target).tables):
            texts = [column for column in table.column_names if pa.types.is_string(table.schema.field(column).type)]
            assert [c for c in texts if pc.any(pc.equal(table.column(c), "")).as_py()] == [], name


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(lambda _: None, "version 1\n", id="nothing"),
        pytest.param(lambda d: (d / "events.parquet").write_bytes(b"another"), MIXED, id="another version's file"),
        pytest.param(lambda d: began(d / "ftetl-published.json"), MIXED, id="in the middle"),
    ],
)
def test_a_mixture_can_be_told(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], Any],
    said: str,
) -> None:
    (tmp_path / "bi").mkdir()
    for file in (here / "bi").iterdir():
        (tmp_path / "bi" / file.name).write_bytes(file.read_bytes())
    harm(tmp_path / "bi")
    monkeypatch.chdir(tmp_path)
    (code,) = [code for code in PYTHON if "ftetl-published.json" in code]
    exec(compile(code, "bi.md", "exec"), {})

    assert capsys.readouterr().out == said


def told(row: str) -> list[str]:
    found = re.search(rf"^\| {row} \| (.+) \|$", PAGE, re.MULTILINE)
    assert found, row
    return re.findall(r"`(\w+)`", found[1])


CALLS = {"nlargest": (3,), "nsmallest": (3,)}


def done(thing: Any, name: str) -> Any:
    return getattr(thing, name)(*CALLS.get(name, ()))


@pytest.mark.parametrize("name", told("raises"))
def test_pandas_raises_where_it_is_said_to(jobs: pd.DataFrame, name: str) -> None:
    with pytest.raises(FAULTS):
        done(jobs.total_price_usd, name)
    assert done(jobs.total_price_usd.astype("float64"), name) is not None


@pytest.mark.parametrize("name", told("raises in groups"))
def test_pandas_raises_in_groups_where_it_is_said_to(jobs: pd.DataFrame, name: str) -> None:
    with pytest.raises(FAULTS):
        done(jobs.groupby("status").total_price_usd, name)
    as_floats = jobs.astype({"total_price_usd": "float64"})
    assert done(as_floats.groupby("status").total_price_usd, name) is not None


def is_exact(found: Any) -> bool:
    if isinstance(found, pd.Series):
        kinds = (found.dtype, found.index.dtype)  # of the counts of values it is the index
        return any(isinstance(k, pd.ArrowDtype) and pa.types.is_decimal(k.pyarrow_dtype) for k in kinds)
    return type(found).__name__ == "Decimal"


@pytest.mark.parametrize("name", told("exact") + told("rounded to 9 places") + told("as a float"))
def test_pandas_is_exact_where_it_is_said_to_be(jobs: pd.DataFrame, name: str) -> None:
    assert is_exact(done(jobs.total_price_usd, name)) == (name not in told("as a float"))


@pytest.mark.parametrize(
    "name", told("exact in groups") + told("rounded to 9 places in groups") + told("as a float in groups")
)
def test_pandas_is_exact_in_groups_where_it_is_said_to_be(jobs: pd.DataFrame, name: str) -> None:
    assert is_exact(done(jobs.groupby("status").total_price_usd, name)) == (name not in told("as a float in groups"))


def test_dividing_money_by_0_raises(jobs: pd.DataFrame) -> None:
    assert (jobs.token_count == 0).any()
    with pytest.raises(pa.ArrowInvalid, match="Divide by zero"):
        jobs.total_price_usd / jobs.token_count


def test_going_on_with_a_quotient_of_money_raises(jobs: pd.DataFrame) -> None:
    used = jobs[jobs.token_count > 0]
    with pytest.raises(pa.ArrowInvalid, match="Decimal precision out of range"):
        used.total_price_usd / used.token_count * 1_000_000


def test_the_sum_of_the_decimals_is_that_of_the_integers(jobs: pd.DataFrame) -> None:
    assert int(jobs.total_price_usd.sum() * 10**9) == jobs.total_price_nanousd.sum()


def test_the_mean_of_money_is_rounded_to_nano_dollars(jobs: pd.DataFrame) -> None:
    usd = jobs.total_price_usd.dropna()
    exact = sum(usd, Decimal(0)) / len(usd)

    assert usd.mean() != exact
    assert usd.mean() == round(exact, 9)
    assert usd.groupby(lambda _: 0).mean()[0] == round(exact, 9)


def test_describe_leaves_money_out_without_a_word(jobs: pd.DataFrame) -> None:
    assert [*jobs[["total_price_usd", "token_count"]].describe()] == ["token_count"]


@pytest.mark.parametrize("going_on", ["sums.diff()", "sums - sums.min()", "sums * 2", "sums / sums.sum()"])
def test_going_on_with_the_sums_of_groups_raises(jobs: pd.DataFrame, going_on: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match="Decimal precision out of range"):
        eval(going_on, {"sums": jobs.groupby("status").total_price_usd.sum()})


def test_whether_money_is_in_a_list_of_whole_numbers_raises(jobs: pd.DataFrame) -> None:
    with pytest.raises(pa.ArrowInvalid, match="would cause data loss"):
        jobs.total_price_usd.isin([4])
    assert jobs.total_price_usd.isin([Decimal(4)]).sum() == (jobs.total_price_usd == 4).sum() > 0


def test_a_time_merges_with_an_ordinary_one_after_a_cast_only(jobs: pd.DataFrame) -> None:
    theirs = pd.DataFrame({"created_at": pd.to_datetime([jobs.created_at.max().isoformat()])})
    with pytest.raises(ValueError, match="You are trying to merge on"):
        jobs.merge(theirs, on="created_at")

    assert len(jobs.merge(theirs.astype({"created_at": jobs.created_at.dtype}), on="created_at")) == 1
    assert len(jobs.merge(pd.DataFrame({"job_id": [jobs.job_id[0]]}), on="job_id")) == 1


def test_to_sql_fails_on_decimals_after_it_dropped_the_old_table(jobs: pd.DataFrame) -> None:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE jobs AS SELECT 1 AS old")
        with pytest.raises(Exception, match="Execution failed"):
            jobs.to_sql("jobs", database, index=False, if_exists="replace")
        assert database.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    database.close()


def test_polars_rounds_quotients_of_money_and_refuses_0(here: Path) -> None:
    jobs = pl.read_parquet("bi/jobs.parquet", columns=["total_price_usd", "token_count"])
    usd, tokens = pl.col("total_price_usd"), pl.col("token_count")
    used = jobs.filter(tokens > 0)

    assert used.select((usd / tokens * 1_000_000 != usd * 1_000_000 / tokens).any()).item()
    with pytest.raises(pl.exceptions.ComputeError, match="division by zero"):
        jobs.select(usd / tokens)


@pytest.mark.parametrize(
    ("theirs", "found"),
    [("0.123456789512", Decimal("0.123456790")), ("12345678901234567890.12", None)],
    ids=["rounded", "NULL"],
)
def test_polars_concatenates_decimals_without_a_word(here: Path, theirs: str, found: Decimal | None) -> None:
    ours = pl.read_parquet("bi/jobs.parquet", columns=["total_price_usd"])
    other = pl.DataFrame({"total_price_usd": [Decimal(theirs)]})

    assert pl.concat([ours, other])["total_price_usd"][-1] == found
    assert pl.concat([ours, other], how="vertical_relaxed")["total_price_usd"][-1] == Decimal(theirs)


@pytest.mark.parametrize("here", ["hostile"], indirect=True)
def test_duckdb_multiplies_money_up_to_its_18_digits(here: Path) -> None:
    by_million = "SELECT {} * 1000000 / nullif(token_count, 0) FROM 'bi/jobs.parquet' WHERE job_id = 'ft-1'"
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.OutOfRangeException, match="Overflow in multiplication"):
            connection.execute(by_million.format("total_price_usd"))
        wide = connection.execute(by_million.format("CAST(total_price_usd AS DECIMAL(38,9))")).fetchone()
        first = connection.execute(SQL[1]).fetchall()

    assert wide == (1234.000000001,)
    assert dict(first)["ft-1"] == 1234.000000001
    assert "ft-2" not in dict(first), "it has no tokens"


def test_duckdb_returns_times_without_pytz(here: Path) -> None:
    code = (
        "import sys; sys.modules['pytz'] = None; import duckdb; print(duckdb.sql(sys.argv[1]).fetchall()[0][0].tzinfo)"
    )
    query = "SELECT max(created_at) FROM 'bi/jobs.parquet'"
    done = subprocess.run([sys.executable, "-c", code, query], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout != "None\n"
