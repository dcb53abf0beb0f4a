"""Readers that are too large for the suite's own environment: Tableau's Hyper and daft.

They are in an environment of their own, whose path is in FTETL_READERS; to make it:

    python3 -m venv ENV && ENV/bin/pip install -r tests/docs/readers/requirements.txt
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.contract import tables

ENVIRONMENT = os.environ.get("FTETL_READERS")
HYPER = '''
import json, sys
import pantab, pyarrow.parquet as pq
import tableauhyperapi as hyper

folder, scratch, *names = sys.argv[1:]
found = {}
for name in names:
    table = pq.read_table(f"{folder}/{name}.parquet")
    pantab.frame_to_hyper(table, f"{scratch}/{name}.hyper", table=name)
    back = pantab.frame_from_hyper(f"{scratch}/{name}.hyper", table=name, return_type="pyarrow")
    one, other = (sorted(map(str, t.select(table.column_names).to_pylist())) for t in (table, back))
    found[name] = [back.num_rows, one == other]
query = f"""SELECT sum("BilledCost"), sum("ConsumedQuantity") FROM external('{folder}/focus_costs.parquet')"""
with (
    hyper.HyperProcess(hyper.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as process,
    hyper.Connection(process.endpoint) as connection,
):
    found["sums"] = [str(cell) for cell in connection.execute_list_query(query)[0]]
print(json.dumps(found))
'''
DAFT = """
import json, sys
import daft

folder, _, *names = sys.argv[1:]
found = {}
for name in names:
    frame = daft.read_csv(f"{folder}/{name}.csv")
    kinds = {field.name: str(field.dtype) for field in frame.schema()}
    reals = [c for c in kinds if kinds[c].lower() == "float64"]
    found[name] = [kinds, frame.select(*reals).to_pydict() if reals else {}]
print(json.dumps(found))
"""

pytestmark = pytest.mark.skipif(not ENVIRONMENT, reason="FTETL_READERS names no environment with pantab and daft")


def answered(script: str, target: Path, scratch: Path) -> dict[str, Any]:
    assert ENVIRONMENT
    given = [Path(ENVIRONMENT) / "bin" / "python", "-c", script, target / "current", scratch, *tables()]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(given, cwd=scratch, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_hyper_takes_every_table_and_gives_it_back(demo_target: Path, tmp_path: Path) -> None:
    found = answered(HYPER, demo_target, tmp_path)
    costs = ftetl.open(demo_target).focus_costs

    assert found.pop("sums") == [str(costs.BilledCost.sum()), str(costs.ConsumedQuantity.sum())]
    assert found == {name: [ftetl.open(demo_target).arrow(name).num_rows, True] for name in tables()}


def test_daft_guesses_the_type_of_every_real_and_loses_no_fraction(demo_target: Path, tmp_path: Path) -> None:
    found = answered(DAFT, demo_target, tmp_path)
    for name, table in tables().items():
        arrow = ftetl.open(demo_target).arrow(name)
        reals = [c.name for c in table.columns if c.type == "number" and arrow[c.name].null_count < arrow.num_rows]

        assert {c: found[name][0][c].lower() for c in reals} == dict.fromkeys(reals, "float64")
        assert {c: found[name][1][c] for c in reals} == {c: arrow[c].to_pylist() for c in reals}
