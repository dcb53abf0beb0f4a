"""The notebooks run on whatever an export may hold, and what they say is what other programs find in the tables."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import ftetl
from ftetl import analysis

# What the kernel and the test need; a missing one is a broken installation of the extra `test`, and no reason to skip.
os.environ.setdefault("MPLBACKEND", "agg")
ROOT = Path(__file__).parents[2]
NAMES = ("cost_and_tokens", "jobs_and_stages", "data_quality")
MODULES = {"os", "decimal", "math", "pathlib", "warnings", "matplotlib", "pandas", "ftetl"}


def notebook(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)


def code(name: str) -> list[tuple[str, str]]:
    return [(cell.id, cell.source) for cell in notebook(name).cells if cell.cell_type == "code"]


def test_these_are_all_notebooks() -> None:
    assert {path.name for path in (ROOT / "notebooks").glob("*.*")} == {f"{name}.ipynb" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
class TestFile:
    def test_it_has_no_outputs(self, name: str) -> None:
        for cell in notebook(name).cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None)
            assert {*cell.metadata} <= {"tags"}
            assert "attachments" not in cell

    def test_it_is_sound_and_tells_nothing_of_a_machine(self, name: str) -> None:
        book = notebook(name)
        nbformat.validate(book)

        assert (book.nbformat, {*book.metadata}) == (4, {"kernelspec", "language_info"})
        assert book.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
        assert book.metadata.language_info == {"name": "python"}

    def test_the_ids_of_its_cells_are_names(self, name: str) -> None:
        ids = [cell.id for cell in notebook(name).cells]

        assert len({*ids}) == len(ids)
        assert [one for one in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", one)] == []

    def test_its_first_code_is_the_target_and_no_more(self, name: str) -> None:
        cells = [cell for cell in notebook(name).cells if cell.cell_type == "code"]

        assert cells[0].metadata.tags == ["parameters"]
        assert cells[0].source.splitlines()[-1] == 'TARGET = os.environ.get("FTETL_TARGET", "ftetl-demo")'
        assert not [cell for cell in cells[1:] if re.search(r"^TARGET =", cell.source, re.MULTILINE)]

    def test_it_begins_with_a_title_and_every_section_is_told(self, name: str) -> None:
        cells = notebook(name).cells

        assert cells[0].source.startswith("# ")
        for section in (cell.source for cell in cells if cell.source.startswith("## ")):
            assert "\n\n" in section

    def test_it_draws_with_one_library(self, name: str) -> None:
        tree = ast.parse("\n".join(source for _, source in code(name)))
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

        assert "matplotlib.pyplot" in found
        assert {one.split(".")[0] for one in found} <= MODULES

    def test_no_text_of_the_api_becomes_markup(self, name: str) -> None:
        """What is printed is text, and frames are escaped by pandas, unless somebody asks for something else."""
        whole = "\n".join(source for _, source in code(name))

        assert not re.findall(
            r"escape|HTML|Markdown|\bdisplay\(|\w+\.style\.(?!use)|to_html|_repr_|usetex|parse_math", whole
        )


def test_a_frame_is_escaped() -> None:
    frame = pd.DataFrame({"<i>": ["<script>alert(1)</script>"]})

    assert "<script" not in analysis.shown(frame)._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in analysis.shown(frame)._repr_html_()
    assert "&lt;i&gt;" in analysis.shown(frame)._repr_html_()


# -- On real data ------------------------------------------------------------------------------------------------


class Told(dict[str, str]):
    """What each cell said, by its id."""

    def money(self, cell: str, pattern: str) -> Decimal:
        return Decimal(self.found(cell, pattern).replace(",", ""))

    def number(self, cell: str, pattern: str) -> int:
        return int(self.found(cell, pattern).replace(",", ""))

    def found(self, cell: str, pattern: str) -> str:
        found = re.search(pattern, self[cell])
        assert found, self[cell]
        return found[1]


def kernel(folder: Path) -> dict[str, Told]:
    """What the notebooks say when one kernel runs them one after the other in a folder; what is wrong is raised."""
    cells = []
    for name in NAMES:
        for one in notebook(name).cells:
            one.id = f"{name}.{one.id}".replace(".", "-")
            cells.append(one)
        cells.append(nbformat.v4.new_code_cell("%reset -f", id=f"{name}-reset"))
    book = notebook(NAMES[0])
    book.cells = cells
    with tempfile.TemporaryDirectory(prefix="k") as sockets:  # the path of a socket must be short
        client = NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
        client.create_kernel_manager()
        client.km.transport, client.km.ip = "ipc", f"{sockets}/k"
        done = client.execute()
    told = {name: Told() for name in NAMES}
    pictures = 0
    for cell in done.cells:
        name = next(name for name in NAMES if cell.id.startswith(f"{name}-"))
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            if output.output_type == "stream":
                told[name][cell.id.removeprefix(f"{name}-")] = output.text
            pictures += "image/png" in output.get("data", {})
    assert pictures == 12
    return told


def test_a_kernel_runs_them_on_a_demo_that_they_make_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FTETL_TARGET", raising=False)
    monkeypatch.delenv("MPLBACKEND")  # the kernel has its own
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PATH", sys.prefix)
    (tmp_path / "here").mkdir()

    told = kernel(tmp_path / "here")

    assert [path.name for path in (tmp_path / "here").iterdir()] == ["ftetl-demo"]
    agree(told, tmp_path / "here" / "ftetl-demo" / "current")


def agree(told: dict[str, Told], folder: Path) -> None:
    """What the notebooks say is what DuckDB finds in the files."""

    def one(sql: str) -> Any:
        return duckdb.sql(sql.replace("@", f"{folder}/")).fetchall()[0][0]

    net = "SELECT CAST(round(sum(BilledCost), 2) AS DECIMAL(38, 2)) FROM '@focus_costs.parquet'"
    cost, jobs, quality = (told[name] for name in NAMES)
    assert cost.money("time-finding", r"cost \$([\d,.]+\d);") == one(net + " WHERE BilledCost > 0")
    assert cost.money("time-finding", r": \$([\d,.]+\d) net") == one(net)
    assert cost.money("time-finding", r"; \$([\d,.]+\d) came") == -one(net + " WHERE BilledCost < 0")
    best = "SELECT x_BaseModel, sum(BilledCost) AS usd FROM '@focus_costs.parquet' GROUP BY 1 ORDER BY usd DESC LIMIT 1"
    assert cost.found("models-finding", r"The first is (\S+) with") == one(best)
    assert "the same" in cost["focus-finding"]
    lost = " WHERE x_JobStatus IN ('error', 'user_error', 'cancelled')"
    assert cost.money("waste-finding", r"\$([\d,.]+\d) \([\d.]+ % of the net spend\) was paid") == one(net + lost)
    tokens = one("SELECT sum(token_count) FROM '@jobs.parquet' WHERE total_price_nanousd > 0")
    rate = one("SELECT sum(total_price_nanousd) FROM '@jobs.parquet' WHERE token_count > 0") / 1000 / tokens
    assert abs(float(cost.money("prices-finding", r"a million for \$([\d,.]+\d) on")) - rate) <= 0.005
    evaluated = """SELECT count(*), arg_min(job_id, loss) FROM (
        SELECT job_id, arg_max(value, position) AS loss FROM '@training_metrics.parquet' WHERE name = 'eval/loss'
        GROUP BY ALL) JOIN '@jobs.parquet' USING (job_id) WHERE is_terminal AND total_price_nanousd > 0"""
    count, best = duckdb.sql(evaluated.replace("@", f"{folder}/")).fetchall()[0]
    assert cost.number("learning-finding", r"([\d,]+) charged jobs? ended") == count > 0
    assert cost.found("learning-finding", r", of (\S+), for") == best

    status = "SELECT count(*) FROM '@jobs.parquet' WHERE status = '{}'"
    assert jobs.number("outcomes-finding", r"([\d,]+) jobs? completed,") == one(status.format("completed"))
    assert jobs.number("outcomes-finding", r"([\d,]+) cancelled") == one(status.format("cancelled"))
    assert jobs.number("outcomes-finding", r"([\d,]+) failed in") == one(status.format("error"))
    assert jobs.number("outcomes-finding", r", ([\d,]+) for their") == one(status.format("user_error"))
    assert jobs.number("failures-finding", r"([\d,]+) jobs? failed") == one(
        "SELECT count(*) FROM '@jobs.parquet' WHERE status IN ('error', 'user_error')"
    )
    longest = "SELECT stage FROM '@stages.parquet' GROUP BY 1 ORDER BY sum(seconds) DESC LIMIT 1"
    assert jobs.found("stages-finding", r"goes to (\w+):") == one(longest)

    assert quality.number("there-finding", r"([\d,]+) jobs?, the newest") == one("SELECT count(*) FROM '@jobs.parquet'")
    assert quality.number("anomalies-finding", r"([\d,]+) values? w") == one(
        "SELECT sum(\"rows\") FROM '@anomalies.parquet'"
    )
    assert "checks hold" in quality["agree-finding"]


def run(
    name: str, target: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Any], Any] = lambda figure: None
) -> Told:
    """What a notebook says about a target, run in this process; every chart is drawn, every warning an error.

    `look` is given each figure as soon as it is drawn.
    """
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("agg")
    monkeypatch.setenv("FTETL_TARGET", str(target))

    def show() -> None:
        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            figure.canvas.draw()
            look(figure)
        pyplot.close("all")

    monkeypatch.setattr(pyplot, "show", show)
    told, names = Told(), {"__name__": "__main__"}
    with warnings.catch_warnings(), matplotlib.rc_context(), pd.option_context("display.max_colwidth", 50):
        for cell, source in code(name):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                for value in executed(source, names):
                    assert "<script" not in value._repr_html_()
            told[cell] = said.getvalue()
    assert not pyplot.get_fignums(), "every chart is shown"
    return told


def executed(source: str, names: dict[str, Any]) -> Iterator[Any]:
    """Runs a cell and gives what its last line comes to, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        if value is not None:
            yield value


