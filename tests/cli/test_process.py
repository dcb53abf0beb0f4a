"""The process is set up for one short run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftetl.cli import process


@pytest.mark.parametrize(("pool", "glibc"), [(None, True), (None, False), ("mimalloc", True)])
def test_the_process_is_tuned_hypothesis_is_blocked_and_the_users_variables_win(pool: str | None, glibc: bool) -> None:
    names = "ARROW_DEFAULT_MEMORY_POOL", "OPENBLAS_NUM_THREADS"
    tuned = f"gc.get_threshold()[0], *map(os.environ.get, {names}), sys.modules['hypothesis']"
    code = (
        "import gc, os, sys; from ftetl.cli import main as cli, process; "
        f"process._has_glibc = lambda: {glibc}; cli.cli.main = lambda **_: print({tuned}); cli.main()"
    )
    env = {k: v for k, v in os.environ.items() if k not in names}
    env |= {names[0]: pool, names[1]: "3"} if pool else {}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "1000000",
        pool or ("system" if glibc else "None"),
        "3" if pool else "1",
        "None",
    ]


@pytest.mark.skipif(not process._has_glibc(), reason="heaps are glibc's")
@pytest.mark.parametrize(("variable", "heaps"), [(None, 1), ("MALLOC_ARENA_MAX", 2), ("MALLOC_TRIM_THRESHOLD_", 2)])
def test_the_threads_of_a_run_share_one_heap_unless_the_user_says_otherwise(
    tmp_path: Path, variable: str | None, heaps: int
) -> None:
    code = (
        "import ctypes, sys, threading; from ftetl.cli import process; process.share_one_heap(); "
        "libc = ctypes.CDLL(None); libc.fopen.restype = ctypes.c_void_p; "
        "thread = threading.Thread(target=lambda: libc.malloc(1000)); thread.start(); thread.join(); "
        "file = libc.fopen(sys.argv[1].encode(), b'w'); libc.malloc_info(0, ctypes.c_void_p(file)); "
        "libc.fclose(ctypes.c_void_p(file))"
    )
    env = {k: v for k, v in os.environ.items() if k not in process._HEAP_VARIABLES} | (
        {variable: "2"} if variable else {}
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "heaps")], env=env, check=True)

    assert (tmp_path / "heaps").read_text().count("<heap ") == heaps


def test_an_exit_runs_its_handlers_but_does_not_search_all_objects_for_garbage() -> None:
    code = (
        "import atexit, gc; from ftetl.cli import main; atexit.register(lambda: print(gc.get_freeze_count() > 1_000)); "
        "main.cli.main = lambda **_: 3; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (3, "True")


@pytest.mark.parametrize("thread", [False, True], ids=["at once", "after a thread"])
def test_the_program_ends_with_its_code_after_handlers_threads_and_texts(thread: bool) -> None:
    code = (
        "import atexit, threading, time; from ftetl.cli import main; late = lambda: (time.sleep(0.2), print('late')); "
        "atexit.register(lambda: print('handler')); main.cli.main = lambda **_: print('text') or 3; "
        f"threading.Thread(target=late).start() if {thread} else None; main.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (3, ["text", *(["late"] if thread else []), "handler"])


def test_the_program_takes_nothing_apart_at_its_end() -> None:
    code = (
        "import sys; from ftetl.cli import main; main.cli.main = lambda **_: 0; "
        "sys.last = type('Last', (), {'__del__': lambda self: print('taken apart')})(); main.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_text_that_cannot_be_written_at_the_end_is_told_by_python() -> None:
    code = (
        "import sys; from ftetl.cli import main; sys.stdout = open('/dev/full', 'w'); "
        "main.cli.main = lambda **_: print('text') or 0; main.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 120
    assert "No space left on device" in done.stderr
