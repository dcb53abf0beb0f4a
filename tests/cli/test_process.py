"""The process is set up for one short run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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


def test_an_exit_runs_its_handlers_but_does_not_search_all_objects_for_garbage() -> None:
    code = (
        "import atexit, gc; from ftetl.cli import main; atexit.register(lambda: print(gc.get_freeze_count() > 1_000)); "
        "main.cli.main = lambda **_: 3; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (3, "True")
