"""An export where pyspark is installed leaves pandas on Spark and the variables of a driver alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")

PROGRAM = """
import os, sys
{first}
import ftetl
ftetl.export(sys.argv[1], source="demo")
assert "pyspark.pandas" not in sys.modules
assert os.environ.get("SPARK_LOCAL_IP") == {address}
import importlib.util
assert importlib.util.find_spec("pyspark.pandas")
"""


@pytest.mark.parametrize(
    ("first", "address"),
    [
        ("", None),
        ("import pyspark", None),
        ("os.environ['SPARK_LOCAL_IP'] = '127.0.0.2'", "127.0.0.2"),
    ],
)
def test_an_export_does_not_touch_spark(tmp_path: Path, root: Path, first: str, address: str | None) -> None:
    program = PROGRAM.format(first=first, address=repr(address))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, tmp_path / "target"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