ODD_NAME = "$\\frac{$ <script>alert(1)</script> 模型😀\t\n" + "x" * 300
CASES: dict[str, list[dict[str, Any]]] = {
    "one": [{"id": "a", "status": "completed", "created_at": "2026-07-02T08:10:14Z", "total_price": 4 * 10**9}],
    "bare": [{"id": "a"}],
    "untimed": [{"id": "a", "status": "error", "total_price": 10**9}, {"id": "b", "user_id": "u", "total_price": 5}],
    "cancelled": [{"id": "a", "status": "cancelled", "created_at": "2026-07-02T08:10:14Z", "total_price": 10**9,
                   "refund_amount": 10**9, "token_count": 7, "events": []}],
    "named": [{"id": "a", "status": "user_error", "model": ODD_NAME, "user_id": ODD_NAME, "suffix": ODD_NAME,
               "total_price": 2**63 - 1, "token_count": 2**60, "created_at": "1970-01-01T00:00:00Z", ODD_NAME: 1,
               "events": [{"type": "job_error", "message": ODD_NAME, "created_at": "9999-12-31T23:59:59Z"},
                          {"type": ODD_NAME, "hash": 7}]},
              {"id": "b", "status": ODD_NAME, "total_price": 1, "token_count": 1, "created_at": "9999-12-31T23:59:59Z"},
              {"id": "c", "created_at": "0001-01-02T00:00:00Z", "total_price": 10**9, "token_count": 10**12},
              {"id": "d", "status": "running", "created_at": "2026-07-02T08:10:14Z", "model": "", "total_price": 10**9,
               "events": [{"type": "job_start", "created_at": "2026-07-02T08:10:14Z"},
                          {"type": "training_start", "created_at": "2026-07-02T08:10:14Z"},
                          {"type": "job_restarted", "created_at": "2026-07-02T08:10:14Z"}]}],
}  # fmt: skip


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.endswith("_target"):
        return request.getfixturevalue(request.param)
    (tmp_path / "jobs.json").write_text(json.dumps({"data": CASES[request.param]}), "utf-8")
    ftetl.export(tmp_path / "target", source=tmp_path / "jobs.json", observed_at="2026-11-20T00:00:00Z")
    return tmp_path / "target"


