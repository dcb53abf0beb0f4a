"""`ftetl verify` finds damage and names it."""

from __future__ import annotations

import re
from pathlib import Path

import ftetl
from ftetl.contract import tables
from tests.cli.program import (
    Here,
)


class TestVerify:
    def test_an_intact_target_is_reported_without_damage(self, exported: Path, here: Here) -> None:
        done = here("verify", exported)

        assert (done.code, done.out) == (0, "")
        said = rf"ftetl: OK \(0\): .*: no damage found in version 1: {len(tables()) + 3} files, \d+ rows"
        assert re.fullmatch(said, done.last)

    def test_a_flipped_byte_is_found_and_its_file_named(self, target: Path, here: Here) -> None:
        file = ftetl.open(target).folder / "events.parquet"
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x10
        file.write_bytes(data)
        told, documented = here("verify", target), here("verify", target, "--json")

        assert (told.code, told.fault, documented.fault) == (74, "V08", "V08")
        assert re.fullmatch(r"damaged: snapshots/\S+/events\.parquet: its SHA-256 .*\n", told.out)
        assert "1 problem found" in told.last
        assert documented.document["sound"] is False
        assert (documented.document["exit_code"], documented.document["code"]) == (74, "FTETL-V08")
        assert [line for line in documented.document["damage"] if "events.parquet" in line]
