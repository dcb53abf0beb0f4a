"""What docs/spark.md says is so: its programs run on the cluster, the one for spark-submit too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.spark import cluster
from tests.spark.archives import demo_jobs, put

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")

PAGE = (cluster.ROOT / "docs" / "spark.md").read_text("utf-8")
SUBMITTED, LIBRARY, NOTEBOOK = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_library_does_what_the_page_says(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "acme", "list.json", {"data": demo_jobs()[:3]})
    program = LIBRARY.replace("/mnt/archives/acme", str(tmp_path / "acme")).replace("s3a://bucket", str(tmp_path))

    exec(compile(program, "spark.md", "exec"), {"spark": spark})

    assert "|completed|    3|" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "_ftetl.json").read_text())["rows"]["jobs"] == 3


def test_the_notebook_uses_what_there_is() -> None:
    import ftetl.spark

    assert re.findall(r"ftetl\.spark\.(\w+)", NOTEBOOK) == ["tables"]
    assert callable(ftetl.spark.tables)


def test_spark_submit_runs_the_program_and_ends_with_its_exit_code(master: str, tmp_path: Path) -> None:
    for project in ("acme", "globex"):
        put(tmp_path / "archives" / project, "list.json", {"data": [*demo_jobs()[:3], {"id": 5}]})
    program = tmp_path / "tables_of_jobs.py"
    program.write_text(SUBMITTED)
    command = [cluster.home() / "bin" / "spark-submit", "--master", master, "--executor-memory", "512m"]
    settings = [f"spark.{side}.extraJavaOptions={cluster.JAVA}" for side in ("driver", "executor")]
    settings += ["spark.ui.enabled=false", "spark.sql.shuffle.partitions=2"]
    arguments = ["--by-project", "--json", tmp_path / "archives", tmp_path / "out"]

    done = subprocess.run(
        [*command, *(word for setting in settings for word in ("--conf", setting)), program, *arguments],
        env=cluster.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr[-2000:]
    *_, result, last = done.stdout.splitlines()  # where spark-submit writes also what a program says on stderr
    assert last == f"ftetl: PARTIAL (3): {tmp_path}/out: 6 jobs, 2 elements in quarantine"
    assert json.loads(result)["rows"]["quarantine"] == 2
    assert sorted(path.name for path in (tmp_path / "out" / "jobs").glob("project=*")) == [
        "project=acme",
        "project=globex",
    ]


def test_without_pyspark_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, "list.json", {"data": []})
    program = "import sys; sys.modules['pyspark'] = None; from ftetl.spark.__main__ import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path, tmp_path / "out"],
        cwd=cluster.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 78
    [line] = done.stderr.splitlines()
    assert line.startswith("ftetl: CONFIG (78) FTETL-J01: pyspark is not installed; pip install 'ftetl[spark]'")
