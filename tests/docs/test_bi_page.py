"""What docs/bi.md says is so: its code runs on what was published, and pandas does with money what it is said to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import ftetl

PAGE = (Path(__file__).parents[2] / "docs" / "bi.md").read_text("utf-8")
PYTHON, SQL = (re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for kind in ("python", "sql"))
FAULTS = (TypeError, NotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's folder, with the tables of the demo in `bi`."""
    folder = tmp_path_factory.mktemp("reader")
    ftetl.export(folder / "exports", source="demo", publish=folder / "bi", formats="csv")
    return folder


@pytest.fixture
def here(published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(published)
    return published


@pytest.fixture
def jobs(here: Path) -> pd.DataFrame:
    return pd.read_parquet("bi/jobs.parquet", dtype_backend="pyarrow")


MIXED = "being replaced: read again\n"


def began(record: Path) -> None:
    text = record.read_text()
    assert '"complete":true' in text
    record.write_text(text.replace('"complete":true', '"complete":false'))


def test_there_is_code_to_run() -> None:
    assert (len(PYTHON), len(SQL)) == (4, 1)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_runs(here: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PYTHON[number], "bi.md", "exec"), {})

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("number", range(len(SQL)))
def test_the_sql_runs(here: Path, number: int) -> None:
    assert duckdb.sql(SQL[number]).fetchall()


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


@pytest.mark.parametrize("name", told("exact") + told("as a float"))
def test_pandas_is_exact_where_it_is_said_to_be(jobs: pd.DataFrame, name: str) -> None:
    assert is_exact(done(jobs.total_price_usd, name)) == (name in told("exact"))


@pytest.mark.parametrize("name", told("exact in groups") + told("as a float in groups"))
def test_pandas_is_exact_in_groups_where_it_is_said_to_be(jobs: pd.DataFrame, name: str) -> None:
    assert is_exact(done(jobs.groupby("status").total_price_usd, name)) == (name in told("exact in groups"))


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
