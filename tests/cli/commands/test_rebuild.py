"""`ftetl rebuild` makes the tables again from the archive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

import ftetl
from ftetl.extract.archive import Archive
from ftetl.store.target import Target
from tests.cli.program import (
    Here,
)


class TestRebuild:
    def test_what_is_there_is_made_again_and_nothing_changes(self, target: Path, here: Here) -> None:
        before = {path.name: path.read_bytes() for path in ftetl.open(target).folder.iterdir()}
        done = here("rebuild", target)

        assert (done.code, done.out) == (0, "")
        assert done.last == f"ftetl: OK (0): {target}: rebuilt 1 run: nothing changed"
        assert {path.name: path.read_bytes() for path in ftetl.open(target).folder.iterdir()} == before

    def test_what_the_contracts_now_give_is_a_new_version(self, target: Path, here: Here) -> None:
        before = pq.read_table(ftetl.open(target).folder / "jobs.parquet")
        with Target(target) as held, held.begin_transaction() as transaction:  # as if other contracts had made it
            assert held.base is not None
            for file in held.base.files:
                data = (ftetl.open(target).folder / file.name).read_bytes()
                with transaction.create_file(file.name) as sink:
                    sink.write(data if file.name != "anomalies.parquet" else data + b" ")
            note_as_before(target, held)
            transaction.commit(dict(held.base.facts))
        done = here("rebuild", target, "--file-mode", "0640", "--keep", "2", "--lock-timeout", "0.1")

        assert done.last == f"ftetl: OK (0): {target}: rebuilt 2 runs: version 3 committed"
        assert ftetl.open(target).arrow("jobs").equals(before)
        assert {path.stat().st_mode & 0o777 for path in ftetl.open(target).folder.iterdir()} == {0o640}

    def test_a_locked_target_is_worth_another_try(self, target: Path, here: Here) -> None:
        with Target(target):
            assert here("rebuild", target).code == 75

    def test_without_the_archive_it_says_so_and_touches_nothing(self, target: Path, here: Here) -> None:
        shutil.rmtree(target / "_ftetl" / "archive")
        done = here("rebuild", target)

        assert done.code == 65
        assert "_ftetl/archive" in done.last
        assert ftetl.open(target).version == 1


def note_as_before(target: Path, held: Target) -> None:
    """Say of the next version that it was made from what the last one was made from."""
    with Archive(held) as archive:
        (entry,) = archive.entries()
        archive.write_index(
            held.version, {**entry, "run_id": held.run_id, "version": held.version, "base": entry["version"]}
        )