@pytest.mark.parametrize("target", ["empty_target", "odd_target", *CASES], indirect=True)
def test_they_run_on_whatever_an_export_may_hold(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cost, jobs, quality = (run(name, target, monkeypatch) for name in NAMES)
    whole = "".join([*cost.values(), *jobs.values(), *quality.values()])

    snapshot = ftetl.open(target)
    billed = sum(map(Decimal, snapshot.arrow("focus_costs").column("BilledCost").to_pylist()))
    net = sum(analysis.charges(snapshot).net_nanousd.to_list()) / Decimal(10**9)
    prices = [price for price in snapshot.arrow("jobs").column("total_price_nanousd").to_pylist() if (price or 0) > 0]
    failed = [s for s in snapshot.arrow("jobs").column("status").to_pylist() if s in ("error", "user_error")]

    assert ("No job was charged." in cost["time-finding"]) == (not prices)
    if prices and sum(prices) >= 10**7:
        assert cost.money("time-finding", r"cost \$([\d,.]+\d);") == round(Decimal(sum(prices)) / 10**9, 2)
    assert ("the same" in cost["focus-finding"]) == (billed == net)
    assert ("No job failed." in jobs["failures-finding"]) == (not failed)
    assert ("There are no jobs." in quality["there-finding"]) == (not snapshot.arrow("jobs").num_rows)
    assert not re.search(r"\b(nan|NaN|None|NaT|<NA>|inf)\b", whole), whole


def test_a_target_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        with pytest.raises(ftetl.errors.TargetError, match="has no snapshot"):
            run(name, tmp_path / "mine", monkeypatch)

    assert not (tmp_path / "mine").exists()
