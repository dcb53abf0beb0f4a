"""`xlsx:FILE`: one workbook of one project, replaced as a whole, and never somebody else's."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import ConfigError, TargetError, TryLaterError
from ftetl.loading import xlsx_cells
from ftetl.loading.load_source import LoadSource
from tests.loading.destinations.test_round_trip import HOSTILE, job
from tests.loading.xlsx_reader import read


def make(folder: Path, jobs: list[object], project: str = "acme", *, day: int = 2) -> Path:
    source = folder / "jobs.json"
    source.write_text(json.dumps({"data": jobs}), "utf-8")
    moment = f"2026-08-{day:02}T00:00:00Z"
    ftetl.export(folder / project, source=source, project=project, observed_at=moment, allow_shrink=True)
    return folder / project


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with two versions, not to be changed: the hostile jobs, and three of them with a new one."""
    folder = tmp_path_factory.mktemp("two")
    make(folder, HOSTILE)
    return make(folder, [job("ft-new"), *HOSTILE[:3]], day=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "jobs.xlsx"


def require_equal(file: Path, target: Path, version: int | None = None) -> None:
    source = LoadSource(ftetl.open(target, version=version))
    schemas = {name: schema(source.contract(name)) for name in tables()}
    found = read(file, schemas)
    for name, columns in schemas.items():
        rows = pa.concat_tables([columns.empty_table(), *source.read(name)])
        assert found[name] == [tuple(row.values()) for row in rows.to_pylist()], name


def test_the_demo_and_the_hostile_jobs_come_back_cell_by_cell(target: Path, file: Path, tmp_path: Path) -> None:
    ftetl.export(tmp_path / "demo", source="demo")
    for each in (tmp_path / "demo", target):
        result = ftetl.load(each, f"xlsx:{file}", version=1)
        require_equal(file, each, 1)

        assert {name: counts.inserted for name, counts in result.tables.items()} == ftetl.open(each, version=1).rows
        file.unlink()

    assert "jobs.total_price_nanousd: 2 numbers of more than 15 digits written as text" in result.notes


def test_the_same_version_again_changes_nothing_and_another_replaces_the_file(target: Path, file: Path) -> None:
    ftetl.load(target, f"xlsx:{file}", version=1)
    before = file.read_bytes(), file.stat().st_ino
    again = ftetl.load(target, f"xlsx:{file}", version=1)

    assert (again.changed, again.changed_rows) == (False, 0)
    assert (file.read_bytes(), file.stat().st_ino) == before

    planned = ftetl.load(target, f"xlsx:{file}", dry_run=True)

    assert file.read_bytes() == before[0]

    result = ftetl.load(target, f"xlsx:{file}")

    assert (result.tables, result.changed) == (planned.tables, True)
    assert result.tables["jobs"].deleted == 10
    assert [*file.parent.iterdir()] == [file]
    require_equal(file, target)

    with pytest.raises(ConfigError, match="which is newer than version 1") as refused:
        ftetl.load(target, f"xlsx:{file}", version=1)
    assert refused.value.code == "FTETL-L03"

    ftetl.load(target, f"xlsx:{file}", version=1, replace=True)

    assert file.read_bytes() == before[0]


def test_another_project_is_refused(target: Path, file: Path, tmp_path: Path) -> None:
    ftetl.load(target, f"xlsx:{file}")
    before = file.read_bytes()

    with pytest.raises(ConfigError, match="holds the project 'acme', not 'other'; give each project a file"):
        ftetl.load(make(tmp_path, HOSTILE, "other"), f"xlsx:{file}", replace=True)
    assert file.read_bytes() == before


def saved_by_a_person(file: Path, target: Path) -> None:
    ftetl.load(target, f"xlsx:{file}", version=1)
    book = openpyxl.load_workbook(file)
    book["jobs"]["A1"] = "mine"
    # The version was committed this very second, perhaps; a person is slower.
    while datetime.now(UTC).replace(tzinfo=None) < book.properties.created + timedelta(seconds=1):
        time.sleep(0.05)
    book.save(file)


def somebody_elses(file: Path, target: Path) -> None:
    openpyxl.Workbook().save(file)


def damaged(file: Path, target: Path) -> None:
    ftetl.load(target, f"xlsx:{file}", version=1)
    with zipfile.ZipFile(file) as package:
        place = package.getinfo("docProps/custom.xml").header_offset
    data = bytearray(file.read_bytes())
    data[place + 60] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("prepare", "code", "message"),
    [
        (saved_by_a_person, "L21", r"jobs\.xlsx was changed since ftetl wrote it; move it away, or name another file"),
        (somebody_elses, "L05", r"jobs\.xlsx is there, and ftetl did not write it; move it away"),
        (lambda file, _: file.write_bytes(b""), "L05", "ftetl did not write it"),
        (lambda file, _: file.write_bytes(b"PK\3\4 cut"), "L05", "ftetl did not write it"),
        (damaged, "L05", "ftetl did not write it"),
        (lambda file, _: file.mkdir(), "L05", "ftetl did not write it"),
        (lambda file, _: file.symlink_to(file.parent / "no" / "x"), "L08", "the folder .*no is not there"),
        (lambda file, _: file.parent.rmdir(), "L08", "the folder .*out is not there; make it, or correct"),
    ],
    ids=["saved", "foreign", "empty", "cut", "damaged", "folder", "dangling", "missing"],
)
def test_what_is_not_ours_as_we_left_it_stays(
    target: Path, file: Path, prepare: object, code: str, message: str
) -> None:
    prepare(file, target)  # type: ignore[operator]
    before = file.read_bytes() if file.is_file() else None

    with pytest.raises(TargetError, match=message) as refused:
        ftetl.load(target, f"xlsx:{file}")

    assert refused.value.code == f"FTETL-{code}"
    assert (file.read_bytes() if file.is_file() else None) == before
    assert [path for path in file.parent.rglob("*") if path != file] == []


