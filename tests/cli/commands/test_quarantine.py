"""`ftetl quarantine` shows what was put in quarantine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftetl.contract import tables
from ftetl.store import manifest
from tests.cli.program import (
    Here,
)


class TestQuarantine:
    def test_new_quarantine_is_partial_once_and_shown(self, tmp_path: Path, odd: Path, here: Here) -> None:
        target = tmp_path / "t"
        first, again = here("export", target, "--from", odd), here("export", target, "--from", odd)
        told, documented = here("quarantine", target), here("quarantine", target, "--json")

        assert (first.code, again.code) == (3, 0)
        assert first.last.startswith("ftetl: PARTIAL (3): ")
        assert "2 newly in quarantine" in first.last
        assert told.out == "       2  not_an_object\n       2  in total\n"
        assert documented.document["by_rule"] == {"not_an_object": 2}
        assert documented.document["total"] == 2
        assert sorted(row["raw"] for row in documented.document["rows"]) == sorted(['"x\\u001b[2J"', "42"])
        assert all(row.keys() == {*tables()["quarantine"].names} for row in documented.document["rows"])

    @pytest.mark.parametrize(("word", "code"), [("ok", 0), ("fail", 65)])
    def test_its_meaning_can_be_chosen(self, tmp_path: Path, odd: Path, word: str, code: int, here: Here) -> None:
        done = here("export", tmp_path / "t", "--from", odd, "--quarantine", word)

        assert done.code == code
        assert (manifest.newest_manifest(tmp_path / "t") is None) == (word == "fail")
