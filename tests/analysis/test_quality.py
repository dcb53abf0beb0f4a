"""What is odd in the data, counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

import ftetl
from ftetl import analysis, demo


def test_oddities_are_counted_by_kind_and_path(make: Any, job_record: Any) -> None:
    events = [{"type": "X", "step": "a"}, {"type": "X", "step": "b"}]
    snapshot = make(job_record("ft-1", n_epochs="x", events=events), job_record("ft-2", n_epochs=[1]), {"id": ""}, 5)
    found = analysis.oddities(snapshot).astype(object).where(lambda frame: frame.notna(), None)
    assert {tuple(row) for row in found.itertuples(index=False)} == {
        ("quarantine", "no_id", None, 0, 1),
        ("quarantine", "not_an_object", None, 0, 1),
        ("anomalies", "wrong_type", "n_epochs", 2, 2),
        ("anomalies", "wrong_type", "events.step", 1, 2),
        ("anomalies", "unknown_enum", "events.type", 1, 2),
    }


def test_oddities_of_other_endpoints_are_counted_with_their_table(tmp_path: Path, job_record: Any) -> None:
    with demo.serve([job_record("ft-1"), job_record("ft-2")]) as server:
        server.files = [{"id": f"file-{number}", "bytes": "many"} for number in range(3)]
        entry = {"timestamp": 1779196193564587001, "train/loss": "x"}
        server.metrics = {name: [entry, entry] for name in ("ft-1", "ft-2")}
        environ = {"TOGETHER_API_KEY": server.key}
        ftetl.export(tmp_path / "target", base_url=server.url, environ=environ, metrics="auto")
    found = analysis.oddities(ftetl.open(tmp_path / "target")).astype(object)
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("training_metrics", "wrong_type", "metrics.train/loss", 2, 4),
        ("files", "wrong_type", "bytes", 0, 3),
    ]


def test_keys_that_no_column_reads_are_counted(make: Any, job_record: Any) -> None:
    deep = {"type": "Lora", "dora": {"rank": 3, "on": True}}
    snapshot = make(
        job_record("ft-1", new=1e300, training_type=deep, events=[{"hint": {}}]), job_record("ft-2", new=None)
    )
    found = analysis.unread_keys(snapshot)
    assert [tuple(row) for row in found.astype(object).itertuples(index=False)] == [
        ("jobs", "new", 2),
        ("events", "hint", 1),
        ("jobs", "training_type.dora.on", 1),
        ("jobs", "training_type.dora.rank", 1),
    ]
    assert isinstance(found, pd.DataFrame)
