"""The lock: one owner, never stale."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ftetl
from ftetl.errors import TryLaterError
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.lock import LOCK_FILE, Lock


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Fs().open_folder(None, tmp_path) as opened:
        yield opened


def test_the_error_of_a_held_lock_names_the_process(folder: Folder) -> None:
    lock = Lock(Fs(), folder, timeout=0)
    who = rf"another run \(process {os.getpid()}\) holds {folder.path.parent}; wait for it to end, or give --lock-tim"

    with pytest.raises(TryLaterError, match=who):
        Lock(Fs(), folder, timeout=0)
    with pytest.raises(TryLaterError, match=who):
        Lock(Fs(), folder, timeout=0.06)

    lock.release()
    Lock(Fs(), folder, timeout=0).release()


def test_who_waits_gets_it(folder: Folder) -> None:
    first = Lock(Fs(), folder, timeout=0)
    threading.Timer(0.1, first.release).start()

    Lock(Fs(), folder, timeout=30).release()


@pytest.mark.parametrize("left", [b"", b"99999\n", b"rubbish", b"9" * 5000], ids=["empty", "dead", "rubbish", "long"])
def test_a_file_that_was_left_means_nothing(left: bytes, folder: Folder) -> None:
    (folder.path / LOCK_FILE).write_bytes(left)
    lock = Lock(Fs(), folder, timeout=0)

    with pytest.raises(TryLaterError, match="another run"):
        Lock(Fs(), folder, timeout=0)
    lock.release()


class Deleted(Fs):
    """The file is removed between opening and locking it, twice."""

    def __init__(self) -> None:
        self.times = 0

    def try_lock(self, folder: Folder, name: str) -> int | None:
        descriptor = super().try_lock(folder, name)
        self.times += 1
        if self.times <= 2:
            self.unlink(folder, name)
        return descriptor


def test_a_lock_on_a_removed_file_is_none(folder: Folder) -> None:
    fs = Deleted()
    lock = Lock(fs, folder, timeout=0)

    assert fs.times == 3
    lock.require_held()
    assert Fs().try_lock(folder, LOCK_FILE) is None
    lock.release()


def test_a_removed_or_replaced_file_is_noticed(folder: Folder) -> None:
    lock = Lock(Fs(), folder, timeout=0)
    lock.require_held()

    (folder.path / LOCK_FILE).unlink()
    with pytest.raises(TryLaterError, match=f"the lock of {folder.path.parent} was removed"):
        lock.require_held()
    other = Lock(Fs(), folder, timeout=0)
    with pytest.raises(TryLaterError, match=f"the lock of {folder.path.parent} was removed"):
        lock.require_held()
    other.require_held()
    lock.release()
    other.release()


def test_a_program_that_was_started_does_not_inherit_it(folder: Folder) -> None:
    lock = Lock(Fs(), folder, timeout=0)
    command = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        lock.release()
        Lock(Fs(), folder, timeout=0).release()
        child.communicate(b"\n")


def test_it_ends_with_its_process(folder: Folder) -> None:
    code = """
import os, pathlib, sys
from ftetl.store.filesystem import Fs
from ftetl.store.lock import Lock
lock = Lock(Fs(), Fs().open_folder(None, pathlib.Path(sys.argv[1])), timeout=0)
print("held", flush=True)
input()
"""
    environment = {"PYTHONPATH": str(Path(ftetl.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code, folder.path], env=environment, stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(TryLaterError, match=f"process {child.pid}"):
            Lock(Fs(), folder, timeout=0)
        child.kill()

    Lock(Fs(), folder, timeout=0).release()
