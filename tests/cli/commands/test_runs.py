"""`ftetl runs` shows what each run did."""

from __future__ import annotations

import re
from pathlib import Path

from ftetl import demo
from ftetl.store.target import Target
from tests.cli.program import (
    SAMPLE,
    Here,
    on_a_terminal,
    run,
    settings_of,
)


class TestRuns:
    def test_each_run_is_a_line_the_newest_last(self, api: demo.Server, target: Path, tmp_path: Path) -> None:
        fresh = tmp_path / "fresh"
        codes = [
            run("export", fresh, env=settings_of(api)).code,
            run("export", fresh, env=settings_of(api)).code,
            run("export", fresh, env=settings_of(api) | {"TOGETHER_API_KEY": "wrong_0123456"}).code,
        ]
        done = run("runs", fresh)
        first, second, third = (re.split(" {2,}", line) for line in done.out.splitlines())

        assert (codes, done.code, done.err) == ([0, 0, 77], 0, "")
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[0]) for line in (first, second, third))
        assert (first[2], first[4]) == ("9 requests", "5 new, 0 changed, 0 gone")
        assert re.fullmatch(r"[\d,]+ events", first[5])
        assert [part.lstrip("0123456789 ") for part in first[6:8]] == ["quarantined", "anomalies"]
        assert re.fullmatch(r"\d+ unknown keys?", first[8])
        assert first[9:] == ["version 1", "OK (0)"]
        assert second[9:] == ["unchanged", "OK (0)"]
        assert third[2] == "2 requests"
        assert third[4:6] == ["nothing committed", "NOPERM (77) FTETL-H01"]

    def test_a_damaged_record_is_skipped_with_a_note(self, target: Path, here: Here) -> None:
        (target / "_ftetl" / "runs" / "20200101T000000Z-00000001.json").write_text("{")
        told, documented = here("runs", target), here("runs", target, "--json").document

        assert (told.code, told.out.count("\n")) == (0, 1)
        assert told.err.startswith(
            "note: _ftetl/runs/20200101T000000Z-00000001.json is not a valid run record; skipped"
        )
        assert [run["version"] for run in documented["runs"]] == [1]
        assert len(documented["damaged"]) == 1

    def test_a_target_without_runs_says_so(self, tmp_path: Path, here: Here) -> None:
        Target(tmp_path / "t").close()
        done = here("runs", tmp_path / "t")

        assert (done.code, done.out, done.err) == (0, "", f"{tmp_path / 't'} has no runs yet\n")
        assert here("runs", tmp_path / "t", "--json").document == {"runs": [], "damaged": []}

    def test_on_a_terminal_it_is_a_table_that_fits(self, target: Path) -> None:
        run("export", target, "--from", SAMPLE, "--project", "other")
        code, seen = on_a_terminal("runs", target, env={})
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

        assert code == 0
        assert re.search(r"when +seconds +requests +new", plain)
        assert re.search(r"OK \(0\) +1 +\d", plain)
        assert re.search(r"CONFIG \(78\) +none", plain)
        assert "The last run: CONFIG (78) FTETL-S28: the target belongs to project 'default'" in plain
        assert "…" not in plain
