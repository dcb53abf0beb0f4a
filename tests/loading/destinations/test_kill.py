"""A load that is killed leaves the destination as it was, and the next load makes up for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ftetl
from tests.loading.destinations.systems import SYSTEMS
from tests.loading.destinations.test_round_trip import HOSTILE, export, require_equal

NUMBERS = (1, 12, 30, 10_000)  # of the statement before which a load is killed; the last one has none such
# Each load is a fork of a process that has imported everything and started nothing.
PROGRAM = """
import os, signal, sys
import ftetl, pyarrow.parquet
from ftetl.loading import load_snapshot, sql_loader
from ftetl.loading.destinations import {scheme}

target, *files = sys.argv[1:]

def kill_at(number, call):
    count = 0
    def counted(*arguments):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return counted

def killed(file):
    number = int(file.rpartition("-")[2])
    database = next(c for c in vars({scheme}).values() if hasattr(c, "keys_last"))
    counted = kill_at(number, lambda call, *arguments: call(*arguments))
    for name in ("execute", "insert"):
        call = getattr(database, name)
        setattr(database, name, lambda *arguments, call=call: counted(call, *arguments))
    result = load_snapshot.load(target, "{scheme}:" + file)
    os._exit(0)

for file in files:
    if not os.fork():
        try:
            killed(file)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize("first", [True, False], ids=["first load", "newer version"])
def test_a_load_that_is_killed_changes_nothing(tmp_path: Path, scheme: str, first: bool) -> None:
    system = SYSTEMS[scheme]
    other = export(tmp_path, HOSTILE[:2], "other")
    target = export(tmp_path, HOSTILE[1:5], "hostile")
    before = tmp_path / "before"
    ftetl.load(other, f"{scheme}:{before}")
    if not first:
        ftetl.load(target, f"{scheme}:{before}")
        export(tmp_path, HOSTILE[2:], "hostile", hour=1)
    files = [tmp_path / f"{number:03}-{number}" for number in NUMBERS]
    for file in files:
        shutil.copy(before, file)
    program = PROGRAM.format(scheme=scheme)
    command = [sys.executable, "-c", program, str(target), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert ended == ["-9"] * (len(NUMBERS) - 1) + ["0"]
    for file, status in zip(files, ended, strict=True):
        address = f"{scheme}:{file}"
        if status == "-9":
            if first:
                require_equal(system, address, other)
            else:
                assert len(system.read(address, "jobs")) == 2 + ftetl.open(target, version=1).rows["jobs"]
            assert ftetl.load(target, address).changed
        require_equal(system, address, target, other)