def test_too_many_rows_are_refused_with_the_table(target: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftetl.loading.destinations.xlsx.ROWS", 11)
    assert ftetl.load(target, f"xlsx:{file}", version=1, dry_run=True).changed  # the 10 jobs fill the sheet
    monkeypatch.setattr("ftetl.loading.destinations.xlsx.ROWS", 10)

    with pytest.raises(ConfigError, match="jobs has 10 rows, and a sheet of Excel holds 9 below its header") as refused:
        ftetl.load(target, f"xlsx:{file}", version=1)

    assert refused.value.code == "FTETL-L20"
    assert not file.exists()


def test_long_texts_are_cut_and_told(file: Path, tmp_path: Path) -> None:
    target = make(tmp_path, [job("ft-long", model="x" * 40_000)])
    result = ftetl.load(target, f"xlsx:{file}")

    assert "jobs.model: 1 texts cut to 32,767 characters" in result.notes
    head, row = openpyxl.load_workbook(file)["jobs"].values
    assert dict(zip(head, row, strict=True))["model"] == "x" * xlsx_cells.CHARACTERS


LOAD = "import sys, ftetl; ftetl.load(sys.argv[1], sys.argv[2])"


def test_a_killed_load_leaves_the_file_and_the_next_one_clears_up(target: Path, file: Path) -> None:
    ftetl.load(target, f"xlsx:{file}", version=1)
    before = file.read_bytes()
    kill = f"import os, xlsxwriter; xlsxwriter.Workbook.close = lambda book: os.kill(os.getpid(), {signal.SIGKILL:d})\n"
    done = subprocess.run([sys.executable, "-c", kill + LOAD, str(target), f"xlsx:{file}"], check=False)

    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == before
    assert len(list(file.parent.rglob("*"))) > 2  # what it left

    assert ftetl.load(target, f"xlsx:{file}").changed
    assert [*file.parent.rglob("*")] == [file]
    require_equal(file, target)


def test_two_loads_at_once_are_one_after_the_other(target: Path, file: Path) -> None:
    work = file.parent / f".{file.name}.ftetl"
    work.mkdir()
    descriptor = os.open(work, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    with pytest.raises(TryLaterError, match="another load is writing"):
        ftetl.load(target, f"xlsx:{file}")
    assert work.exists()

    os.close(descriptor)
    assert ftetl.load(target, f"xlsx:{file}").changed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_named(target: Path, file: Path) -> None:
    file.parent.chmod(0o500)

    with pytest.raises(TargetError, match="permission denied"):
        ftetl.load(target, f"xlsx:{file}")


def test_a_full_disk_leaves_the_file(target: Path, file: Path) -> None:
    ftetl.load(target, f"xlsx:{file}", version=1)
    before = file.read_bytes()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    done = subprocess.run(
        [sys.executable, "-c", ignore + limit + LOAD, str(target), f"xlsx:{file}"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert "ftetl.errors.StorageError: cannot write" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert file.read_bytes() == before
    assert [*file.parent.rglob("*")] == [file]
